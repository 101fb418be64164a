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
mod report;

use clap::Parser;

use report::Report;

/// What every part may fail with: it ends the run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measure appends and catch-up against a bare rusqlite loop.
#[derive(Parser)]
struct Options {
    /// Rounds; medians are taken over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Events per round of the single-writer measurements.
    #[arg(long, default_value_t = 4_000)]
    appends: u32,
    /// Events in the feed that is caught up with.
    #[arg(long, default_value_t = 100_000)]
    feed: u32,
    /// Bytes of data in an event.
    #[arg(long, default_value_t = 512)]
    event_bytes: usize,
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
