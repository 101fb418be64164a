//! The consumer against feeds that play a script: what it asks, what it applies, and when it refuses to go on.
//!
//! `contract_consumer_postgres` plays those cases on PostgreSQL that the consumer's database has a part in.
//!
//! Every test ends in [`reader::Reader::assert_applied`], which compares the effects, the follow-up events and the
//! cursor with the events that should have been applied: each exactly once, in order, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod ahead;
mod batches;
mod bounds;
mod calls;
mod codings;
mod documents;
mod failures;
mod handlers;
mod histories;
mod hostile;
mod inbox;
mod leases;
mod live;
mod model;
mod once;
mod operators;
mod parking;
mod partitions;
mod polling;
mod raw;
mod reader;
mod rebuilds;
mod refusals;
mod scripted;
#[path = "../served/mod.rs"]
#[allow(dead_code, reason = "other tests look closer at what is served")]
mod served;
mod starts;
mod upgrade;
mod waits;

use feed_core::Migrations;
use feedway_tests::fresh_store::FreshStore;

/// Sequences of moves that are tried.
const MODEL_CASES: u32 = 48;

/// The consumer's database.
async fn fresh(migrations: Migrations) -> FreshStore {
    FreshStore::sqlite(migrations).await
}
