//! `feedctl bench append`: what a service gets that appends.

use std::time::Instant;

use feed_core::{Store, without_password};
use tokio::task::JoinSet;

use super::figures::{Figures, Rounds};
use super::scratch::{self, Scratch, failed};
use crate::cli::CliError;
use crate::progress::Steps;

const AFTER_HELP: &str = "\
Each writer appends, waits until its events are on the disk, and appends again, as a service does that answers a request by
then. An append is a transaction of its own, and its subject a new one; other writers' appends may share its sync. On
PostgreSQL the events have their positions a moment later: `with positions` says how many a second had theirs.

Exit codes: 0 measured; 1 an append was refused; 2 wrong usage, or no such database or folder.

Examples:
  feedctl bench append
  feedctl bench append --dir /var/lib/order-svc --writers 1,64
  feedctl bench append --database postgres://order@127.0.0.1/order --writers 16 --per-append 100 --events 100000";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// A service's database, which gets a feed named feedctl-bench: a file path, sqlite:PATH or postgres://…
    #[arg(long, value_name = "DATABASE", conflicts_with = "dir")]
    database: Option<String>,
    #[command(flatten)]
    scratch: Scratch,
    /// How many append at the same time; several numbers are measured in turn
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,16,64",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    writers: Vec<u32>,
    /// Events of one append, which has one acknowledgement
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    per_append: u32,
    /// Events of a round
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    events: u32,
    #[command(flatten)]
    rounds: Rounds,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let bytes = args.scratch.bytes;
    let (_folder, store, place) = match &args.database {
        Some(database) => {
            let store = scratch::open_as_service(database).await?;
            scratch::create_feed(&store).await?;
            (None, store, without_password(database))
        }
        None => {
            let folder = args.scratch.folder()?;
            let (path, store) = scratch::open(&folder).await?;
            (Some(folder), store, format!("SQLite in {path}"))
        }
    };
    let mut figures = Figures::of(format!("events of {bytes} bytes, appended to {place}"));
    let total = u64::from(args.rounds.rounds) * args.writers.len() as u64;
    let steps = Steps::new("measuring", total);
    let mut measured = Ok(());
    'rounds: for _ in 0..args.rounds.rounds {
        for writers in &args.writers {
            measured = round(&store, &args, *writers, &mut figures).await;
            if measured.is_err() {
                break 'rounds;
            }
            steps.one_more();
        }
    }
    drop(steps);
    store.close().await;
    measured?;
    figures.print(args.rounds).await
}

async fn round(
    store: &Store,
    args: &Args,
    writers: u32,
    figures: &mut Figures,
) -> Result<(), CliError> {
    let each = (args.events / writers / args.per_append).max(1);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let (store, scratch, per_append) = (store.clone(), args.scratch.clone(), args.per_append);
        tasks.spawn(async move {
            let mut took = Vec::with_capacity(each as usize);
            for append in 0..each {
                let (first, began) = (append * per_append, Instant::now());
                scratch::append(&store, &scratch, first..first + per_append).await?;
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
            }
            Ok::<_, CliError>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done.map_err(|error| CliError::Usage(error.to_string()))??);
    }
    let acknowledged = began.elapsed();
    store.sequenced().await.map_err(failed)?;
    let events = f64::from(each) * f64::from(writers) * f64::from(args.per_append);
    let name = match (writers, args.per_append) {
        (1, 1) => "1 writer".to_owned(),
        (writers, 1) => format!("{writers} writers"),
        (writers, events) => format!("{writers} x {events}"),
    };
    let rate = events / acknowledged.as_secs_f64();
    figures.add(format!("{name}, acknowledged"), "events/s", rate);
    let rate = events / began.elapsed().as_secs_f64();
    figures.add(format!("{name}, with positions"), "events/s", rate);
    figures.add_times(&format!("{name}, one append"), took);
    Ok(())
}
