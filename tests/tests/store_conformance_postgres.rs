//! What the contract of the stores promises, checked on PostgreSQL: the cases of `store_conformance`, as they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

#[path = "store_conformance/appending.rs"]
mod appending;
#[path = "store_conformance/concurrency.rs"]
mod concurrency;
#[path = "store_conformance/kit.rs"]
mod kit;
#[path = "store_conformance/reading.rs"]
mod reading;
#[path = "store_conformance/searching.rs"]
mod searching;
#[path = "store_conformance/timers.rs"]
mod timers;
#[path = "store_conformance/timers_failing.rs"]
mod timers_failing;

use std::sync::Arc;

use feedway_tests::postgres::Database;
use kit::{MIGRATIONS, Place, Tested, event, note, notes, subject};

/// A new, empty store; none where PostgreSQL is missing.
async fn store() -> Option<Arc<Tested>> {
    let database = Database::for_test("conformance").await.unwrap()?;
    let url = database.url().to_owned();
    Some(Tested::open(url, Place::Database(database)).await)
}
