//! What is known of a subscription and of its events, for those who look at it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::state::{EventState, SubscriptionState};
use crate::event::{Event, SubscriptionName};
use crate::position::Cursor;

/// A subscription as its database has it.
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
