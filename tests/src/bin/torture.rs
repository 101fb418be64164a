//! `scripts/torture`: the services under kill, stop, lies and hunger, by the seed, and a checker for what is left.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it says is what it is there for"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use feedway_tests::binaries::{self, Profile};
use feedway_tests::postgres;
use feedway_tests::torture::bugs;
use feedway_tests::torture::campaign::{Campaign, Tally};
use feedway_tests::torture::scenario::{Choice, Kind};
use feedway_tests::torture::server::Server;
use feedway_tests::torture::template::Template;
use feedway_tests::{Context, Failure};

/// Runs order-svc, customer-svc and its pollers while they are killed, stopped, lied to and starved, and checks by their
/// databases and histories that nothing was lost, repeated, reordered or left behind.
///
/// Each seed is a run of its own, of one to two seconds, and says on which store each service is: SQLite or, where it is
/// installed, PostgreSQL. The services are built with crash points and a ledger in them
/// (feature `faults`).
#[derive(Debug, Parser)]
#[command(
    name = "torture",
    version,
    max_term_width = 110,
    after_help = "Exit codes: 0 nothing was wrong, every planted bug was found; 1 something was; 2 it could not begin."
)]
struct Args {
    /// How many seeds to run [default: 100, or as many as --hours or --minutes hold]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed; the same seed does the same
    #[arg(long, value_name = "S", default_value_t = 1)]
    first_seed: u64,
    /// For how many hours seeds are begun
    #[arg(long, value_name = "H", conflicts_with = "minutes")]
    hours: Option<f64>,
    /// For how many minutes seeds are begun
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Fail if fewer seeds than this were run in the time
    #[arg(long, value_name = "N")]
    at_least: Option<u64>,
    /// Seeds at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// The store of both services [default: as each seed says]
    #[arg(long, value_enum, value_name = "STORE")]
    store: Option<Store>,
    /// File in which seeds that went well are noted, so that a run can be interrupted and gone on with
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Plant each of the known bugs instead, and see that it is found
    #[arg(long)]
    bugs: bool,
    /// Folder for the runs; those that went wrong stay there [default: memory, where the system has /dev/shm]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

impl Args {
    /// The stores that runs choose from; only SQLite where PostgreSQL is missing, unless it was asked for.
    fn choice(&self) -> Choice {
        match self.store {
            Some(Store::Sqlite) => Choice::Only(Kind::Sqlite),
            Some(Store::Postgres) => Choice::Only(Kind::Postgres),
            None if postgres::is_there() => Choice::Both,
            None => Choice::Only(Kind::Sqlite),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match torture(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("torture: {failure}");
            ExitCode::from(2)
        }
    }
}

async fn torture(args: &Args) -> Result<bool, Failure> {
    let memory = PathBuf::from("/dev/shm");
    let base = args.dir.clone().unwrap_or(if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    });
    let folder = tempfile::Builder::new()
        .prefix("torture-")
        .tempdir_in(&base)
        .context(base.display())?;
    let binaries = tokio::task::spawn_blocking(|| binaries::build_faulty(Profile::own()))
        .await
        .context("building")??;
    let binaries = binaries.copied_to(folder.path())?;
    let choice = args.choice();
    let server = match choice {
        Choice::Only(Kind::Sqlite) => {
            if args.store.is_none() {
                eprintln!(
                    "torture: only on SQLite, since PostgreSQL is not there: {}",
                    postgres::HOW_TO_INSTALL
                );
            }
            None
        }
        // Beside the folder of the runs, which whom the server runs as may not enter.
        Choice::Both | Choice::Only(Kind::Postgres) => Some(Server::start(&base).await?),
    };
    let template = Template::make(folder.path(), binaries, server)?;
    if let Some(server) = &template.server {
        server.seal_template().await?;
    }
    if args.bugs {
        return planted(args, &template, folder.path()).await;
    }
    let hours = args.hours.or(args.minutes.map(|minutes| minutes / 60.0));
    let time = hours.map(|hours| Duration::from_secs_f64(hours.max(0.0) * 3_600.0));
    let campaign = Campaign {
        first_seed: args.first_seed,
        seeds: args.seeds.or(if time.is_none() { Some(100) } else { None }),
        time,
        jobs: args.jobs,
        choice,
        state: args.state.clone(),
        keep: folder.path().to_owned(),
    };
    let tally = campaign.run(&template).await?;
    println!("{}", told(&tally));
    if !tally.bad.is_empty() {
        println!(
            "Databases and logs of the bad seeds are in {}",
            folder.keep().display()
        );
        return Ok(false);
    }
    if args.at_least.is_some_and(|least| tally.run < least) {
        println!("fewer than {} seeds", args.at_least.unwrap_or_default());
        return Ok(false);
    }
    Ok(true)
}

fn told(tally: &Tally) -> String {
    let mean = tally.runs_took.as_secs_f64() / (tally.run.max(1) as f64);
    let bad: Vec<String> = tally
        .bad
        .iter()
        .map(|outcome| outcome.seed.to_string())
        .collect();
    format!(
        "{} seeds, {} of them with PostgreSQL, in {:.0} s ({mean:.2} s each), {} events applied, {} seeds had gone well \
         before; {} with anomalies {}",
        tally.run,
        tally.on_postgres,
        tally.took.as_secs_f64(),
        tally.applied,
        tally.before,
        bad.len(),
        bad.join(" ")
    )
}

async fn planted(
    args: &Args,
    template: &Template,
    folder: &std::path::Path,
) -> Result<bool, Failure> {
    println!("| planted bug | seeds until it was found | found as |\n| --- | --- | --- |");
    let found = bugs::find_all(template, args.first_seed, args.jobs, folder, |found| {
        println!("{found}");
        eprintln!("  {}", found.example);
    });
    Ok(found.await?.iter().all(bugs::Found::is_found))
}
