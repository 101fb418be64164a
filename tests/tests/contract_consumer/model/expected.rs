//! What a subscription has to be like: a model of it, in memory and without a clock.

use std::collections::{BTreeMap, BTreeSet};

use feed_core::{EventState, SubscriptionState};

use super::moves::{Fate, INSTANCES};

/// Keys that may have parked events.
pub(super) const KEYS_MAX: usize = 3;
/// Events that may be parked or wait.
pub(super) const EVENTS_MAX: usize = 7;
/// An instance that is not there any more.
const DEAD: usize = INSTANCES;
/// How often a lasting error is tried.
const TRIES_MAX: u32 = feed_core::limits::LASTING_TRIES_MAX;

/// What is kept of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) state: EventState,
    pub(super) attempts: u32,
    pub(super) has_error: bool,
    pub(super) is_due: bool,
}

impl Kept {
    fn new(state: EventState, attempts: u32) -> Self {
        Kept {
            state,
            attempts,
            has_error: attempts > 0,
            is_due: true,
        }
    }

    pub(super) fn waits_for_its_turn(&self) -> bool {
        use EventState::{Parked, Replaying, Waiting};
        matches!(self.state, Parked | Waiting | Replaying)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) subject: usize,
    pub(super) fate: Fate,
}

/// What the row and the tables have to say. Positions are from 1.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// The feed's events, by position.
    pub(super) made: Vec<Made>,
    pub(super) cursor: usize,
    pub(super) state: SubscriptionState,
    pub(super) fence: i64,
    /// Who holds it, and whether others have to wait for that.
    pub(super) holder: Option<usize>,
    pub(super) leased: bool,
    /// With which fence each instance believes to hold it.
    pub(super) believes: [Option<i64>; INSTANCES],
    /// Whether each instance has taken it at all.
    pub(super) has_taken: [bool; INSTANCES],
    pub(super) kept: BTreeMap<usize, Kept>,
    /// Positions in the order of their effects.
    pub(super) applied: Vec<usize>,
    /// Positions that an operator's reset went past.
    pub(super) jumped: BTreeSet<usize>,
    pub(super) passed: u64,
}

impl Expected {
    pub(super) fn new() -> Self {
        Expected {
            made: Vec::new(),
            cursor: 0,
            state: SubscriptionState::Running,
            fence: 0,
            holder: None,
            leased: false,
            believes: [None; INSTANCES],
            has_taken: [false; INSTANCES],
            kept: BTreeMap::new(),
            applied: Vec::new(),
            jumped: BTreeSet::new(),
            passed: 0,
        }
    }

    pub(super) fn subject(&self, position: usize) -> usize {
        self.made[position - 1].subject
    }

    /// What becomes of the event when it is tried the next time.
    pub(super) fn fate(&self, position: usize) -> Fate {
        let tried = self.kept.get(&position).map_or(0, |kept| kept.attempts);
        match self.made[position - 1].fate {
            Fate::Transient(times) | Fate::Lasting(times) if tried >= times => Fate::Good,
            fate => fate,
        }
    }

    /// Those of a key that have their turn one after another.
    pub(super) fn of_key(&self, subject: usize) -> Vec<usize> {
        let of_key = self
            .kept
            .iter()
            .filter(|(position, kept)| {
                kept.waits_for_its_turn() && self.subject(**position) == subject
            })
            .map(|(position, _)| *position);
        of_key.collect()
    }

    pub(super) fn blocked_keys(&self) -> BTreeSet<usize> {
        let turns = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.waits_for_its_turn());
        turns.map(|(position, _)| self.subject(*position)).collect()
    }

    fn parked_events(&self) -> usize {
        self.kept
            .values()
            .filter(|kept| kept.waits_for_its_turn())
            .count()
    }

    pub(super) fn is_blocked(&self, position: usize) -> bool {
        self.blocked_keys().contains(&self.subject(position))
    }

    /// Whether the instance may commit.
    pub(super) fn holds(&self, instance: usize) -> bool {
        self.holder == Some(instance) && self.believes[instance] == Some(self.fence)
    }

    /// The instance passes the next event.
    pub(super) fn pass_next(&mut self) {
        let position = self.cursor + 1;
        assert!(position <= self.made.len(), "passed beyond the head");
        if self.is_blocked(position) {
            assert!(self.parked_events() < EVENTS_MAX, "more waits than may");
            self.kept
                .insert(position, Kept::new(EventState::Waiting, 0));
        } else {
            assert_eq!(self.fate(position), Fate::Good, "{position} was applied");
            self.kept.remove(&position);
            self.applied.push(position);
        }
        self.moved_to(position);
    }

    fn moved_to(&mut self, position: usize) {
        self.cursor = position;
        self.passed += 1;
        self.state = SubscriptionState::Running;
        self.leased = true;
    }

    /// The instance parks the next event.
    pub(super) fn park_next(&mut self) {
        let position = self.cursor + 1;
        let tried = self.tries(position);
        assert!(!self.is_blocked(position), "{position} has to wait instead");
        assert!(self.has_room(), "more is parked than may be");
        assert!(self.parks(position, tried), "{position} was parked");
        self.kept
            .insert(position, Kept::new(EventState::Parked, tried));
        self.moved_to(position);
    }

    fn has_room(&self) -> bool {
        self.blocked_keys().len() < KEYS_MAX && self.parked_events() < EVENTS_MAX
    }

    fn tries(&self, position: usize) -> u32 {
        self.kept.get(&position).map_or(0, |kept| kept.attempts) + 1
    }

    fn parks(&self, position: usize, tried: u32) -> bool {
        match self.fate(position) {
            Fate::Permanent | Fate::Panic => true,
            Fate::Lasting(_) => tried >= TRIES_MAX,
            Fate::Good | Fate::Transient(_) => false,
        }
    }

    /// The next event failed and is tried again.
    pub(super) fn retry_next(&mut self) {
        let position = self.cursor + 1;
        let tried = self.tries(position);
        let fate = self.fate(position);
        assert!(
            !self.parks(position, tried) && fate != Fate::Good,
            "{position} was tried again: {fate:?}"
        );
        assert!(!self.is_blocked(position), "{position} has to wait instead");
        self.kept
            .insert(position, Kept::new(EventState::Retrying, tried));
        self.leased = true;
    }

    /// There is no room for the next event.
    pub(super) fn too_much_parked(&mut self) {
        let position = self.cursor + 1;
        let finds_room = if self.is_blocked(position) {
            self.parked_events() < EVENTS_MAX
        } else {
            self.has_room()
        };
        assert!(!finds_room, "{position} would have found room");
        assert!(
            self.is_blocked(position) || self.parks(position, self.tries(position)),
            "{position} needs no room"
        );
        self.state = SubscriptionState::Halted;
        if let Some(holder) = self.holder {
            self.believes[holder] = None;
        }
        self.release();
    }

    /// Nobody holds it; who did so does not know that yet.
    pub(super) fn release(&mut self) {
        self.holder = None;
        self.leased = false;
    }

    /// The first `count` events of a key were replayed.
    pub(super) fn replay(&mut self, subject: usize, count: usize) {
        let turns = self.of_key(subject);
        for (index, position) in turns.iter().take(count).enumerate() {
            let first_state = self.kept[position].state;
            assert!(
                index > 0 || first_state == EventState::Replaying,
                "{position} had not its turn: {first_state:?}"
            );
            assert_eq!(self.fate(*position), Fate::Good, "{position} was replayed");
            self.kept.remove(position);
            self.applied.push(*position);
        }
        self.next_of_key(subject);
        self.leased = true;
    }

    /// The first event of a key failed again.
    pub(super) fn replay_failed(&mut self, subject: usize) {
        let position = self.of_key(subject)[0];
        let tried = self.tries(position);
        assert_ne!(self.fate(position), Fate::Good, "{position} failed");
        assert_eq!(self.kept[&position].state, EventState::Replaying);
        let parks = self.parks(position, tried);
        let state = if parks {
            EventState::Parked
        } else {
            EventState::Replaying
        };
        let mut kept = Kept::new(state, tried);
        kept.is_due = parks;
        self.kept.insert(position, kept);
        self.leased = true;
    }

    pub(super) fn next_of_key(&mut self, subject: usize) {
        let next = self.of_key(subject).first().copied();
        if let Some(kept) = next.and_then(|next| self.kept.get_mut(&next))
            && kept.state == EventState::Waiting
        {
            kept.state = EventState::Replaying;
        }
    }

    /// The instance takes it.
    pub(super) fn take(&mut self, instance: usize) {
        assert_ne!(self.state, SubscriptionState::Paused, "a paused one");
        let is_halted = self.state == SubscriptionState::Halted;
        assert!(!is_halted || !self.has_taken[instance], "a halted one");
        let is_free = !self.leased || self.holder == Some(instance);
        assert!(is_free, "{:?} holds it", self.holder);
        self.fence += 1;
        self.holder = Some(instance);
        self.leased = true;
        self.believes[instance] = Some(self.fence);
        self.has_taken[instance] = true;
    }

    /// Another process is the instance now; the lease stays that of the dead one.
    pub(super) fn restart(&mut self, instance: usize) {
        if self.holder == Some(instance) {
            self.holder = Some(DEAD);
        }
        self.believes[instance] = None;
        self.has_taken[instance] = false;
    }
}
