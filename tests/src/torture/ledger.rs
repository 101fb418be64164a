//! What a service's database says of what its subscription did.

mod postgres;
mod sqlite;

use std::collections::HashSet;
use std::time::Duration;

use feed_core::{Cursor, EventId};

use super::place::Place;
use crate::failure::{Context, Failure};

/// Longest time that reading may take, in milliseconds: a database may be held by a process that was stopped.
const READ_MS_MAX: u64 = 15_000;

/// An event that was applied, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its place in the feed.
    pub position: u64,
    /// Its id.
    pub id: EventId,
    /// What it is about.
    pub subject: String,
    /// The number of the lease under which it was applied.
    pub fence: i64,
    /// Who held the lease.
    pub holder: Vec<u8>,
}

/// An event that was not simply applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the feed.
    pub position: u64,
    /// How it is doing.
    pub state: String,
    /// Why it could not be applied.
    pub error: String,
}

/// An event of a service's own feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its place.
    pub position: u64,
    /// Its id.
    pub id: EventId,
    /// What it is about.
    pub subject: String,
    /// The event that it follows up.
    pub cause: Option<EventId>,
}

/// All of it, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// The cursor's position.
    pub cursor: u64,
    /// Its state, and why.
    pub state: String,
    /// The reason.
    pub reason: String,
    /// In the order of application.
    pub applied: Vec<Applied>,
    /// By position.
    pub kept: Vec<Kept>,
    /// By position.
    pub published: Vec<Published>,
    /// What the subjects of events are that were committed and have no place yet.
    pub unplaced: Vec<String>,
    /// How many batches of places there were; none where each event has its place at once.
    pub batches: Option<u64>,
}

impl Books {
    /// Reads the database of a service with one subscription and one feed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(place: &Place) -> Result<Self, Failure> {
        let reading = async {
            match place {
                Place::File(path) => {
                    let path = path.clone();
                    let read = tokio::task::spawn_blocking(move || sqlite::read(&path));
                    read.await.context("reading")?
                }
                Place::Postgres(url) => postgres::read(url).await,
            }
        };
        let limit = Duration::from_millis(READ_MS_MAX);
        tokio::time::timeout(limit, reading)
            .await
            .context("reading took too long")?
    }

    fn stands_at(&mut self, cursor: Option<String>) {
        let cursor: Option<Cursor> = cursor.and_then(|cursor| cursor.parse().ok());
        self.cursor = cursor.map_or(0, |cursor| cursor.position.get());
    }

    /// Positions up to the cursor that were neither applied nor kept.
    pub fn passed_over(&self) -> Vec<u64> {
        let known: HashSet<u64> = self
            .applied
            .iter()
            .map(|one| one.position)
            .chain(
                self.kept
                    .iter()
                    .filter(|one| one.state != "retrying")
                    .map(|one| one.position),
            )
            .collect();
        (1..=self.cursor)
            .filter(|position| !known.contains(position))
            .collect()
    }
}
