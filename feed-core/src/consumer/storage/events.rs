//! Events that were not simply applied: the rows of `subscription_events`.

use chrono::{DateTime, Utc};

use crate::consumer::handler_error::shortened;
use crate::consumer::partition::{Part, key_hash};
use crate::consumer::state::EventState;
use crate::consumer::subscription::SubscriptionEvent;
use crate::error::StoreError;
use crate::event::{Event, EventId, SubscriptionName};
use crate::json;
use crate::store::{FromRow, Row, Tx};

macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT event, ordering_key, state, error, attempts, next_try_us, dropped_by, dropped_why, changed_us
             FROM subscription_events ",
            $rest
        )
    };
}

impl FromRow for SubscriptionEvent {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let corrupt = |what: String| StoreError::Corrupt(format!("subscription_events: {what}"));
        let (event, state): (Vec<u8>, String) = (row.get("event")?, row.get("state")?);
        Ok(SubscriptionEvent {
            event: json::read_event(&event).map_err(|error| corrupt(error.to_string()))?,
            ordering_key: row.get("ordering_key")?,
            state: EventState::parse(&state).ok_or_else(|| corrupt(format!("state {state:?}")))?,
            error: row.get("error")?,
            attempts: row.get("attempts")?,
            next_try: row.get("next_try_us")?,
            dropped_by: row.get("dropped_by")?,
            dropped_why: row.get("dropped_why")?,
            changed: row.get("changed_us")?,
        })
    }
}

/// Keeps an event in this state. One that is kept already changes its state, its error and its attempts, unless it was
/// dropped or waits for its turn: then it came a second time, and nothing changes.
pub(in crate::consumer) async fn keep(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    kept: &Kept<'_>,
) -> Result<(), StoreError> {
    let now = tx.now();
    let document = json::write_event(kept.event);
    let error = kept.error.map(|error| shortened(error.to_owned()));
    tx.execute(
        "INSERT INTO subscription_events
             (subscription, event_id, position, ordering_key, state, event, error, attempts, next_try_us, changed_us, key_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (subscription, event_id) DO UPDATE
         SET position = excluded.position, ordering_key = excluded.ordering_key, key_hash = excluded.key_hash,
             state = excluded.state,
             error = excluded.error, attempts = excluded.attempts, next_try_us = excluded.next_try_us,
             changed_us = excluded.changed_us
         WHERE subscription_events.state = 'retrying'",
        &[
            name.as_str().into(),
            (&kept.event.id).into(),
            (kept.event.position.get() as i64).into(),
            kept.ordering_key.into(),
            kept.state.as_str().into(),
            document.as_slice().into(),
            error.as_deref().into(),
            kept.attempts.into(),
            kept.next_try.into(),
            now.into(),
            key_hash(kept.ordering_key).into(),
        ],
    )
    .await
    .map(drop)
}

/// What is kept of an event.
pub(in crate::consumer) struct Kept<'a> {
    pub(in crate::consumer) event: &'a Event,
    pub(in crate::consumer) ordering_key: &'a str,
    pub(in crate::consumer) state: EventState,
    pub(in crate::consumer) error: Option<&'a str>,
    pub(in crate::consumer) attempts: u32,
    pub(in crate::consumer) next_try: Option<DateTime<Utc>>,
}

/// The event, if anything is kept of it.
pub(in crate::consumer) async fn find(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    id: EventId,
) -> Result<Option<SubscriptionEvent>, StoreError> {
    tx.query_first(
        select_events!("WHERE subscription = $1 AND event_id = $2"),
        &[name.as_str().into(), (&id).into()],
    )
    .await
}

/// Up to `limit` events behind `after`, by position, in `state` or in any.
pub(in crate::consumer) async fn list(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    state: Option<EventState>,
    after: u64,
    limit: u32,
) -> Result<Vec<SubscriptionEvent>, StoreError> {
    tx.query(
        select_events!(
            "WHERE subscription = $1 AND position > $2 AND ($3 = '' OR state = $3) ORDER BY position LIMIT $4"
        ),
        &[
            name.as_str().into(),
            (after as i64).into(),
            state.map_or("", EventState::as_str).into(),
            limit.into(),
        ],
    )
    .await
}

/// How many events are in each state.
pub(in crate::consumer) async fn counts(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<Vec<(EventState, u64)>, StoreError> {
    let rows: Vec<(String, i64)> = tx
        .query(
            "SELECT state, CAST(count(*) AS BIGINT) FROM subscription_events WHERE subscription = $1 GROUP BY state ORDER BY state",
            &[name.as_str().into()],
        )
        .await?;
    let parsed = rows.into_iter().filter_map(|(state, count)| {
        Some((
            EventState::parse(&state)?,
            u64::try_from(count).unwrap_or(0),
        ))
    });
    Ok(parsed.collect())
}

/// What blocks the keys of a partition.
pub(in crate::consumer) struct Blocked {
    /// The keys of which an event is parked, waits or is to be replayed.
    pub(in crate::consumer) keys: Vec<String>,
    /// Those events.
    pub(in crate::consumer) events: usize,
    /// Whether one of them is to be replayed.
    pub(in crate::consumer) replaying: bool,
}

pub(in crate::consumer) async fn blocked(
    tx: &mut Tx<'_>,
    part: &Part,
) -> Result<Blocked, StoreError> {
    let rows: Vec<(String, i64, i64)> = tx
        .query(
            "SELECT ordering_key, CAST(count(*) AS BIGINT),
                    CAST(sum(CASE state WHEN 'replaying' THEN 1 ELSE 0 END) AS BIGINT)
             FROM subscription_events
             WHERE subscription = $1 AND state IN ('parked', 'waiting', 'replaying') AND key_hash % $2 = $3
             GROUP BY ordering_key",
            &[part.name.as_str().into(), part.of.into(), part.number.into()],
        )
        .await?;
    let events = rows
        .iter()
        .map(|(_, events, _)| usize::try_from(*events).unwrap_or(0))
        .sum();
    let replaying = rows.iter().any(|(_, _, replaying)| *replaying > 0);
    Ok(Blocked {
        keys: rows.into_iter().map(|(key, ..)| key).collect(),
        events,
        replaying,
    })
}

/// How often the event was tried that is retried now; 0 for any other.
pub(in crate::consumer) async fn attempts(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    id: EventId,
) -> Result<u32, StoreError> {
    let row: Option<(u32,)> = tx
        .query_first(
            "SELECT attempts FROM subscription_events WHERE subscription = $1 AND event_id = $2 AND state = 'retrying'",
            &[name.as_str().into(), (&id).into()],
        )
        .await?;
    Ok(row.map_or(0, |(attempts,)| attempts))
}

/// Whether an event of the partition is retried.
pub(in crate::consumer) async fn is_retrying(
    tx: &mut Tx<'_>,
    part: &Part,
) -> Result<bool, StoreError> {
    let row: Option<(i64,)> = tx
        .query_first(
            "SELECT position FROM subscription_events
             WHERE subscription = $1 AND state = 'retrying' AND key_hash % $2 = $3 LIMIT 1",
            &[
                part.name.as_str().into(),
                part.of.into(),
                part.number.into(),
            ],
        )
        .await?;
    Ok(row.is_some())
}

/// Nothing is retried any more: the cursor moves on.
pub(in crate::consumer) async fn end_retrying(
    tx: &mut Tx<'_>,
    part: &Part,
) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM subscription_events WHERE subscription = $1 AND state = 'retrying' AND key_hash % $2 = $3",
        &[part.name.as_str().into(), part.of.into(), part.number.into()],
    )
    .await
    .map(drop)
}

/// When the event that is retried now is tried again.
pub(in crate::consumer) async fn put_next_try(
    tx: &mut Tx<'_>,
    part: &Part,
    next_try: DateTime<Utc>,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE subscription_events SET next_try_us = $4
         WHERE subscription = $1 AND state = 'retrying' AND key_hash % $2 = $3",
        &[
            part.name.as_str().into(),
            part.of.into(),
            part.number.into(),
            next_try.into(),
        ],
    )
    .await
    .map(drop)
}

/// The key whose turn it is to be replayed: that of the oldest replaying event whose time has come. Also when the next
/// one's time comes.
pub(in crate::consumer) async fn due_key(
    tx: &mut Tx<'_>,
    part: &Part,
) -> Result<Option<(String, DateTime<Utc>)>, StoreError> {
    tx.query_first(
        "SELECT ordering_key, coalesce(next_try_us, 0) AS due_us FROM subscription_events
         WHERE subscription = $1 AND state = 'replaying' AND key_hash % $2 = $3 ORDER BY due_us, position LIMIT 1",
        &[part.name.as_str().into(), part.of.into(), part.number.into()],
    )
    .await
}

/// Up to `limit` events of a key that have their turn, one after another.
pub(in crate::consumer) async fn of_key(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    key: &str,
    limit: usize,
) -> Result<Vec<SubscriptionEvent>, StoreError> {
    tx.query(
        select_events!(
            "WHERE subscription = $1 AND ordering_key = $2 AND state IN ('parked', 'waiting', 'replaying')
             ORDER BY position LIMIT $3"
        ),
        &[name.as_str().into(), key.into(), (limit as i64).into()],
    )
    .await
}

/// The ids of all parked events, by position.
pub(in crate::consumer) async fn parked(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<Vec<EventId>, StoreError> {
    let rows: Vec<(EventId,)> = tx
        .query(
            "SELECT event_id FROM subscription_events WHERE subscription = $1 AND state = 'parked' ORDER BY position",
            &[name.as_str().into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The event is applied: nothing is kept of it any more.
pub(in crate::consumer) async fn remove(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    id: EventId,
) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM subscription_events WHERE subscription = $1 AND event_id = $2",
        &[name.as_str().into(), (&id).into()],
    )
    .await
    .map(drop)
}

/// The first event of the key has its turn, if it only waited for that. Returns whether the key has any left.
pub(in crate::consumer) async fn next_of_key(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    key: &str,
) -> Result<bool, StoreError> {
    let Some(next) = of_key(tx, name, key, 1).await?.into_iter().next() else {
        return Ok(false);
    };
    if next.state == EventState::Waiting {
        change(
            tx,
            name,
            next.event.id,
            EventState::Replaying,
            &Change::default(),
        )
        .await?;
    }
    Ok(true)
}

/// What changes with an event's state.
#[derive(Default)]
pub(in crate::consumer) struct Change<'a> {
    /// A new error, and one attempt more; none: as before.
    pub(in crate::consumer) error: Option<&'a str>,
    pub(in crate::consumer) next_try: Option<DateTime<Utc>>,
    /// Who drops it, and why.
    pub(in crate::consumer) dropped: Option<(&'a str, &'a str)>,
}

/// The event gets into another state.
pub(in crate::consumer) async fn change(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    id: EventId,
    state: EventState,
    change: &Change<'_>,
) -> Result<(), StoreError> {
    let now = tx.now();
    let error = change.error.map(|error| shortened(error.to_owned()));
    let (by, why) = change.dropped.unzip();
    tx.execute(
        "UPDATE subscription_events
         SET state = $3, error = coalesce($4, error), attempts = attempts + $5, next_try_us = $6,
             dropped_by = $7, dropped_why = $8, changed_us = $9
         WHERE subscription = $1 AND event_id = $2",
        &[
            name.as_str().into(),
            (&id).into(),
            state.as_str().into(),
            error.as_deref().into(),
            change.error.is_some().into(),
            change.next_try.into(),
            by.into(),
            why.into(),
            now.into(),
        ],
    )
    .await
    .map(drop)
}

/// Forgets what is kept of events behind `position`, since they will come again, and of the one that is retried: what comes
/// next is another one. Returns how many those were.
pub(in crate::consumer) async fn forget_behind(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    position: u64,
) -> Result<u64, StoreError> {
    tx.execute(
        "DELETE FROM subscription_events WHERE subscription = $1 AND (position > $2 OR state = 'retrying')",
        &[name.as_str().into(), (position as i64).into()],
    )
    .await
}
