//! `feedctl sub pause` and `feedctl sub resume`.

use super::change::{By, Change, Command, OfPartition, reason};
use super::database::subscription;
use crate::cli::CliError;

const AFTER_PAUSE: &str = "\
Whoever holds the subscription applies nothing more from then on. It stays so, also over restarts of the service.

Exit codes: 0 done; 2 wrong usage, or no such database or subscription.

Examples:
  feedctl sub pause customers/orders --database customer.db --why 'geos are being imported'
  feedctl sub pause customers/orders --partition 2 --database customer.db
      only that partition, of a subscription that is split";

const AFTER_RESUME: &str = "\
One that halts is tried again: mend what its reason says first. One that waits is tried at once.

Exit codes: 0 done; 1 it is running already; 2 wrong usage, or no such database or subscription.

Examples:
  feedctl sub resume customers/orders --database customer.db";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_PAUSE)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    part: OfPartition,
    #[command(flatten)]
    by: By,
    /// Why, for whoever finds it paused
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    why: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_RESUME)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    part: OfPartition,
}

pub(super) async fn pause(args: PauseArgs) -> Result<(), CliError> {
    let (change, operator) = (
        &args.change,
        args.by.operator(args.why.as_deref().unwrap_or(""))?,
    );
    change
        .database
        .with(async |store| {
            let handle = args.part.of(subscription(store, &change.name)?);
            let act = async |mode| handle.pause(&operator, mode).await;
            change.make(store, Command::Pause, false, act).await
        })
        .await
}

pub(super) async fn resume(args: ResumeArgs) -> Result<(), CliError> {
    let change = &args.change;
    change
        .database
        .with(async |store| {
            let handle = args.part.of(subscription(store, &change.name)?);
            let act = async |mode| handle.resume(mode).await;
            change.make(store, Command::Resume, false, act).await
        })
        .await
}
