//! Torture: the real services, killed, stopped, lied to and starved by a seed, and a checker that reads what is left.
//!
//! A run of one seed starts order-svc, customer-svc and up to three instances of its poller on databases of their own, with
//! a fault proxy on each way; places orders; does what the seed says to processes, network, disk and clock; heals all of
//! it; lets what is parked be applied; waits until every order is settled; and compares databases and histories (in the
//! manner of Jepsen's checker for Kafka). The services are built with the feature `faults` of feed-core, so that they
//! crash and stop at chosen points, and keep a ledger of every event that they apply, in the transaction that applies it.
//!
//! Each service is on SQLite or on PostgreSQL, as the seed says: on a server that all runs share, where there is one.
//!
//! `scenario` draws from the seed; `template` and `server` are what runs share; `process`, `makes` and `cluster` run the
//! services; `mischief` and `meddling` do the damage; `witness` looks on; `run` is one seed; `ledger`, `checker` and
//! `anomaly` judge; `campaign` runs many seeds; `bugs` sees that planted bugs are found.

pub mod anomaly;
#[cfg(feature = "faults")]
pub mod bugs;
#[cfg(feature = "faults")]
pub mod campaign;
pub mod checker;
#[cfg(feature = "faults")]
pub mod cluster;
mod ledger;
#[cfg(feature = "faults")]
mod makes;
#[cfg(feature = "faults")]
mod meddling;
#[cfg(feature = "faults")]
mod mischief;
pub mod place;
#[cfg(feature = "faults")]
mod process;
#[cfg(feature = "faults")]
pub mod run;
pub mod scenario;
#[cfg(feature = "faults")]
pub mod server;
#[cfg(feature = "faults")]
pub mod template;
#[cfg(feature = "faults")]
mod witness;

#[cfg(test)]
mod tests;
