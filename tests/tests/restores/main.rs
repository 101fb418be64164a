//! A feed's database is put back to an earlier state: its consumers go on or halt, and none of them skips.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod clusters;
mod dumps;
mod files;
mod kit;
