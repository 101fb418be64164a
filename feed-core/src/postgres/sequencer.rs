//! Giving events their places after they were committed (invariants I3 and I6).
//!
//! Nobody who appends takes a lock of the feed. What was committed gets its places in batches: those events that are
//! visible now and were not in the snapshot that the last batch ended with, as PgQ does it. So a slow transaction gets its
//! places when it has committed, behind what is there by then, and holds nobody up; one that was rolled back leaves no
//! gap; and what was placed is never looked at again. Places are inserted and never changed.
//!
//! Any process may run a batch. An advisory lock lets one do so at a time; what makes it safe is the key of
//! `sequencer_batches`: of two that go on from the same batch, one is refused and looks anew.

mod batch;
mod place;
#[cfg(feature = "faults")]
mod planted;
mod statements;

pub(super) use batch::Sequencer;
pub(super) use place::{insert_batches_behind_copies, insert_first_batch};
