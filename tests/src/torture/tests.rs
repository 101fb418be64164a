//! The checker finds what it is there for, in books that were made by hand.

use feed_core::EventId;

use super::anomaly::{Anomaly, Kind};
use super::checker::{Applied, Books, Kept, Published, Sides, TRANSIENT};

const SUBSCRIPTION: &str = "customers/orders";

fn id(position: u64) -> EventId {
    EventId::from_bytes(u128::from(position).to_be_bytes())
}

fn applied(position: u64) -> Applied {
    Applied {
        position,
        id: id(position),
        subject: format!("order-{}", position % 2),
        fence: 1,
        holder: vec![1],
    }
}

fn published(position: u64) -> Published {
    Published {
        position,
        id: id(position),
        subject: format!("order-{}", position % 2),
        cause: None,
    }
}

/// A producer with six events, and a consumer that has applied them all.
fn good() -> (Books, Books) {
    let producer = Books {
        published: (1..=6).map(published).collect(),
        ..Books::default()
    };
    let follow_up = Published {
        position: 1,
        id: EventId::follow_up(SUBSCRIPTION, id(3), 0),
        subject: "reservation-3".into(),
        cause: Some(id(3)),
    };
    let consumer = Books {
        cursor: 6,
        state: "running".into(),
        applied: (1..=6).map(applied).collect(),
        published: vec![follow_up],
        ..Books::default()
    };
    (consumer, producer)
}

fn judge(consumer: &Books, producer: &Books) -> Vec<Kind> {
    let sides = Sides {
        subscription: SUBSCRIPTION,
        consumer,
        producer,
    };
    let mut kinds: Vec<Kind> = sides
        .at_the_end()
        .iter()
        .map(|Anomaly { kind, .. }| *kind)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// What is found after `spoil` has changed the consumer's books.
fn spoiled(spoil: impl FnOnce(&mut Books)) -> Vec<Kind> {
    let (mut consumer, producer) = good();
    spoil(&mut consumer);
    judge(&consumer, &producer)
}

#[test]
fn good_books_are_good() {
    let (consumer, producer) = good();
    assert_eq!(judge(&consumer, &producer), []);
}

#[test]
fn events_that_were_passed_and_not_applied_are_lost() {
    let found = spoiled(|books| drop(books.applied.remove(2)));
    assert_eq!(found, [Kind::Lost, Kind::CursorAheadOfEffects]);
}

#[test]
fn events_that_were_applied_twice_are_found() {
    assert_eq!(
        spoiled(|books| books.applied.push(applied(6))),
        [Kind::Duplicated]
    );
}

#[test]
fn the_order_counts_within_a_subject_only() {
    assert_eq!(spoiled(|books| books.applied.swap(0, 1)), []);
    assert_eq!(spoiled(|books| books.applied.swap(0, 2)), [Kind::Reordered]);
}

#[test]
fn what_the_feed_does_not_have_was_never_to_be_applied() {
    let found = spoiled(|books| books.applied[5].id = id(99));
    assert_eq!(found, [Kind::Lost, Kind::AbortedRead]);
    let found = spoiled(|books| {
        (books.applied[4].id, books.applied[5].id) = (id(6), id(5));
    });
    assert_eq!(found, [Kind::DivergedPosition]);
}

#[test]
fn leases_are_not_mixed_up() {
    let older = spoiled(|books| {
        books.applied[3].fence = 2;
        books.applied[3].holder = vec![2];
    });
    assert_eq!(older, [Kind::FenceBroken]);
    assert_eq!(
        spoiled(|books| books.applied[3].holder = vec![2]),
        [Kind::FenceBroken]
    );
    let taken_over = spoiled(|books| {
        for one in &mut books.applied[3..] {
            (one.fence, one.holder) = (2, vec![2]);
        }
    });
    assert_eq!(taken_over, []);
}

#[test]
fn follow_ups_have_derived_ids() {
    assert_eq!(
        spoiled(|books| books.published[0].id = id(7)),
        [Kind::UnderivedId]
    );
    // What follows from something else is none of the subscription's.
    let found = spoiled(|books| {
        books.published[0].id = id(7);
        books.published[0].cause = Some(id(1_000));
    });
    assert_eq!(found, []);
}

#[test]
fn what_is_kept_counts_as_passed_but_not_as_the_end() {
    let kept = |state: &str, error: &str| {
        let kept = Kept {
            position: 6,
            state: state.into(),
            error: error.into(),
        };
        spoiled(|books| {
            books.applied.pop();
            books.kept.push(kept);
        })
    };
    assert_eq!(kept("parked", "no such lamp"), [Kind::Lost, Kind::Stalled]);
    assert_eq!(
        kept("parked", TRANSIENT),
        [Kind::Lost, Kind::TransientParked, Kind::Stalled]
    );
    assert_eq!(
        kept("retrying", "x"),
        [Kind::Lost, Kind::CursorAheadOfEffects, Kind::Stalled]
    );
}

#[test]
fn a_subscription_that_does_not_come_to_the_end_is_found() {
    assert_eq!(spoiled(|books| books.cursor = 5), [Kind::Stalled]);
    assert_eq!(
        spoiled(|books| books.state = "halted".into()),
        [Kind::Halted]
    );
}
