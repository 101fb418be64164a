//! The binary itself: what it prints, how it ends, and what it leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]
// Pipes, signals and shells are those of Unix.
#![cfg(unix)]

mod bench;
mod conformance;
mod epochs;
mod feed;
mod moving;
mod moving_refused;
mod process;
mod sub;
mod sub_changes;
mod sub_partitions;
mod subscriber;
mod tail;
mod tail_failures;
mod verify;
