//! Subscriptions and their events as JSON. Fields may be added; those that are here stay.

use std::time::Duration;

use chrono::{DateTime, Utc};
use feed_core::{Changed, Event, EventState, Lag, Subscription, SubscriptionEvent, json};
use serde::Serialize;
use serde_json::value::RawValue;

/// A subscription.
#[derive(Debug, Serialize)]
pub(super) struct SubscriptionJson<'a> {
    name: &'a str,
    feed_url: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
    /// Null before the first event.
    cursor: Option<String>,
    position: u64,
    recorded: Option<DateTime<Utc>>,
    head: Option<String>,
    head_position: Option<u64>,
    head_seen: Option<DateTime<Utc>>,
    lag_events: Option<u64>,
    lag_seconds: Option<f64>,
    failures: u32,
    next_try: Option<DateTime<Utc>>,
    holder: Option<&'a str>,
    fence: i64,
    passed: u64,
    unhandled: u64,
    duplicates: u64,
    changed: DateTime<Utc>,
    /// How many there are, of a subscription that is split.
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<u32>,
    /// How many there are to be, while that waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    split_to: Option<u32>,
    /// The position at which all of them stop until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_at: Option<u64>,
    /// By their numbers, from 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    partitions: Vec<PartitionJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<KeptJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventJson<'a>>>,
}

/// How many events are kept in each state.
#[derive(Debug, Default, Serialize)]
struct KeptJson {
    retrying: u64,
    parked: u64,
    waiting: u64,
    replaying: u64,
    dropped: u64,
}

impl<'a> SubscriptionJson<'a> {
    pub(super) fn new(subscription: &'a Subscription, now: DateTime<Utc>) -> Self {
        let Lag { events, time } = subscription.lag(now);
        SubscriptionJson {
            name: subscription.name.as_str(),
            feed_url: &subscription.feed_url,
            state: subscription.state.as_str(),
            reason: subscription.reason.as_deref(),
            cursor: subscription.cursor.map(|cursor| cursor.to_string()),
            position: subscription
                .cursor
                .map_or(0, |cursor| cursor.position.get()),
            recorded: subscription.recorded,
            head: subscription.head.map(|head| head.to_string()),
            head_position: subscription.head.map(|head| head.position.get()),
            head_seen: subscription.head_seen,
            lag_events: events,
            lag_seconds: time.map(seconds),
            failures: subscription.failures,
            next_try: subscription.next_try,
            holder: subscription.holder.as_deref(),
            fence: subscription.fence,
            passed: subscription.events,
            unhandled: subscription.unhandled,
            duplicates: subscription.duplicates,
            changed: subscription.updated,
            split: Some(subscription.partitions).filter(|there| *there > 1),
            split_to: subscription.resizing.map(|resizing| resizing.to),
            stop_at: subscription.resizing.map(|resizing| resizing.stop_at),
            partitions: Vec::new(),
            kept: None,
            events: None,
        }
    }

    pub(super) fn kept(mut self, counts: &[(EventState, u64)]) -> Self {
        let mut kept = KeptJson::default();
        for (state, count) in counts {
            *match state {
                EventState::Retrying => &mut kept.retrying,
                EventState::Parked => &mut kept.parked,
                EventState::Waiting => &mut kept.waiting,
                EventState::Replaying => &mut kept.replaying,
                EventState::Dropped => &mut kept.dropped,
            } = *count;
        }
        self.kept = Some(kept);
        self
    }

    /// With how each of its partitions is doing; without, where there is one.
    pub(super) fn partitions(mut self, partitions: &'a [Subscription], now: DateTime<Utc>) -> Self {
        if partitions.len() > 1 {
            let all = (0..).zip(partitions);
            self.partitions = all
                .map(|(number, one)| PartitionJson::new(number, one, now))
                .collect();
        }
        self
    }

    pub(super) fn events(mut self, events: &'a [SubscriptionEvent]) -> Self {
        self.events = Some(events.iter().map(EventJson::new).collect());
        self
    }
}

/// A partition of a subscription.
#[derive(Debug, Serialize)]
struct PartitionJson<'a> {
    partition: u32,
    state: &'static str,
    reason: Option<&'a str>,
    cursor: Option<String>,
    position: u64,
    lag_events: Option<u64>,
    lag_seconds: Option<f64>,
    failures: u32,
    next_try: Option<DateTime<Utc>>,
    holder: Option<&'a str>,
    fence: i64,
    /// Those that are this partition's.
    passed: u64,
    changed: DateTime<Utc>,
}

impl<'a> PartitionJson<'a> {
    fn new(partition: u32, one: &'a Subscription, now: DateTime<Utc>) -> Self {
        let Lag { events, time } = one.lag(now);
        PartitionJson {
            partition,
            state: one.state.as_str(),
            reason: one.reason.as_deref(),
            cursor: one.cursor.map(|cursor| cursor.to_string()),
            position: one.cursor.map_or(0, |cursor| cursor.position.get()),
            lag_events: events,
            lag_seconds: time.map(seconds),
            failures: one.failures,
            next_try: one.next_try,
            holder: one.holder.as_deref(),
            fence: one.fence,
            passed: one.events,
            changed: one.updated,
        }
    }
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1_000.0
}

/// An event that was not simply applied.
#[derive(Debug, Serialize)]
pub(super) struct EventJson<'a> {
    id: String,
    position: u64,
    state: &'static str,
    r#type: &'a str,
    subject: &'a str,
    ordering_key: &'a str,
    attempts: u32,
    next_try: Option<DateTime<Utc>>,
    error: Option<&'a str>,
    dropped_by: Option<&'a str>,
    dropped_why: Option<&'a str>,
    changed: DateTime<Utc>,
    /// The CloudEvent, as it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
}

impl<'a> EventJson<'a> {
    pub(super) fn new(kept: &'a SubscriptionEvent) -> Self {
        EventJson {
            id: kept.event.id.to_string(),
            position: kept.event.position.get(),
            state: kept.state.as_str(),
            r#type: kept.event.event_type.as_str(),
            subject: kept.event.subject.as_str(),
            ordering_key: &kept.ordering_key,
            attempts: kept.attempts,
            next_try: kept.next_try,
            error: kept.error.as_deref(),
            dropped_by: kept.dropped_by.as_deref(),
            dropped_why: kept.dropped_why.as_deref(),
            changed: kept.changed,
            event: None,
        }
    }

    /// With the event itself.
    pub(super) fn whole(mut self, event: &Event) -> Self {
        let document = String::from_utf8(json::write_event(event)).ok();
        self.event =
            document.and_then(|document| RawValue::from_string(document.trim().to_owned()).ok());
        self
    }
}

/// What a change did, or would do.
#[derive(Debug, Serialize)]
pub(super) struct ChangedJson<'a> {
    command: &'static str,
    subscription: &'a str,
    dry_run: bool,
    before: SubscriptionJson<'a>,
    after: SubscriptionJson<'a>,
    /// The events that got into another state, as they are then.
    events: Vec<EventJson<'a>>,
    /// How many kept events are forgotten, since they will come again.
    forgotten: u64,
}

impl<'a> ChangedJson<'a> {
    pub(super) fn new(
        command: &'static str,
        changed: &'a Changed,
        dry_run: bool,
        now: DateTime<Utc>,
    ) -> Self {
        ChangedJson {
            command,
            subscription: changed.after.name.as_str(),
            dry_run,
            before: SubscriptionJson::new(&changed.before, now),
            after: SubscriptionJson::new(&changed.after, now),
            events: changed.events.iter().map(EventJson::new).collect(),
            forgotten: changed.forgotten,
        }
    }
}
