//! What the contract of the stores promises, checked on SQLite. `store_conformance_postgres` checks the same cases on
//! PostgreSQL: a further store joins by one more file like these two.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod appending;
mod concurrency;
mod kit;
mod reading;
mod searching;
mod timers;
mod timers_failing;

use std::sync::Arc;

use kit::{MIGRATIONS, Place, Tested, event, note, notes, subject};

/// A new, empty store.
async fn store() -> Option<Arc<Tested>> {
    let folder = tempfile::tempdir().unwrap();
    let url = folder
        .path()
        .join("store.db")
        .to_string_lossy()
        .into_owned();
    Some(Tested::open(url, Place::File(folder)).await)
}
