//! The command line. Data goes to stdout, everything else to stderr.

use clap::{Parser, Subcommand};

use crate::commands::{bench, conformance, feed, migrate, sub, tail, verify};
use crate::output::ColorWhen;

const AFTER_HELP: &str = "\
Exit codes:
  0  done; also when the reader of a pipe has gone
  1  a check failed, or the feed or the subscription said no
  2  wrong usage, or the server or the database cannot be reached

Examples:
  feedctl tail http://127.0.0.1:8081/feeds/orders
      prints every event from the first one on, then those that come
  feedctl sub ls --database customer.db
      says how far the service's subscriptions are
  feedctl feed new-epoch orders --reason 'restored from a backup' --database order.db
      tells the feed's readers that events are lost
  feedctl migrate --from sqlite:order.db --to postgres://order@127.0.0.1/order
      takes the service over to PostgreSQL
  feedctl conformance http://127.0.0.1:8081/feeds/orders
      checks that a server keeps the feed protocol
  feedctl bench append --dir /var/lib/order-svc
      measures how many events a second can be appended on that disk";

/// Follows feeds, operates subscriptions, moves and compares databases, proves that a server keeps the feed protocol, and measures.
#[derive(Debug, Parser)]
#[command(name = "feedctl", version, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    /// When to use colours; NO_COLOR in the environment means never, unless `always` is said
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto)]
    color: ColorWhen,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow a feed in the terminal
    Tail(tail::Args),
    /// Look at the subscriptions of a service, and change them
    Sub(sub::Args),
    /// Look at the feeds of a service, and open a new epoch after it was put back
    Feed(feed::Args),
    /// Take a service's whole database over to the other kind of store
    Migrate(migrate::Args),
    /// Compare two databases as their readers see them, or check one in itself
    Verify(verify::Args),
    /// Check that a server keeps the feed protocol
    Conformance(conformance::Args),
    /// Measure how fast a feed is, here
    Bench(bench::Args),
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// A check failed, and the command's output says which.
    #[error("a check failed")]
    Check,
    /// The feed or the subscription said no, or the feed sent what cannot be used.
    #[error("{0}")]
    Refused(String),
    /// The command cannot be done so, or the server or the database cannot be reached.
    #[error("{0}")]
    Usage(String),
}

impl CliError {
    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            CliError::Check | CliError::Refused(_) => 1,
            CliError::Usage(_) => 2,
        }
    }

    /// What is still to be told.
    pub fn text(&self) -> Option<String> {
        match self {
            CliError::Check => None,
            CliError::Refused(text) | CliError::Usage(text) => Some(crate::text::printable(text)),
        }
    }
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// The message says what is wrong and what to try; the code is the process's.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::Tail(args) => tail::run(args, self.color).await,
            Command::Sub(args) => sub::run(args, self.color).await,
            Command::Feed(args) => feed::run(args).await,
            Command::Migrate(args) => migrate::run(args).await,
            Command::Verify(args) => verify::run(args, self.color).await,
            Command::Conformance(args) => conformance::run(args, self.color).await,
            Command::Bench(args) => bench::run(args).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
