//! The embedded store: one SQLite file, one writer thread with group commit, a pool of readers.
//!
//! For a caller who holds a transaction of his own there is [`append`], by which an event joins it.

mod boot_clock;
mod callers;
mod checkpoint;
mod connection;
mod log;
mod migrate;
mod moving;
mod outbox;
mod prepared;
mod queue;
mod readers;
mod rows;
mod scan;
mod session;
mod statements;
mod store;
mod time_limit;
mod tx;
mod watcher;
mod writer;

pub(crate) use moving::SqliteSide;
pub(crate) use store::SqliteStore;
pub(crate) use tx::{SqliteTx, borrowed};

use chrono::Utc;

use crate::error::AppendError;
use crate::event::{EventId, NewEvent, Subject, to_micros};
use crate::store::{Appended, Expected, LeaseClock};

use outbox::{Appends, Outbox};

/// What the clock of leases says.
#[cfg_attr(
    not(feature = "client"),
    allow(dead_code, reason = "leases belong to consumers")
)]
pub(crate) fn lease_clock() -> LeaseClock {
    boot_clock::now()
}

/// Appends events about `subject` to the outbox of `feed`, inside a transaction that the caller holds and commits.
///
/// The file must have been opened by [`Store::open`](crate::Store::open) once, for its schema.
///
/// # Errors
/// As [`Tx::append`](crate::Tx::append); and [`AppendError::NotDurable`] unless the connection syncs at every commit
/// (`PRAGMA synchronous` FULL or EXTRA), since an acknowledged event could be lost otherwise (invariant I2).
pub fn append(
    transaction: &rusqlite::Transaction<'_>,
    feed: &str,
    subject: &Subject,
    expected: Expected,
    events: &[NewEvent],
) -> Result<Appended, AppendError> {
    let synchronous: i64 = transaction
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .map_err(connection::store_error)?;
    if synchronous < 2 {
        return Err(AppendError::NotDurable {
            found: format!("PRAGMA synchronous={synchronous}"),
            needed: "FULL or EXTRA",
        });
    }
    let now = to_micros(Utc::now());
    let events: Vec<NewEvent> = events
        .iter()
        .cloned()
        .map(|mut event| {
            event.time.get_or_insert(now);
            event.id.get_or_insert_with(EventId::now);
            event
        })
        .collect();
    Outbox::new(transaction).append(now, feed, subject, expected, &events)
}
