//! `feedctl sub retry`, `feedctl sub drop` and `feedctl sub skip`: what becomes of events that were not simply applied.

use feed_core::{Chosen, EventId};

use super::ask::Leave;
use super::change::{By, Change, Command, OfPartition, reason};
use super::database::subscription;
use crate::cli::CliError;

// The names stand in the order in which they are given.
const USAGE_RETRY: &str = "\
feedctl sub retry [OPTIONS] --database <DATABASE> <NAME> <EVENT-ID|--key <KEY>|--all>";
const USAGE_DROP: &str = "\
feedctl sub drop [OPTIONS] --database <DATABASE> --why <TEXT> <NAME> <EVENT-ID|--key <KEY>|--all>";

const AFTER_RETRY: &str = "\
An instance that runs tries them, each key's events in their order; what waits behind a parked event follows by itself. See by
`feedctl sub show` what came of it. A subscription that halts has to be resumed beside.

Exit codes: 0 done, also when nothing is parked; 1 the event is in another state, or nothing is kept of it; 2 wrong usage, or no
such database or subscription.

Examples:
  feedctl sub retry customers/orders 0190b6e2-1111-7000-8000-000000000001 --database customer.db
  feedctl sub retry customers/orders --key order-7f3a --database customer.db
  feedctl sub retry customers/orders --all --database customer.db";

const AFTER_DROP: &str = "\
What waited behind a dropped event has its turn. With --key and --all, what waits is dropped too. Dropped events are kept, with
your name and the reason; only a reset reads them again.

Exit codes: 0 done; 1 the event is in another state, nothing is kept of it, or nothing was changed since the answer was no; 2
wrong usage, or no such database or subscription.

Examples:
  feedctl sub drop customers/orders 0190b6e2-1111-7000-8000-000000000001 --why 'a test order' --database customer.db
  feedctl sub drop customers/orders --key order-7f3a --why 'a test order' --yes --database customer.db";

const AFTER_SKIP: &str = "\
For a subscription that retries an event, or halts at one. The cursor passes it, and it is kept as dropped, with your name and
the reason. What depends on it may fail later. Where several partitions are stuck, each at another event, say which is meant.

Exit codes: 0 done; 1 it is not stuck at an event, or nothing was changed since the answer was no; 2 wrong usage, or no such
database or subscription.

Examples:
  feedctl sub skip customers/orders --why 'a test order' --database customer.db";

/// Which events are meant.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The event's id
    #[arg(value_name = "EVENT-ID", value_parser = |text: &str| text.parse::<EventId>())]
    event: Option<EventId>,
    /// Those of this ordering key: the subject, unless the service computes another
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl Which {
    fn chosen(&self) -> Chosen {
        match (self.event, &self.key) {
            (Some(id), _) => Chosen::Event(id),
            (None, Some(key)) => Chosen::Key(key.clone()),
            (None, None) => Chosen::All,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_RETRY, override_usage = USAGE_RETRY)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_DROP, override_usage = USAGE_DROP)]
pub(crate) struct DropArgs {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    never: Never,
}

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_SKIP)]
pub(crate) struct SkipArgs {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    part: OfPartition,
    #[command(flatten)]
    never: Never,
}

/// What it takes to leave an event out for good.
#[derive(Debug, clap::Args)]
struct Never {
    /// Why, which is kept with the event
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    why: String,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    leave: Leave,
}

pub(super) async fn retry(args: RetryArgs) -> Result<(), CliError> {
    let (change, chosen) = (&args.change, args.which.chosen());
    change
        .database
        .with(async |store| {
            let handle = subscription(store, &change.name)?;
            let act = async |mode| handle.retry(chosen.clone(), mode).await;
            change.make(store, Command::Retry, false, act).await
        })
        .await
}

pub(super) async fn drop(args: DropArgs) -> Result<(), CliError> {
    let (change, chosen) = (&args.change, args.which.chosen());
    let operator = args.never.by.operator(&args.never.why)?;
    let asks = change.asks(args.never.leave)?;
    change
        .database
        .with(async |store| {
            let handle = subscription(store, &change.name)?;
            let act = async |mode| handle.drop_events(chosen.clone(), &operator, mode).await;
            change.make(store, Command::Drop, asks, act).await
        })
        .await
}

pub(super) async fn skip(args: SkipArgs) -> Result<(), CliError> {
    let change = &args.change;
    let operator = args.never.by.operator(&args.never.why)?;
    let asks = change.asks(args.never.leave)?;
    change
        .database
        .with(async |store| {
            let handle = args.part.of(subscription(store, &change.name)?);
            let act = async |mode| handle.skip(&operator, mode).await;
            change.make(store, Command::Skip, asks, act).await
        })
        .await
}
