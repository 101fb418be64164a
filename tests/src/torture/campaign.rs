//! Many seeds, several at the same time, which can be interrupted and gone on with.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use indicatif::{ProgressBar, ProgressStyle};

use super::anomaly::Kind;
use super::run::{Given, Outcome, run};
use super::scenario::{Choice, Kind as StoreKind};
use super::template::Template;
use crate::failure::{Context, Failure};

/// Which seeds, and where what is known of them is kept.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The first seed.
    pub first_seed: u64,
    /// How many; none: as many as the time holds.
    pub seeds: Option<u64>,
    /// For how long seeds are begun; none: until all are done.
    pub time: Option<Duration>,
    /// Seeds at the same time.
    pub jobs: usize,
    /// The stores that the runs may choose from.
    pub choice: Choice,
    /// Where the seeds that went well are noted, a line each; a run that goes on leaves them out.
    pub state: Option<PathBuf>,
    /// Where folders of seeds that went wrong are kept.
    pub keep: PathBuf,
}

/// What came of all of them.
#[derive(Debug, Default)]
pub struct Tally {
    /// Seeds that were run now.
    pub run: u64,
    /// Seeds that had gone well before.
    pub before: u64,
    /// Of those, how many had a service on PostgreSQL.
    pub on_postgres: u64,
    /// Events that were applied.
    pub applied: usize,
    /// Those that went wrong.
    pub bad: Vec<Outcome>,
    /// From the first to the last.
    pub took: Duration,
    /// The time of all runs together.
    pub runs_took: Duration,
}

impl Campaign {
    /// Runs the seeds.
    ///
    /// # Errors
    /// When the state cannot be read or written, or no folder can be made. Anomalies are no error: the tally has them.
    pub async fn run(&self, template: &Template) -> Result<Tally, Failure> {
        let began = Instant::now();
        let done = self.done()?;
        let mut state = self.state_file()?;
        let mut tally = Tally::default();
        let last = self
            .seeds
            .map(|seeds| self.first_seed.saturating_add(seeds));
        let seeds = (self.first_seed..last.unwrap_or(u64::MAX)).filter(|seed| !done.contains(seed));
        tally.before = done
            .iter()
            .filter(|seed| **seed >= self.first_seed && last.is_none_or(|last| **seed < last))
            .count() as u64;
        let in_time = |_: &u64| self.time.is_none_or(|time| began.elapsed() < time);
        let bar = bar(self.seeds.map(|seeds| seeds.saturating_sub(tally.before)));
        let mut outcomes = stream::iter(seeds.take_while(in_time))
            .map(|seed| {
                let given = Given {
                    template,
                    choice: self.choice,
                    bug: None,
                };
                one(given, seed, &self.keep)
            })
            .buffer_unordered(self.jobs.max(1));
        while let Some(outcome) = outcomes.next().await {
            let outcome = outcome?;
            bar.inc(1);
            tally.run += 1;
            let stores = [outcome.stores.order, outcome.stores.customer];
            tally.on_postgres += u64::from(stores.contains(&StoreKind::Postgres));
            tally.applied += outcome.applied;
            tally.runs_took += outcome.took;
            if outcome.anomalies.is_empty() {
                if let Some(state) = &mut state {
                    writeln!(state, "{}", outcome.seed).context("noting a seed")?;
                }
            } else {
                bar.suspend(|| report(&outcome));
                tally.bad.push(outcome);
            }
        }
        bar.finish_and_clear();
        tally.took = began.elapsed();
        Ok(tally)
    }

    fn done(&self) -> Result<BTreeSet<u64>, Failure> {
        let Some(path) = self.state.as_ref().filter(|path| path.exists()) else {
            return Ok(BTreeSet::new());
        };
        let text = fs::read_to_string(path).context(path.display())?;
        let seed = |line: &str| {
            line.trim()
                .parse()
                .context(format!("{}: {line:?}", path.display()))
        };
        text.lines().map(seed).collect()
    }

    fn state_file(&self) -> Result<Option<fs::File>, Failure> {
        let Some(path) = &self.state else {
            return Ok(None);
        };
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        file.map(Some).context(path.display())
    }
}

/// One seed, in a folder of its own, which is kept if it went wrong. A run that could not be made, which says nothing of
/// the services, is made once more.
pub(super) async fn one(given: Given<'_>, seed: u64, keep: &Path) -> Result<Outcome, Failure> {
    let first = in_a_folder(given, seed, keep).await?;
    let mut kinds = first.anomalies.iter().map(|anomaly| anomaly.kind);
    if !first.anomalies.is_empty() && kinds.all(|kind| kind == Kind::Broken) {
        return in_a_folder(given, seed, keep).await;
    }
    Ok(first)
}

async fn in_a_folder(given: Given<'_>, seed: u64, keep: &Path) -> Result<Outcome, Failure> {
    let folder = tempfile::Builder::new()
        .prefix(&format!("seed-{seed}-"))
        .tempdir_in(keep)
        .context(keep.display())?;
    let outcome = run(given, seed, folder.path()).await;
    if !outcome.anomalies.is_empty() && given.bug.is_none() {
        let _ = folder.keep();
    }
    Ok(outcome)
}

#[allow(
    clippy::print_stderr,
    reason = "what went wrong is told while the others run"
)]
fn report(outcome: &Outcome) {
    eprintln!(
        "seed {} (order-svc on {:?}, customer-svc on {:?}): {} anomalies",
        outcome.seed,
        outcome.stores.order,
        outcome.stores.customer,
        outcome.anomalies.len()
    );
    for anomaly in outcome.anomalies.iter().take(10) {
        eprintln!("  {anomaly}");
    }
}

fn bar(length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{bar:40} {pos} of {len} seeds  {elapsed} {eta}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {pos} seeds  {elapsed}",
        ),
    };
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
