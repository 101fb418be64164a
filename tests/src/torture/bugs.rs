//! Planted bugs, each of which has to be found: a checker that finds none of them checks nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use feed_core::faults::{BUGS, Bug};
use futures_util::{StreamExt, stream};

use super::anomaly::Kind;
use super::campaign::one;
use super::run::Given;
use super::scenario::{Choice, Kind as StoreKind};
use super::template::Template;
use crate::failure::Failure;

/// Seeds that may be needed until a bug is found, at most.
pub const SEEDS_MAX: u64 = 60;

/// What came of a planted bug.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its word.
    pub bug: &'static str,
    /// The seeds that were run.
    pub seeds: u64,
    /// As what it was found; empty if it was not.
    pub kinds: BTreeSet<Kind>,
    /// The first thing that was seen.
    pub example: String,
}

impl Found {
    /// Whether it was found, as what it is and not only by a run that broke.
    pub fn is_found(&self) -> bool {
        self.kinds
            .iter()
            .any(|kind| !matches!(kind, Kind::Broken | Kind::Stalled))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        let kinds = if self.is_found() {
            kinds.join(", ")
        } else {
            "NOT FOUND".to_owned()
        };
        write!(f, "| `{}` | {} | {kinds} |", self.bug, self.seeds)
    }
}

/// Plants each bug in turn and runs seeds until it is found.
///
/// # Errors
/// When no folder can be made.
pub async fn find_all(
    template: &Template,
    first_seed: u64,
    jobs: usize,
    keep: &Path,
    mut told: impl FnMut(&Found),
) -> Result<Vec<Found>, Failure> {
    let mut all = Vec::new();
    for (word, bug) in BUGS {
        let Some(choice) = stores_with(*bug, template.server.is_some()) else {
            continue;
        };
        let given = Given {
            template,
            choice,
            bug: Some(word),
        };
        let found = find(given, word, first_seed, jobs, keep).await?;
        told(&found);
        all.push(found);
    }
    Ok(all)
}

/// The stores that have a bug; none when they are not there.
fn stores_with(bug: Bug, has_postgres: bool) -> Option<Choice> {
    match bug {
        Bug::AnswerBeforeCommit => Some(Choice::Only(StoreKind::Sqlite)),
        Bug::PlacedByNumber
        | Bug::PlacedAfterAWhile
        | Bug::HeadAndRowsApart
        | Bug::WritersNotify => has_postgres.then_some(Choice::Only(StoreKind::Postgres)),
        _ if has_postgres => Some(Choice::Both),
        _ => Some(Choice::Only(StoreKind::Sqlite)),
    }
}

async fn find(
    given: Given<'_>,
    bug: &'static str,
    first_seed: u64,
    jobs: usize,
    keep: &Path,
) -> Result<Found, Failure> {
    let mut found = Found {
        bug,
        seeds: 0,
        kinds: BTreeSet::new(),
        example: String::new(),
    };
    let seeds = first_seed..first_seed.saturating_add(SEEDS_MAX);
    let mut outcomes = stream::iter(seeds)
        .map(|seed| one(given, seed, keep))
        .buffered(jobs.max(1));
    while let Some(outcome) = outcomes.next().await {
        let outcome = outcome?;
        found.seeds += 1;
        found
            .kinds
            .extend(outcome.anomalies.iter().map(|anomaly| anomaly.kind));
        if let Some(first) = outcome
            .anomalies
            .first()
            .filter(|_| found.example.is_empty())
        {
            found.example = format!("seed {}: {first}", outcome.seed);
        }
        if found.is_found() {
            break;
        }
    }
    Ok(found)
}
