//! What the database says, and the rules that any two looks at it have to keep.

use std::collections::{BTreeMap, BTreeSet};

use feed_core::{
    EVENT_TRANSITIONS, Event, EventId, EventState, SUBSCRIPTION_TRANSITIONS, Subscription,
};

use super::expected::{Expected, Kept};
use crate::reader::{Reader, SUBSCRIPTION};

/// One look at the database.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed {
    pub(super) row: Subscription,
    pub(super) kept: BTreeMap<usize, Kept>,
    pub(super) applied: Vec<usize>,
    follow_ups: Vec<EventId>,
}

impl Observed {
    pub(super) async fn of(reader: &Reader) -> Self {
        let handle = reader.store.subscription(SUBSCRIPTION).unwrap();
        let kept = handle.events(None, 0, 10_000).await.unwrap();
        let kept = kept.into_iter().map(|kept| {
            let what = Kept {
                state: kept.state,
                attempts: kept.attempts,
                has_error: kept.error.is_some(),
                is_due: kept.next_try.is_none(),
            };
            assert_eq!(kept.ordering_key, kept.event.subject.as_str());
            assert_eq!(kept.dropped_by.is_some(), kept.state == EventState::Dropped);
            (kept.event.position.get() as usize, what)
        });
        let applied = reader.applied_positions().await;
        Observed {
            row: handle.status().await.unwrap().expect("a row"),
            kept: kept.collect(),
            applied: applied.into_iter().map(|at| at as usize).collect(),
            follow_ups: reader.follow_ups().await,
        }
    }

    /// Both say the same.
    pub(super) fn assert_is(&self, expected: &Expected, events: &[Event]) {
        assert_eq!(self.applied, expected.applied, "I7: effects");
        assert_eq!(self.kept, expected.kept, "what is kept");
        let at = expected.cursor.checked_sub(1).map(|at| events[at].cursor());
        assert_eq!(self.row.cursor, at, "the cursor");
        assert_eq!(self.row.state, expected.state, "{:?}", self.row.reason);
        assert_eq!(self.row.fence, expected.fence, "I9: the fence");
        assert_eq!(self.row.holder.is_some(), expected.holder.is_some());
        assert_eq!(self.row.events, expected.passed, "events that were passed");
        let mut seen = BTreeSet::new();
        let firsts = expected.applied.iter().filter(|at| seen.insert(**at));
        let derived: Vec<EventId> = firsts
            .map(|at| EventId::follow_up(SUBSCRIPTION, events[at - 1].id, 0))
            .collect();
        assert_eq!(self.follow_ups, derived, "I7: follow-ups");
        for position in 1..=expected.cursor {
            let is_settled = self.applied.contains(&position)
                || self.kept.contains_key(&position)
                || expected.jumped.contains(&position);
            assert!(is_settled, "I8: the cursor passed {position}");
        }
    }

    /// Every state was left by a transition that there is. A reset makes forget, whatever the state.
    pub(super) fn assert_follows(&self, before: &Observed, is_reset: bool) {
        let positions: BTreeSet<usize> = self
            .kept
            .keys()
            .chain(before.kept.keys())
            .copied()
            .collect();
        for position in positions {
            let state = |look: &Observed| look.kept.get(&position).map(|kept| kept.state);
            let (from, to) = (state(before), state(self));
            let is_forgotten = is_reset && to.is_none();
            // What waits may have its turn and be done with it in one transaction.
            let by_turn = is_transition(from, Some(EventState::Replaying))
                && is_transition(Some(EventState::Replaying), to);
            assert!(
                from == to || is_forgotten || is_transition(from, to) || by_turn,
                "{position}: {from:?} to {to:?}"
            );
        }
        let (from, to) = (before.row.state, self.row.state);
        let is_known = SUBSCRIPTION_TRANSITIONS
            .iter()
            .any(|(before, _, after)| (*before, *after) == (from, to));
        assert!(from == to || is_known, "{from} to {to}");
        assert!(self.row.fence >= before.row.fence, "I9: the fence grows");
    }
}

fn is_transition(from: Option<EventState>, to: Option<EventState>) -> bool {
    EVENT_TRANSITIONS
        .iter()
        .any(|(before, _, after)| (*before, *after) == (from, to))
}
