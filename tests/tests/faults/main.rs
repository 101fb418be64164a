//! The proxy that does damage: each kind arrives as it is said, the same seed does the same, what is healed passes, and no
//! consumer behind it loses or doubles anything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod following;
mod kinds;
mod lies;
mod passing;
mod scene;

#[path = "../contract_consumer/reader.rs"]
#[allow(dead_code, reason = "its consumers have other scripts elsewhere")]
mod reader;
#[path = "../contract_consumer/scripted.rs"]
#[allow(dead_code, reason = "the reader names it")]
mod scripted;
#[path = "../served/mod.rs"]
#[allow(dead_code, reason = "replies are looked at by other tests")]
mod served;

/// The consumers' databases.
async fn fresh(migrations: feed_core::Migrations) -> feedway_tests::fresh_store::FreshStore {
    feedway_tests::fresh_store::FreshStore::sqlite(migrations).await
}
