//! The command line. Every flag can be given as an environment variable too; the flag wins.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use feed_core::client::AllowedAddresses;
use feed_core::server::CorsOrigin;
use tracing_subscriber::EnvFilter;

use crate::app::{
    Application, FollowedFeed, HttpSettings, PollerSettings, RunError, Settings, StartError,
};
use crate::import::{self, ImportError, ImportSettings};
use crate::migrate::{self, MigrateError};

const EXAMPLES: &str = "\
Examples:
  customer-svc import --geos geos.csv --customers customers.csv
      into customer.db, before or while the service runs
  customer-svc serve
      on 127.0.0.1:8082 with customer.db, following the orders feed of an order-svc on this machine
  customer-svc serve --listen 0.0.0.0:8082 --tokens tokens.txt
      for other machines, asking for bearer tokens
  DATABASE_URL=postgres://feedway:secret@db.example/customers customer-svc serve
      with its database on PostgreSQL; any number of instances may serve and poll
  customer-svc serve --no-poll   and   customer-svc poll
      requests and polling in processes of their own, on the same database

Try it:
  curl -X PUT -d '{\"name\":\"Berlin\",\"max_mbps\":1000,\"capacity_mbps\":50000}' \\
       -H 'Content-Type: application/json' http://127.0.0.1:8082/geos/berlin
  curl http://127.0.0.1:8082/feeds/customers";

const MIGRATE: &str = "\
The other commands do so too when they start. By itself it is of use where the service's own user may not change the
schema, and before `feedctl migrate` fills the database from another one: that wants a database with tables and without
feeds.

Examples:
  customer-svc migrate --database customer.db
  customer-svc migrate --database postgres://customer@127.0.0.1/customer";

/// Keeps customers and geos, reserves speed for orders, and publishes all of it as a feed.
///
/// It learns from the orders feed what is wanted; it calls no other service. What it knows is in one database, which
/// it creates.
#[derive(Debug, Parser)]
#[command(name = "customer-svc", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests and publish the customers feed; also follow the orders feed, unless told not to
    #[command(after_help = EXAMPLES)]
    Serve(Serve),
    /// Only follow the orders feed: for a database that `serve --no-poll` serves
    Poll(Poll),
    /// State geos and customers from CSV files; what is the same already is left alone, so it can be done again
    Import(Import),
    /// Bring the database's schema up to date, and end
    #[command(after_help = MIGRATE)]
    Migrate(Migrate),
}

#[derive(Debug, Args)]
struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "CUSTOMER_LISTEN",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:8082"
    )]
    listen: SocketAddr,
    /// File of the bearer tokens that are taken, in lines `read TOKEN` and `write TOKEN` [default: no tokens needed]
    #[arg(long, env = "CUSTOMER_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Web origin whose pages may read the answers, such as https://app.example.org, or * for all; can be repeated, in
    /// the environment with commas [default: none]
    #[arg(
        long,
        env = "CUSTOMER_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    cors_origin: Vec<CorsOrigin>,
    /// Do not follow the orders feed: `customer-svc poll` does it
    #[arg(long, env = "CUSTOMER_NO_POLL", value_parser = BoolishValueParser::new())]
    no_poll: bool,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    followed: Followed,
    #[command(flatten)]
    poller: Poller,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Poll {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    followed: Followed,
    #[command(flatten)]
    poller: Poller,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Import {
    /// CSV file with the columns geo,name,max_mbps,capacity_mbps
    #[arg(
        long,
        env = "CUSTOMER_IMPORT_GEOS",
        value_name = "FILE",
        required_unless_present = "customers"
    )]
    geos: Option<PathBuf>,
    /// CSV file with the columns customer_id,name,geo,current_mbps
    #[arg(long, env = "CUSTOMER_IMPORT_CUSTOMERS", value_name = "FILE")]
    customers: Option<PathBuf>,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Migrate {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Database {
    /// The database: a file of SQLite, by its path or sqlite:PATH, created if it is not there; or one of PostgreSQL that
    /// is there, by postgres://USER:PASSWORD@HOST/NAME, where several instances may serve
    ///
    /// What stands in the environment is not seen by other users of the machine, as a flag is. A URL's parameters are
    /// those of libpq (sslmode=disable, prefer, require or verify-full; sslrootcert, options, ...), and writers (default
    /// 16) and readers (4): the connections of one process.
    #[arg(
        long,
        visible_alias = "database-url",
        env = "DATABASE_URL",
        value_name = "DATABASE",
        default_value = "customer.db",
        hide_env_values = true
    )]
    database: String,
}

#[derive(Debug, Args)]
struct Followed {
    /// URL of the orders feed
    #[arg(
        long,
        env = "CUSTOMER_ORDERS_FEED",
        value_name = "URL",
        default_value = "http://127.0.0.1:8081/feeds/orders"
    )]
    orders_feed: String,
    /// File that holds the bearer token for the orders feed
    #[arg(long, env = "CUSTOMER_ORDERS_TOKEN_FILE", value_name = "FILE")]
    orders_token_file: Option<PathBuf>,
    /// Where the feed may be: any address, or public ones only, also when its name is looked up anew
    #[arg(long, env = "CUSTOMER_FEED_ADDRESSES", value_enum, default_value_t = Addresses::Any)]
    feed_addresses: Addresses,
}

#[derive(Debug, Args)]
struct Poller {
    /// How long the lease of the subscription lasts, in milliseconds: within that time another instance takes it over
    /// after a sudden death
    #[arg(long, env = "CUSTOMER_LEASE_MS", value_name = "MS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(100..=600_000))]
    lease_ms: u64,
    /// Longest wait after failures in a row, in milliseconds (100 to 600000), unless the feed's server asks for a longer
    /// one, up to a minute
    #[arg(long, env = "CUSTOMER_RETRY_MS_MAX", value_name = "MS", default_value_t = 30_000,
          value_parser = clap::value_parser!(u64).range(100..=600_000))]
    retry_ms_max: u64,
    /// Time between two polls when there is nothing new, of a feed that does not wait with its answer, in milliseconds
    #[arg(long, env = "CUSTOMER_POLL_INTERVAL_MS", value_name = "MS", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    poll_interval_ms: u64,
    /// Into how many partitions a new subscription is split, 1 to 64, which the running instances share; one that is there
    /// keeps what it has (`feedctl sub partitions` changes that) [default: 1]
    #[arg(long, env = "CUSTOMER_PARTITIONS", value_name = "K", value_parser = clap::value_parser!(u32).range(1..=64))]
    partitions: Option<u32>,
}

#[derive(Debug, Args)]
struct Log {
    /// How log lines are written to stderr
    #[arg(
        long,
        env = "CUSTOMER_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text
    )]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace, also by module, such as `info,customer_svc=debug`
    #[arg(
        long,
        env = "CUSTOMER_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info"
    )]
    log_level: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Addresses {
    /// Wherever the URL leads
    Any,
    /// Neither this machine nor private networks
    Public,
}

impl From<Addresses> for AllowedAddresses {
    fn from(addresses: Addresses) -> Self {
        match addresses {
            Addresses::Any => AllowedAddresses::Any,
            Addresses::Public => AllowedAddresses::PublicOnly,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// The log cannot be written as asked for.
    #[error("--log-level: {0}")]
    Log(String),
    /// The service did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The service ended before it was told to.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The files were not imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The schema is not up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

impl Cli {
    /// Does what was asked for, until it is done or the process is told to stop.
    ///
    /// # Errors
    /// The message says what is wrong and what to change.
    pub async fn run(self) -> Result<(), CliError> {
        let (settings, log) = match self.command {
            Command::Serve(serve) => (
                Settings {
                    database: serve.database.database,
                    followed: serve.followed.settings(),
                    http: Some(HttpSettings {
                        listen: serve.listen,
                        tokens: serve.tokens,
                        cors_origins: serve.cors_origin,
                    }),
                    poller: (!serve.no_poll).then(|| serve.poller.settings()),
                },
                serve.log,
            ),
            Command::Poll(poll) => (
                Settings {
                    database: poll.database.database,
                    followed: poll.followed.settings(),
                    http: None,
                    poller: Some(poll.poller.settings()),
                },
                poll.log,
            ),
            Command::Import(import) => {
                import.log.start()?;
                let settings = ImportSettings {
                    database: import.database.database,
                    geos: import.geos,
                    customers: import.customers,
                };
                return Ok(import::run(settings).await?);
            }
            Command::Migrate(migrate) => {
                migrate.log.start()?;
                return Ok(migrate::run(&migrate.database.database).await?);
            }
        };
        log.start()?;
        let stop = feed_core::shutdown_signal();
        Ok(Application::build(settings).await?.run(stop).await?)
    }
}

impl Followed {
    fn settings(self) -> FollowedFeed {
        FollowedFeed {
            url: self.orders_feed,
            token_file: self.orders_token_file,
            addresses: self.feed_addresses.into(),
        }
    }
}

impl Poller {
    fn settings(self) -> PollerSettings {
        PollerSettings {
            poll_interval: Duration::from_millis(self.poll_interval_ms),
            lease: Duration::from_millis(self.lease_ms),
            retry_max: Duration::from_millis(self.retry_ms_max),
            partitions: self.partitions,
        }
    }
}

impl Log {
    fn start(&self) -> Result<(), CliError> {
        let wrong = |error: &dyn std::error::Error| CliError::Log(error.to_string());
        // The migrations' own lines say nothing that matters, unless they are asked for.
        let filter = format!("refinery_core=warn,{}", self.log_level);
        let filter = EnvFilter::try_new(filter).map_err(|error| wrong(&error))?;
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        match self.log_format {
            LogFormat::Text => log.try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        }
        .map_err(|error| wrong(&*error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn origins_are_checked_and_their_flag_is_named() {
        let parse = |origins: &[&str]| {
            let flags = origins.iter().flat_map(|origin| ["--cors-origin", *origin]);
            Cli::try_parse_from(["customer-svc", "serve"].into_iter().chain(flags))
        };
        let Command::Serve(serve) = parse(&["https://a.example", "http://b.example:3000"])
            .unwrap()
            .command
        else {
            panic!("another command");
        };
        assert_eq!(serve.cors_origin.len(), 2);
        let error = parse(&["a.example"]).unwrap_err().to_string();
        assert!(
            error.contains("--cors-origin") && error.contains("scheme://host"),
            "{error}"
        );
    }
}
