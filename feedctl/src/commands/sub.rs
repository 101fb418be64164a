//! `feedctl sub`: the subscriptions of a service, in its database.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `list`, `show` | looking |
//! | `pause`, `reset`, `events`, `partitions` | changing |
//! | `database` | opening a database that is there, and what went wrong |
//! | `change` | what all changes have in common: dry run, question, report |
//! | `ask` | the question |
//! | `json`, `text`, `indent` | how it is shown |

pub(super) mod ask;
pub(super) mod change;
pub(super) mod database;
mod events;
mod indent;
mod json;
mod list;
mod partitions;
mod pause;
mod reset;
mod show;
mod text;

use clap::{Subcommand, ValueEnum};

use crate::cli::CliError;
use crate::output::ColorWhen;

const AFTER_HELP: &str = "\
The database is the file that the service keeps; it goes on running beside. Nothing is created, and no schema is changed.
What is changed takes effect at once, also in an instance that is at work.

Exit codes: 0 done; 1 the subscription or the feed said no, or nothing was changed since the answer was no; 2 wrong usage, no
such database or subscription, or the feed cannot be reached.

Examples:
  feedctl sub ls --database customer.db
      every subscription: its state, how far it is, what is parked
  feedctl sub show customers/orders --database customer.db
      one of them, and the events that could not be applied
  feedctl sub retry customers/orders --all --database customer.db
      applies the parked events, after their cause was mended
  DATABASE_URL=customer.db feedctl sub reset customers/orders --to start --dry-run
      what a reset would do

docs/consumers.md tells what the states mean, and what to do about a parked event.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the subscriptions
    #[command(visible_alias = "list")]
    Ls(list::Args),
    /// Show one subscription, and the events that could not be applied
    Show(show::Args),
    /// Stop a subscription until it is resumed
    Pause(pause::PauseArgs),
    /// Let a subscription go on: from a pause, after a halt, or at once instead of after its wait
    Resume(pause::ResumeArgs),
    /// Put the cursor of a subscription elsewhere
    Reset(reset::Args),
    /// Split a subscription into partitions that the instances share, or into another number of them
    Partitions(partitions::Args),
    /// Let parked events be applied, after their cause was mended
    Retry(events::RetryArgs),
    /// Take parked or waiting events out: they are never applied
    Drop(events::DropArgs),
    /// Leave out the event at which a subscription is stuck: it is never applied
    Skip(events::SkipArgs),
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

pub(crate) async fn run(args: Args, color: ColorWhen) -> Result<(), CliError> {
    match args.command {
        Command::Ls(args) => list::run(args, color).await,
        Command::Show(args) => show::run(args, color).await,
        Command::Pause(args) => pause::pause(args).await,
        Command::Resume(args) => pause::resume(args).await,
        Command::Reset(args) => reset::run(args).await,
        Command::Partitions(args) => partitions::run(args).await,
        Command::Retry(args) => events::retry(args).await,
        Command::Drop(args) => events::drop(args).await,
        Command::Skip(args) => events::skip(args).await,
    }
}
