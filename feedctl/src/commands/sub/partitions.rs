//! `feedctl sub partitions`: into how many partitions a subscription is split.

use super::change::{Change, Command};
use super::database::subscription;
use crate::cli::CliError;

const USAGE: &str = "\
feedctl sub partitions [OPTIONS] --database <DATABASE> <NAME> <K|--cancel>";

const AFTER_HELP: &str = "\
Where all partitions stand at the same event, the change is made at once, and that is so where there is one. Else none of them
goes beyond the one that is furthest, and the last one to get there makes the change: an instance has to run. One that halts
or is paused is waited for: `feedctl sub show` says which. Events that are parked or wait go with their ordering keys.

The instances of the service share the partitions; each partition reads the whole feed, so more of them cost more reading.

Exit codes: 0 done, or it waits; 1 it has that many already, none is about to be changed, or all of its feed is applied in
order; 2 wrong usage, or no such database or subscription.

Examples:
  feedctl sub partitions customers/orders 4 --database customer.db
  feedctl sub partitions customers/orders --cancel --database customer.db
      leaves it as it is, while a change waits";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, override_usage = USAGE)]
pub(crate) struct Args {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct To {
    /// How many there are to be, 1 to 64
    #[arg(value_name = "K", value_parser = clap::value_parser!(u32).range(1..=64))]
    partitions: Option<u32>,
    /// Cancel a change that waits
    #[arg(long)]
    cancel: bool,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let change = &args.change;
    change
        .database
        .with(async |store| {
            let handle = subscription(store, &change.name)?;
            let act = async |mode| match args.to.partitions {
                Some(partitions) => handle.set_partitions(partitions, mode).await,
                None => handle.keep_partitions(mode).await,
            };
            change.make(store, Command::Partitions, false, act).await
        })
        .await
}
