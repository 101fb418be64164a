//! What an operator's change does, in the model.

use feed_core::{EventState, SubscriptionState};

use super::expected::Expected;
use super::moves::{Operation, Which};

/// Why an operator's change is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    UnknownEvent,
    UnknownKey,
    State,
    NotStuck,
    Running,
}

impl Expected {
    /// An operator's change.
    pub(super) fn operate(&mut self, operation: Operation) -> Result<(), Refused> {
        match operation {
            Operation::Pause => self.state = SubscriptionState::Paused,
            Operation::Resume if self.state == SubscriptionState::Running => {
                return Err(Refused::Running);
            }
            Operation::Resume => self.state = SubscriptionState::Running,
            Operation::Retry(which) => {
                for position in self.to_retry(which)? {
                    if let Some(kept) = self.kept.get_mut(&position) {
                        kept.state = EventState::Replaying;
                        kept.is_due = true;
                    }
                }
            }
            Operation::Drop(which) => self.drop_events(which)?,
            Operation::Skip => {
                let position = self.cursor + 1;
                let stuck = self.kept.get_mut(&position).ok_or(Refused::NotStuck)?;
                assert_eq!(stuck.state, EventState::Retrying);
                stuck.state = EventState::Dropped;
                self.cursor = position;
                self.passed += 1;
                self.go_on();
            }
            Operation::Reset(position) => {
                self.kept.retain(|kept_position, kept| {
                    *kept_position <= position && kept.state != EventState::Retrying
                });
                self.jumped.extend(self.cursor + 1..=position);
                self.cursor = position;
                self.go_on();
            }
        }
        self.release();
        self.fence += 1;
        Ok(())
    }

    fn go_on(&mut self) {
        if self.state != SubscriptionState::Paused {
            self.state = SubscriptionState::Running;
        }
    }

    fn to_retry(&self, which: Which) -> Result<Vec<usize>, Refused> {
        match which {
            Which::Event(position) => {
                let kept = self.kept.get(&position).ok_or(Refused::UnknownEvent)?;
                match kept.state {
                    EventState::Parked | EventState::Replaying => Ok(vec![position]),
                    _ => Err(Refused::State),
                }
            }
            Which::Key(subject) => {
                let first = self.of_key(subject).first().copied();
                Ok(vec![first.ok_or(Refused::UnknownKey)?])
            }
            Which::All => Ok(self
                .kept
                .iter()
                .filter(|(_, kept)| kept.state == EventState::Parked)
                .map(|(position, _)| *position)
                .collect()),
        }
    }

    fn drop_events(&mut self, which: Which) -> Result<(), Refused> {
        let (positions, subject) = match which {
            Which::Event(position) => {
                let kept = self.kept.get(&position).ok_or(Refused::UnknownEvent)?;
                if !kept.waits_for_its_turn() {
                    return Err(Refused::State);
                }
                (vec![position], Some(self.subject(position)))
            }
            Which::Key(subject) => (self.of_key(subject), None),
            Which::All => {
                let keys = self.blocked_keys();
                (
                    keys.iter().flat_map(|key| self.of_key(*key)).collect(),
                    None,
                )
            }
        };
        if positions.is_empty() && matches!(which, Which::Key(_)) {
            return Err(Refused::UnknownKey);
        }
        for position in positions {
            if let Some(kept) = self.kept.get_mut(&position) {
                kept.state = EventState::Dropped;
                // It is not tried any more, so no time is noted for that.
                kept.is_due = true;
            }
        }
        if let Some(subject) = subject {
            self.next_of_key(subject);
        }
        Ok(())
    }
}
