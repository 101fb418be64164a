//! Feeds as programs see them that nobody here wrote: feed readers, validators, SDKs, caches. They run as processes of
//! their own against the live services and against a feed of events that are easily broken on the way.
//!
//! What each of them saw is written to stderr, so that a check that looked at nothing does not pass for one. Each is also
//! shown a document that is broken in a way which it has to notice.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod between;
mod caching;
mod deploy;
mod feeds;
mod nginx;
mod openapi;
mod readers;
mod stale;
mod tools;

#[path = "../end_to_end/databases.rs"]
#[allow(dead_code, reason = "both services are on SQLite here")]
mod databases;
#[path = "../served/nasty.rs"]
#[allow(dead_code, reason = "its parts are named by other tests")]
mod nasty;
#[path = "../contract_consumer/reader.rs"]
#[allow(dead_code, reason = "its consumers have other scripts elsewhere")]
mod reader;
#[path = "../end_to_end/running.rs"]
#[allow(dead_code, reason = "no test here restarts a service")]
mod running;
#[path = "../contract_consumer/scripted.rs"]
#[allow(dead_code, reason = "the reader names it")]
mod scripted;
#[path = "../served/mod.rs"]
#[allow(dead_code, reason = "most replies are read by others here")]
mod served;

/// The consumers' databases.
async fn fresh(migrations: feed_core::Migrations) -> feedway_tests::fresh_store::FreshStore {
    feedway_tests::fresh_store::FreshStore::sqlite(migrations).await
}

/// The stores of the services here.
const USUAL: databases::Stores = databases::Stores {
    order: databases::On::Sqlite,
    customer: databases::On::Sqlite,
};
