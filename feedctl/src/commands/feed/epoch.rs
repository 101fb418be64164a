//! `feedctl feed new-epoch`: a new stretch of history behind the head.

use feed_core::{FeedName, FeedState, Store, StoreError};

use super::list::FeedJson;
use crate::cli::CliError;
use crate::commands::sub::Format;
use crate::commands::sub::ask::{self, Leave};
use crate::commands::sub::change::{By, reason};
use crate::commands::sub::database::{Database, failed};
use crate::output;

const AFTER_HELP: &str = "\
Do this after a backup was restored, before the service starts: events that came after the backup are lost, and others get
their positions. From then on no cursor and no URL of a page means two things. On PostgreSQL it happens by itself where the
database can tell: after pg_restore into another cluster, after recovery to a point in time, after a promotion. It does no
harm to do it once more.

A consumer that has read no further than the backup goes on. One that has read further halts, and says why: find out what was
lost and whether its effects may stay, then `feedctl sub reset NAME --to` the last position that is in both histories.

Exit codes: 0 done; 1 nothing was changed since the answer was no; 2 wrong usage, or no such database or feed.

Examples:
  feedctl feed new-epoch orders --reason 'restored from the backup of Monday noon' --database order.db
  feedctl feed new-epoch orders --reason 'restored' --database order.db --dry-run
      says from which position it would begin";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The feed's name
    #[arg(value_name = "FEED")]
    feed: FeedName,
    /// Why, for whoever finds it; kept in the database
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    leave: Leave,
    /// How it is written what changed
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let asks = !args.dry_run && args.leave.is_to_be_asked_for()?;
    let sentence = args.by.operator(&args.reason)?.sentence();
    args.database
        .with(async |store| open(store, &args, asks, &sentence).await)
        .await
}

async fn open(store: &Store, args: &Args, asks: bool, sentence: &str) -> Result<(), CliError> {
    let before = state(store, &args.feed).await?;
    if asks {
        for line in told(&before, None, "this would happen").lines() {
            output::tell(line);
        }
        ask::ask().await?;
    }
    if args.dry_run {
        let said = "this would happen (a dry run: nothing was changed)";
        return match args.output {
            Format::Json => output::print_json(&FeedJson::new(&before)).await,
            Format::Text => output::print(told(&before, None, said)).await,
        };
    }
    let after = store
        .open_epoch(&args.feed, sentence)
        .await
        .map_err(failed)?;
    match args.output {
        Format::Json => output::print_json(&FeedJson::new(&after)).await,
        Format::Text => output::print(told(&before, Some(&after), "done")).await,
    }
}

async fn state(store: &Store, feed: &FeedName) -> Result<FeedState, CliError> {
    let log = store
        .log(feed.as_str())
        .map_err(|error| CliError::Usage(error.to_string()))?;
    match log.state().await {
        Err(error @ StoreError::UnknownFeed(_)) => {
            let known = store.feeds().await.map_err(failed)?;
            let known: Vec<String> = known.iter().map(FeedName::to_string).collect();
            Err(CliError::Usage(format!(
                "{error} in this database; it has {}",
                known.join(", ")
            )))
        }
        found => found.map_err(failed),
    }
}

fn told(before: &FeedState, after: Option<&FeedState>, how: &str) -> String {
    let newest = |state: &FeedState| {
        let epochs = state.history.epochs();
        epochs
            .last()
            .map(|(first, epoch)| (epoch.to_string(), first.get()))
    };
    let old = newest(before).map_or_else(String::new, |(epoch, _)| epoch);
    // On PostgreSQL, what was committed and had no position yet gets it in the old epoch.
    let (new, first) = match after.and_then(newest) {
        Some((epoch, first)) => (epoch, first),
        None => ("a new one".to_owned(), before.head.position.get() + 1),
    };
    let head = after.map_or(before.head, |after| after.head);
    format!(
        "new epoch of {}: {how}\n  head      {head}\n  epoch     {old} -> {new}, from position {first} on\n  \
         consumers one that has read up to position {} or less goes on; one that has read further halts and says so\n",
        before.identity.name,
        first - 1
    )
}
