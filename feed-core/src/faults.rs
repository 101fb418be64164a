//! Faults for the tests of the project itself: crashes and stops at chosen points, a wall clock that jumps, and planted
//! bugs that a checker has to find. Without the feature `faults` none of it is compiled in.

#![cfg_attr(
    not(feature = "faults"),
    allow(
        dead_code,
        unreachable_pub,
        reason = "what is not planted is not compiled in"
    )
)]

/// A bug that is planted on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// The cursor is saved before the effects, in a transaction of its own.
    CursorBeforeEffects,
    /// The effects are kept before the cursor is saved, in a transaction of their own.
    EffectsBeforeCursor,
    /// Neither fence nor holder nor cursor are compared.
    NoFence,
    /// Whoever takes a lease over goes on from a cursor that it had read before.
    StaleCursorOnTakeOver,
    /// An event is parked and the cursor stays.
    ParkWithoutCursor,
    /// The cursor passes an event that was not parked.
    CursorWithoutPark,
    /// A gap in what came is passed over.
    GapSkipped,
    /// What came is applied unverified, also what came a second time.
    RepeatsApplied,
    /// Events of a key with a parked event are applied.
    WaitingNotHeld,
    /// What waits is replayed with the newest first.
    ReplayNewestFirst,
    /// Transient errors park.
    TransientParks,
    /// Ids of follow-ups are random.
    FollowUpIdsRandom,
    /// A command is answered before its commit.
    AnswerBeforeCommit,
    /// PostgreSQL: events are placed whose number is higher than that of the last one that was, whichever are missing.
    PlacedByNumber,
    /// PostgreSQL: as before, but a missing number is waited for, for a while.
    PlacedAfterAWhile,
    /// PostgreSQL: a feed's head and its events are read in two statements.
    HeadAndRowsApart,
    /// PostgreSQL: whoever appends notifies.
    WritersNotify,
}

/// A moment at which a process may crash or be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// A subscription was taken.
    Taken,
    /// A document was fetched and verified.
    Fetched,
    /// A batch begins; its transaction is open.
    BatchBegins,
    /// A handler came to its end.
    Handled,
    /// The cursor was moved, within the transaction.
    CursorMoved,
    /// Before COMMIT.
    BeforeCommit,
    /// After COMMIT, before anybody was told.
    AfterCommit,
    /// An event was parked, within the transaction.
    Parked,
    /// A parked event was replayed, within the transaction.
    Replayed,
    /// A lease was renewed.
    Renewed,
    /// A timer fired, within the transaction.
    TimerFired,
    /// A sequencer has begun, and knows where the one before it has ended.
    SequencerLocked,
    /// A sequencer has found events without positions.
    SequencerFound,
    /// They have their positions, within the transaction.
    SequencerPlaced,
    /// The batch is noted, within the transaction.
    SequencerNoted,
}

#[cfg(not(feature = "faults"))]
mod inert {
    use super::{Bug, Point};
    use chrono::{DateTime, Utc};

    pub(crate) const fn planted(_: Bug) -> bool {
        false
    }

    pub(crate) const fn at(_: Point) {}

    pub(crate) fn wall_clock() -> DateTime<Utc> {
        Utc::now()
    }
}

#[cfg(not(feature = "faults"))]
#[allow(
    unused_imports,
    reason = "without a store there is nothing that could fail"
)]
pub(crate) use inert::{at, planted, wall_clock};

#[cfg(feature = "faults")]
mod active;

#[cfg(feature = "faults")]
pub use active::{BUGS, POINTS, variables};
#[cfg(feature = "faults")]
pub(crate) use active::{at, note_applied, planted, poison, wall_clock};
