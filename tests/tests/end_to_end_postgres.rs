//! The real binaries with their databases on PostgreSQL, and one on each store: the cases of `end_to_end`, as they are, and
//! what happens when PostgreSQL is away.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]
#![allow(clippy::print_stdout, reason = "the seed of a random run")]

#[path = "end_to_end/away.rs"]
mod away;
#[path = "end_to_end/crashes.rs"]
mod crashes;
#[path = "end_to_end/databases.rs"]
mod databases;
#[path = "end_to_end/expiry.rs"]
mod expiry;
#[path = "end_to_end/mixed.rs"]
mod mixed;
#[path = "end_to_end/reading.rs"]
mod reading;
#[path = "end_to_end/rebuilding.rs"]
mod rebuilding;
#[path = "end_to_end/running.rs"]
mod running;
#[path = "end_to_end/sagas.rs"]
mod sagas;
#[path = "end_to_end/witness.rs"]
mod witness;
#[path = "end_to_end/writers.rs"]
mod writers;

use databases::{On, Stores};

/// The stores of most tests here.
const USUAL: Stores = Stores {
    order: On::Postgres,
    customer: On::Postgres,
};
/// How often a service is killed: each start takes its time on PostgreSQL.
const KILLS: usize = 20;
