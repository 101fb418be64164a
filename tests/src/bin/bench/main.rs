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
mod idle;
mod latency;
mod postgres;
mod report;
mod served;
mod serving;

use clap::{Parser, Subcommand};

use report::Report;

/// What every part may fail with: it ends the run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measure appends and catch-up against a bare rusqlite loop, or against plain inserts into PostgreSQL.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
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

/// One part alone, instead of appends and catch-up.
#[derive(Subcommand)]
enum Part {
    Serving(serving::ServingOptions),
    Idle(idle::IdleOptions),
    Latency(latency::LatencyOptions),
    #[command(hide = true)]
    Serve(served::ServeOptions),
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
    match &options.part {
        Some(Part::Serving(options)) => return serving::run(options),
        Some(Part::Idle(options)) => return idle::run(options),
        Some(Part::Latency(options)) => return latency::run(&runtime, options),
        Some(Part::Serve(options)) => return served::serve(&runtime, options),
        None => {}
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
