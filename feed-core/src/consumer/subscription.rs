//! What is known of a subscription and of its events, for those who look at it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::state::{EventState, SubscriptionState};
use crate::event::{Event, SubscriptionName};
use crate::position::Cursor;

/// A subscription as its database has it; or one of its partitions, or all of them together.
///
/// Together they stand where the one stands that is least far, and are doing as the one that is doing worst. Counts are
/// sums; the holder is told if it holds all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscription {
    /// Its name.
    pub name: SubscriptionName,
    /// The feed that it follows.
    pub feed_url: String,
    /// The last event that was passed: applied, parked, or left to wait behind a parked one. None before the first.
    pub cursor: Option<Cursor>,
    /// When the feed recorded that event.
    pub recorded: Option<DateTime<Utc>>,
    /// The feed's newest event, as far as it was heard of.
    pub head: Option<Cursor>,
    /// When that was heard.
    pub head_seen: Option<DateTime<Utc>>,
    /// How it is doing.
    pub state: SubscriptionState,
    /// Why it waits, halts or is paused.
    pub reason: Option<String>,
    /// Steps that failed in a row.
    pub failures: u32,
    /// When it is tried again, while it waits.
    pub next_try: Option<DateTime<Utc>>,
    /// Number of the last change of hands.
    pub fence: i64,
    /// The instance that holds it, as 32 hex digits; none after a clean stop.
    pub holder: Option<String>,
    /// Events that were passed since it began.
    pub events: u64,
    /// Those of them that no handler was for.
    pub unhandled: u64,
    /// Those of them that came a second time (see [`Consumer::inbox`](crate::Consumer::inbox)).
    pub duplicates: u64,
    /// When the row was changed last.
    pub updated: DateTime<Utc>,
    /// Over how many partitions it is split; 1: over none.
    pub partitions: u32,
    /// It is being split anew.
    pub resizing: Option<Resizing>,
}

/// A number of partitions that waits until all of those that there are stand at the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resizing {
    /// How many there are to be.
    pub to: u32,
    /// The position beyond which none goes until then.
    pub stop_at: u64,
}

/// How far a subscription is behind its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Events between cursor and head, as far as the head was heard of; none when it never was.
    pub events: Option<u64>,
    /// How long ago the event at the cursor was recorded, while there are newer ones; zero when there are none. Not less
    /// than the age of the oldest event that is not passed. None while nothing was passed.
    pub time: Option<Duration>,
}

impl Subscription {
    /// All partitions together; none when there are none.
    pub(super) fn whole(partitions: &[Subscription]) -> Option<Subscription> {
        let position = |cursor: Option<Cursor>| cursor.map_or(0, |cursor| cursor.position.get());
        let first = partitions.first()?;
        if partitions.len() == 1 {
            return Some(first.clone());
        }
        let behind = partitions.iter().min_by_key(|one| position(one.cursor))?;
        let heard = partitions.iter().max_by_key(|one| position(one.head))?;
        let (number, worst) = (0..)
            .zip(partitions)
            .min_by_key(|(_, one)| urgency(one.state))?;
        let is_of_all = partitions
            .iter()
            .all(|one| (one.state, &one.reason) == (worst.state, &worst.reason));
        let reason = worst.reason.as_deref().map(|reason| match is_of_all {
            true => reason.to_owned(),
            false => format!("partition {number}: {reason}"),
        });
        let all = |number: fn(&Subscription) -> u64| partitions.iter().map(number).sum();
        Some(Subscription {
            cursor: behind.cursor,
            recorded: behind.recorded,
            head: heard.head,
            head_seen: partitions.iter().filter_map(|one| one.head_seen).max(),
            state: worst.state,
            reason,
            failures: partitions.iter().map(|one| one.failures).max()?,
            next_try: partitions.iter().filter_map(|one| one.next_try).min(),
            fence: partitions.iter().map(|one| one.fence).max()?,
            holder: first
                .holder
                .clone()
                .filter(|_| partitions.iter().all(|one| one.holder == first.holder)),
            events: all(|one| one.events),
            unhandled: all(|one| one.unhandled),
            duplicates: all(|one| one.duplicates),
            updated: partitions.iter().map(|one| one.updated).max()?,
            ..first.clone()
        })
    }

    /// How far it is behind at `now`.
    pub fn lag(&self, now: DateTime<Utc>) -> Lag {
        let position = self.cursor.map_or(0, |cursor| cursor.position.get());
        let head = self.head.map(|head| head.position.get());
        let events = head.map(|head| head.saturating_sub(position));
        let since = self
            .recorded
            .map(|recorded| (now - recorded).to_std().unwrap_or_default());
        let time = match events {
            Some(0) => Some(Duration::ZERO),
            Some(_) | None => since,
        };
        Lag { events, time }
    }

    /// Why it halts; none while it does not.
    pub fn halted(&self) -> Option<&str> {
        (self.state == SubscriptionState::Halted)
            .then(|| self.reason.as_deref().unwrap_or_default())
    }
}

/// What an operator has to look at comes first.
fn urgency(state: SubscriptionState) -> u8 {
    match state {
        SubscriptionState::Halted => 0,
        SubscriptionState::Paused => 1,
        SubscriptionState::Waiting => 2,
        SubscriptionState::Running => 3,
    }
}

/// An event that was not simply applied.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SubscriptionEvent {
    /// The event, as it was read.
    pub event: Event,
    /// Which events wait for one another.
    pub ordering_key: String,
    /// How it is doing.
    pub state: EventState,
    /// Why it could not be applied, with the chain of causes; none while it only waits.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again, while that is known.
    pub next_try: Option<DateTime<Utc>>,
    /// Who dropped it.
    pub dropped_by: Option<String>,
    /// Why it was dropped.
    pub dropped_why: Option<String>,
    /// When this changed last.
    pub changed: DateTime<Utc>,
}
