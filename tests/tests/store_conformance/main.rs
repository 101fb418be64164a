//! One suite for all stores: what the contract promises, checked on each of them.
//!
//! A store joins by one more module that opens it and calls the same cases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod appending;
mod concurrency;
mod reading;
mod searching;
mod timers;
mod timers_failing;

use std::sync::Arc;

use feed_core::testing::TempStore;
use feed_core::{FeedConfig, Migrations, NewEvent, Store, StoreError, Subject, Tx};

/// The service's own table, so that its SQL and its events share a transaction.
const MIGRATIONS: Migrations = Migrations {
    owner: "conformance",
    sqlite: &[(
        "V1__notes",
        "CREATE TABLE notes (note TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT",
    )],
    postgres: &[],
};

/// A new SQLite store with the feeds `first` and `second`, pages of three events.
async fn sqlite() -> Arc<TempStore> {
    let store = TempStore::new(MIGRATIONS).await;
    create_feeds(&store).await;
    Arc::new(store)
}

async fn create_feeds(store: &Store) {
    for name in ["first", "second"] {
        let config = FeedConfig::new(name, "conformance")
            .unwrap()
            .page_capacity(3)
            .unwrap();
        store
            .create_feed(config.event_bytes_max(1_000).unwrap())
            .await
            .unwrap();
    }
}

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

fn event(number: u32) -> NewEvent {
    NewEvent::json("Happened", &number).unwrap()
}

async fn note(tx: &mut Tx<'_>, note: &str) -> Result<u64, StoreError> {
    tx.execute(
        "INSERT INTO notes (note, number) VALUES ($1, $2)",
        &[note.into(), 1_i64.into()],
    )
    .await
}

async fn notes(store: &Store) -> Vec<String> {
    let rows = store
        .query::<(String,)>("SELECT note FROM notes ORDER BY note", &[])
        .await
        .unwrap();
    rows.into_iter().map(|(note,)| note).collect()
}
