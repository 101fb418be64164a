//! `feedctl bench`: how fast a feed is, on the machine and the disk where it is to run.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `append`, `catchup`, `tail`, `page`, `idle` | one measurement each |
//! | `target` | what is measured: a service's feed, a database's, or one made for it |
//! | `scratch` | a feed that is made for it |
//! | `serve` | a process of its own that serves what is measured |
//! | `figures` | rounds, medians, and how they are shown |
//! | `process` | memory and CPU of a process |

mod append;
mod catchup;
mod figures;
mod idle;
mod page;
mod process;
mod scratch;
mod serve;
mod tail;
mod target;

use clap::Subcommand;

use crate::cli::CliError;

const AFTER_HELP: &str = "\
What is measured: with FEED-URL a running service, to which nothing is written; with --database that database, served by a
process of this command's own; with neither, a feed that is made for it on SQLite in the folder of --dir, and taken away at
the end. Client and server share the machine: where both are short of CPU, a figure is that of the two together.

Only `append` and `tail` write to the database of --database, and only to a feed named feedctl-bench, whose events stay.

Exit codes: 0 measured; 1 the feed said no, or is not what its checks say; 2 wrong usage, or nothing can be reached.

Examples:
  feedctl bench append
  feedctl bench append --database postgres://order@127.0.0.1/order --writers 64
  feedctl bench catchup http://127.0.0.1:8081/feeds/orders
  feedctl bench page http://127.0.0.1:8081/feeds/orders -o json
  feedctl bench idle --waiters 5000";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Events a second that are appended, each acknowledged when it is on the disk
    Append(append::Args),
    /// Events a second that one reader gets, from the feed's start on, with every check verified
    Catchup(catchup::Args),
    /// How long an event takes to a reader who waits for it by long poll
    Tail(tail::Args),
    /// Requests a second: a sealed page, a head that has not changed, a poll that finds nothing
    Page(page::Args),
    /// What readers cost who wait and get nothing
    Idle(idle::Args),
    /// Serves the database in FEEDCTL_BENCH_DATABASE until stdin ends
    #[command(hide = true)]
    Serve(serve::Args),
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        Command::Append(args) => append::run(args).await,
        Command::Catchup(args) => catchup::run(args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Page(args) => page::run(args).await,
        Command::Idle(args) => idle::run(args).await,
        Command::Serve(args) => serve::run(args).await,
    }
}
