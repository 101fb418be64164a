//! The real binaries, as users run them: killed, stopped, started apart, late.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]
#![allow(clippy::print_stdout, reason = "the seed of a random run")]

mod crashes;
mod expiry;
mod reading;
mod rebuilding;
mod running;
mod sagas;
mod witness;
