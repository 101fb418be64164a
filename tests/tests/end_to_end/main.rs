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
mod databases;
mod expiry;
mod reading;
mod rebuilding;
mod running;
mod sagas;
mod witness;
mod writers;

use databases::{On, Stores};

/// The stores of most tests here; `end_to_end_postgres` runs them on the other one.
const USUAL: Stores = Stores {
    order: On::Sqlite,
    customer: On::Sqlite,
};
/// How often a service is killed.
const KILLS: usize = 50;
