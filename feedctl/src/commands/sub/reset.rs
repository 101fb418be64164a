//! `feedctl sub reset`: the cursor elsewhere.

use feed_core::client::{ClientError, ClientOptions, FeedClient};
use feed_core::{Cursor, Store};
use http::StatusCode;

use super::ask::Leave;
use super::change::{Change, Command};
use super::database::{failed, subscription, unknown};
use crate::cli::CliError;
use crate::connect::Token;
use crate::follow::Place;

const AFTER_HELP: &str = "\
Events behind the new cursor are read again, and applied again: effects that the handlers do not recognize as made happen a
second time. Events before it that were not applied never are. What is kept of events behind it is forgotten; parked events
before it stay. A paused subscription stays paused; any other runs.

start and a cursor are taken as they are; for other places the feed is asked that the subscription follows.

Exit codes: 0 done; 1 the feed does not know the place, or nothing was changed since the answer was no; 2 wrong usage, no such
database or subscription, or the feed cannot be reached.

Examples:
  feedctl sub reset customers/orders --database customer.db --to start --dry-run
      what would be read again
  feedctl sub reset customers/orders --database customer.db --to 2026-01-31T12:00:00Z
      goes on with the first event that was recorded then or later
  feedctl sub reset customers/orders --database customer.db --to now --yes
      goes on behind the newest event, without asking";

/// What a server says that does not know the place.
const PLACE_UNKNOWN: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::GONE];

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    change: Change,
    /// Behind which event it goes on: start, now, a cursor, the id of an event, a position, or a time such as
    /// 2026-01-31T12:00:00Z
    #[arg(long, value_name = "PLACE")]
    to: Place,
    #[command(flatten)]
    token: Token,
    #[command(flatten)]
    leave: Leave,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let change = &args.change;
    let asks = change.asks(args.leave)?;
    change
        .database
        .with(async |store| {
            let cursor = cursor(store, &args).await?;
            let handle = subscription(store, &change.name)?;
            let act = async |mode| handle.reset(cursor, mode).await;
            change.make(store, Command::Reset, asks, act).await
        })
        .await
}

/// The cursor of the place, asked of the feed where it is not known.
async fn cursor(store: &Store, args: &Args) -> Result<Option<Cursor>, CliError> {
    let handle = subscription(store, &args.change.name)?;
    let Some(found) = handle.status().await.map_err(failed)? else {
        return Err(unknown(store, &args.change.name).await);
    };
    let options = ClientOptions {
        bearer_token: args.token.load()?,
        ..ClientOptions::default()
    };
    let client = FeedClient::new(&found.feed_url, options)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    let resolved = client.resolve(args.to.start_at()).await;
    resolved.map_err(|error| match error {
        ClientError::Refused { .. } => CliError::Refused(error.to_string()),
        // An event that was never there, or is there no more.
        ClientError::Status { status, .. } if PLACE_UNKNOWN.contains(&status) => {
            CliError::Refused(error.to_string())
        }
        ClientError::Connection { .. } => CliError::Usage(format!(
            "{error}; is the server running? start and a cursor are taken without asking it"
        )),
        error => CliError::Usage(error.to_string()),
    })
}
