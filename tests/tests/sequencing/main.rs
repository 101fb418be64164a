//! Giving positions on PostgreSQL (invariants I3 and I6): whoever commits when, dies where or is stopped for how long,
//! readers skip nothing, nothing gets two places, and nobody waits for others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod backlog;
mod broken;
mod many;
mod notified;
mod numbers;
mod orders;
mod scene;
mod stalled;
