//! Verifying that events follow on from what the reader has seen. Pure.

use crate::event::Event;
use crate::position::{Check, Cursor, Epoch, Position};

/// What a reader has seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: it begins before the first event.
    Nothing,
    /// The event of this cursor.
    Cursor(Cursor),
}

/// Events that do not follow on. A cache or a server in between may be at fault, or the history was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A position is missing, repeated or out of order.
    #[error("position {found} came where {expected} was expected")]
    Position {
        /// What should have come.
        expected: u64,
        /// What came.
        found: Position,
    },
    /// The event that was seen stands in another epoch: the history was forked before it.
    #[error(
        "position {position} is in epoch {found}, it was seen in {expected}: this is not the history that was read before"
    )]
    Epoch {
        /// The event's position.
        position: Position,
        /// What was seen.
        expected: Epoch,
        /// What the event says.
        found: Epoch,
    },
    /// The running check differs: an event was skipped, swapped or is of another history.
    #[error(
        "the check of position {position} is {found}, computed {expected}: this is not the history that was read before"
    )]
    Check {
        /// The event's position.
        position: Position,
        /// What was computed.
        expected: Check,
        /// What the event says.
        found: Check,
    },
}

/// The events that are new to a reader, after checking that they follow on from what it has seen.
///
/// Events that the reader has seen already may stand at the beginning, as in a sealed page that is read from
/// its middle on; they are left out.
///
/// # Errors
/// When the events do not follow on; then none of them may be applied.
pub fn verify(seen: Seen, mut events: Vec<Event>) -> Result<Vec<Event>, VerifyError> {
    let (position, mut check) = match seen {
        Seen::Nothing => (Position::START, Check::START),
        Seen::Cursor(cursor) => (cursor.position, cursor.check),
    };
    let known = events
        .iter()
        .take_while(|event| event.position <= position)
        .count();
    for event in events
        .drain(..known)
        .filter(|event| event.position == position)
    {
        same_event(seen, &event)?;
    }
    let mut expected = position.get();
    for event in &events {
        expected += 1;
        if event.position.get() != expected {
            return Err(VerifyError::Position {
                expected,
                found: event.position,
            });
        }
        let computed = check.next(event.id);
        if event.check != computed {
            return Err(VerifyError::Check {
                position: event.position,
                expected: computed,
                found: event.check,
            });
        }
        // The same as what was computed, but known before it is: so a processor hashes several events at a time.
        check = event.check;
    }
    Ok(events)
}

/// The event at the cursor's position is the one that was seen.
fn same_event(seen: Seen, event: &Event) -> Result<(), VerifyError> {
    let Seen::Cursor(cursor) = seen else {
        return Ok(());
    };
    let position = event.position;
    if event.check != cursor.check {
        return Err(VerifyError::Check {
            position,
            expected: cursor.check,
            found: event.check,
        });
    }
    if event.epoch != cursor.epoch {
        return Err(VerifyError::Epoch {
            position,
            expected: cursor.epoch,
            found: event.epoch,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventId, EventType, Subject, Version};
    use proptest::prelude::*;

    fn feed(length: u64) -> Vec<Event> {
        let mut check = Check::START;
        (1..=length)
            .map(|position| {
                let id = EventId::from_bytes(u128::from(position).to_be_bytes());
                check = check.next(id);
                Event {
                    id,
                    source: "/t".into(),
                    event_type: EventType::new("T").unwrap(),
                    subject: Subject::new("s").unwrap(),
                    version: Version::new(1).unwrap(),
                    time: Default::default(),
                    recorded: Default::default(),
                    position: Position::new(position).unwrap(),
                    epoch: Epoch::from_bytes([0; 8]),
                    check,
                    dataschema: None,
                    traceparent: None,
                    causationid: None,
                    correlationid: None,
                    extensions: Default::default(),
                    data: None,
                }
            })
            .collect()
    }

    fn seen(events: &[Event], upto: usize) -> Seen {
        if upto == 0 {
            Seen::Nothing
        } else {
            Seen::Cursor(events[upto - 1].cursor())
        }
    }

    proptest! {
        #[test]
        fn i08_what_follows_on_is_taken(length in 1..30usize, upto in 0..30usize, from in 0..30usize) {
            let events = feed(length as u64);
            let upto = upto % (length + 1);
            let from = from % (upto + 1);
            let fresh = verify(seen(&events, upto), events[from..].to_vec()).unwrap();
            prop_assert_eq!(fresh, events[upto..].to_vec());
        }

        #[test]
        fn i08_whatever_is_skipped_repeated_or_swapped_is_noticed(length in 3..30usize, upto in 0..30usize, at in 0..30usize, kind in 0..4) {
            let events = feed(length as u64);
            let upto = upto % (length - 2);
            let mut sent = events[upto..].to_vec();
            let at = at % (sent.len() - 1);
            match kind {
                0 => drop(sent.remove(at)),
                1 => sent.insert(at, sent[at].clone()),
                2 => sent.swap(at, at + 1),
                _ => sent[at].id = EventId::now(),
            }
            prop_assert!(verify(seen(&events, upto), sent).is_err());
        }
    }

    #[test]
    fn i11_another_history_with_the_same_numbers_is_noticed() {
        let ours = feed(10);
        let mut other = feed(10);
        other[9].id = EventId::now();
        other[9].check = other[8].check.next(other[9].id);
        assert!(verify(seen(&ours, 10), other).is_err());
    }
}
