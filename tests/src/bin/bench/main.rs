//! Measures Feedway beside a bare rusqlite loop that does the same inserts, in one run, in turn, several rounds.
//!
//! Prints medians, their spread, and ratios; a ratio says more than a rate, since machines differ and are noisy.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

mod append;
mod catch_up;
#[cfg(feature = "peers")]
mod peers;
mod postgres;
mod report;

use clap::Parser;

use report::Report;

/// What every part may fail with: it ends the run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measure appends and catch-up against a bare rusqlite loop, or against plain inserts into PostgreSQL.
#[derive(Parser)]
struct Options {
    #[cfg(feature = "peers")]
    #[command(subcommand)]
    part: Option<Part>,
    /// Rounds; medians are taken over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Events per round of the single-writer measurements.
    #[arg(long, default_value_t = 4_000)]
    appends: u32,
    /// Events in the feed that is caught up with.
    #[arg(long, default_value_t = 100_000)]
    feed: u32,
    /// Measure on PostgreSQL instead: a cluster of its own is started.
    #[arg(long)]
    postgres: bool,
    /// Events in the largest feed whose pages are read on PostgreSQL: up to 10,000,000, which needs 10 GB of disk.
    #[arg(long, default_value_t = 1_000_000)]
    page_events: u32,
    /// Bytes of data in an event.
    #[arg(long, default_value_t = 512)]
    event_bytes: usize,
}

/// What is measured by other means.
#[cfg(feature = "peers")]
#[derive(clap::Subcommand)]
enum Part {
    Peers(peers::Options),
    /// A process that is measured by another one.
    #[command(hide = true)]
    PeersServe(peers::ServeOptions),
    #[command(hide = true)]
    PeersBare(peers::BareOptions),
}

#[cfg(feature = "peers")]
impl Part {
    fn run(&self, runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
        match self {
            Part::Peers(options) => peers::run(options),
            Part::PeersServe(options) => runtime.block_on(peers::serve(options)),
            Part::PeersBare(options) => runtime.block_on(peers::bare(options)),
        }
    }
}

fn main() -> std::process::ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; its figures mean nothing. Use scripts/bench.");
        return std::process::ExitCode::from(2);
    }
    match run(&Options::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    #[cfg(feature = "peers")]
    if let Some(part) = &options.part {
        return part.run(&runtime);
    }
    if options.postgres {
        return postgres::run(&runtime, options);
    }
    let mut report = Report::default();
    let mut caught_up = catch_up::Prepared::new(&runtime, options.feed, options.event_bytes)?;
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        append::round(&runtime, &mut report, options.appends, options.event_bytes)?;
        caught_up.round(&runtime, &mut report)?;
    }
    println!("{}", report.table(options.event_bytes));
    Ok(())
}
