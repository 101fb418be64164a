//! Timers: what is to be done later, kept in the service's own database, so that a restart forgets none.
//!
//! A timer is set in the transaction that wants something done ([`Tx::set_timer`](crate::Tx::set_timer)), and taken away
//! in the one that does it ([`Timers`]): state, events and timers commit together or not at all (invariant I1). So each
//! setting fires once, whatever crashes, also when several processes fire the timers of one database.
//!
//! The clock decides only when a firing is tried; what is committed is decided by a compare-and-set on the timer's row.
//! A clock that jumps forward lets timers fire early, one that jumps back lets them fire late, each by as much as it
//! jumps; neither loses or doubles a firing.

mod batch;
mod handler;
mod run;
mod step;
mod storage;
mod timer;

#[cfg(test)]
mod tests;

pub use step::{TimerFailure, Timers, TimersOutcome};
pub use storage::TimerState;
pub use timer::{DueTimer, Timer};
