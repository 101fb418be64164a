//! `feedctl feed`: the feeds of a service, in its database.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `list` | looking |
//! | `epoch` | a new epoch |

mod epoch;
mod list;

use clap::Subcommand;

use crate::cli::CliError;

const AFTER_HELP: &str = "\
The database is the service's, which goes on running beside. Nothing is created, and no schema is changed.

Exit codes: 0 done; 1 nothing was changed since the answer was no; 2 wrong usage, or no such database or feed.

Examples:
  feedctl feed ls --database order.db
  feedctl feed new-epoch orders --reason 'restored from the backup of Monday noon' --database order.db";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the feeds with their heads and epochs
    Ls(list::Args),
    /// Begin a new stretch of a feed's history behind its head, after the database was put back to an earlier state
    NewEpoch(epoch::Args),
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        Command::Ls(args) => list::run(args).await,
        Command::NewEpoch(args) => epoch::run(args).await,
    }
}
