//! What may happen to a subscription, one move after another.

use proptest::prelude::*;

/// Subjects that events are about.
pub(super) const SUBJECTS: usize = 4;

/// Instances of the subscription.
pub(super) const INSTANCES: usize = 2;

/// What becomes of an event when its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is applied.
    Good,
    /// It fails so many times, and may succeed later.
    Transient(u32),
    /// It fails so many times, and may succeed later, but not for ever.
    Lasting(u32),
    /// It fails until it is mended.
    Permanent,
    /// Its handler panics until it is mended.
    Panic,
}

/// A parked event, a key, or all. Numbers are taken modulo what there is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Event(usize),
    Key(usize),
    All,
}

/// What an operator does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Pause,
    Resume,
    Retry(Which),
    Drop(Which),
    Skip,
    /// To the event with this number, modulo how many there are; 0 is before the first.
    Reset(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Move {
    /// The feed gets an event.
    Append { subject: usize, fate: Fate },
    /// An instance takes so many steps.
    Steps { instance: usize, count: usize },
    /// An instance dies and another one takes its place; its lease stays until it is over.
    Restart(usize),
    /// The time of the lease is over.
    Expire,
    /// What is wrong with an event is mended.
    Mend(usize),
    /// An operator changes something.
    Operate(Operation),
    /// An operator tries what would happen.
    Rehearse(Operation),
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Good),
        2 => (1..4_u32).prop_map(Fate::Transient),
        2 => (1..8_u32).prop_map(Fate::Lasting),
        3 => Just(Fate::Permanent),
        1 => Just(Fate::Panic),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        3 => (0..40_usize).prop_map(Which::Event),
        2 => (0..SUBJECTS).prop_map(Which::Key),
        2 => Just(Which::All),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => Just(Operation::Pause),
        4 => Just(Operation::Resume),
        4 => which().prop_map(Operation::Retry),
        2 => which().prop_map(Operation::Drop),
        1 => Just(Operation::Skip),
        1 => (0..40_usize).prop_map(Operation::Reset),
    ]
}

fn one() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0..SUBJECTS, fates()).prop_map(|(subject, fate)| Move::Append { subject, fate }),
        10 => (0..INSTANCES, 1..7_usize).prop_map(|(instance, count)| Move::Steps { instance, count }),
        1 => (0..INSTANCES).prop_map(Move::Restart),
        2 => Just(Move::Expire),
        2 => (0..40_usize).prop_map(Move::Mend),
        6 => operations().prop_map(Move::Operate),
        1 => operations().prop_map(Move::Rehearse),
    ]
}

/// Any sequence of moves.
pub(super) fn sequences() -> impl Strategy<Value = Vec<Move>> {
    proptest::collection::vec(one(), 1..90)
}
