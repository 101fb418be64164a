//! Reading: a feed's state and its events, in one statement, so that they are of one moment and cost one round trip.

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::feeds::{FEED_COLUMNS, Feed, Feeds, column};
use super::rows::{check, event_in, history, position, state_of};
use super::tx::PostgresTx;
use crate::error::StoreError;
use crate::event::{Event, EventId, FeedName, Subject};
use crate::faults::{Bug, planted};
use crate::feed::FeedState;
use crate::limits::{POSITION_MAX, SCAN_EVENTS_MAX, STANDBY_LOOK_MS, STANDBY_LOOKS_MAX};
use crate::page::PageCapacity;
use crate::position::{Cursor, Position};
use crate::store::Window;

/// The columns of an event, as [`view`](super::rows::view) reads them.
const EVENT: &str = r#"p.position, o.id, o.type, o.subject, o.version, o.time_us, p.recorded_us, p."check", o.datacontenttype,
    o.dataschema, o.traceparent, o.causationid, o.correlationid, o.extensions, o.data"#;

/// Rows of one kind leave the columns of the others empty.
const NO_EVENT: &str = "NULL::bigint, NULL::uuid, NULL::text, NULL::text, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bytea,
    NULL::text, NULL::text, NULL::text, NULL::uuid, NULL::text, NULL::text, NULL::bytea";
const NO_STATE: &str = "NULL::bigint, NULL::bytea, NULL::bigint[], NULL::bytea[], NULL::bigint, NULL::bytea, NULL::bigint, NULL::bool";

/// The feed number $1 as it is now, and what else `parts` find in the same moment. `head` is its newest place.
fn statement(parts: &str) -> String {
    format!(
        r#"WITH head AS MATERIALIZED (
               SELECT position, "check", recorded_us FROM positions WHERE feed = $1 ORDER BY position DESC LIMIT 1
           )
           SELECT {NO_EVENT}, f.pruned_position, f.pruned_check,
               ARRAY(SELECT first_position FROM epochs WHERE feed = $1 ORDER BY first_position),
               ARRAY(SELECT epoch FROM epochs WHERE feed = $1 ORDER BY first_position),
               head.position, head."check", head.recorded_us, pg_is_in_recovery()
           FROM feeds f LEFT JOIN head ON true WHERE f.feed = $1
           {parts}"#
    )
}

static STATE: LazyLock<String> = LazyLock::new(|| statement(""));

/// The events at the places $2 to $3; a negative $2 is counted from the head. The plan is the same for small feeds and
/// large ones: places lie side by side, and each event is looked up by its key. Without `OFFSET 0` it would be left to an
/// estimate whether all of the outbox is read instead.
static BETWEEN: LazyLock<String> = LazyLock::new(|| {
    statement(&format!(
        "UNION ALL (
             SELECT {EVENT}, {NO_STATE}
             FROM positions p CROSS JOIN LATERAL (
                 SELECT * FROM outbox WHERE feed = $1 AND xid = p.xid AND event_no = p.event_no OFFSET 0
             ) o
             WHERE p.feed = $1 AND p.position <= $3
               AND p.position >= CASE WHEN $2::bigint >= 0 THEN $2 ELSE (SELECT position FROM head) + 1 + $2 END
             ORDER BY p.position
         )"
    ))
});

/// The wanted events among those behind $2, as many as $5; and the places at $2 and where the search ends.
static SEARCHING: LazyLock<String> = LazyLock::new(|| {
    let stretch =
        format!("p.feed = $1 AND p.position > $2 AND p.position <= $2 + {SCAN_EVENTS_MAX}");
    statement(&format!(
        r#"UNION ALL (
             SELECT {EVENT}, {NO_STATE}
             FROM positions p CROSS JOIN LATERAL (
                 SELECT * FROM outbox WHERE feed = $1 AND xid = p.xid AND event_no = p.event_no OFFSET 0
             ) o
             WHERE {stretch}
               AND ($3::text[] IS NULL OR o.type = ANY ($3)) AND ($4::text[] IS NULL OR o.subject = ANY ($4))
             ORDER BY p.position LIMIT $5
         )
         UNION ALL (
             SELECT p.position, NULL, NULL, NULL, NULL, NULL, NULL, p."check", NULL, NULL, NULL, NULL, NULL, NULL, NULL, {NO_STATE}
             FROM positions p WHERE p.feed = $1 AND p.position IN ($2, least($2 + {SCAN_EVENTS_MAX}, (SELECT position FROM head)))
         )"#
    ))
});

/// The event with the id $2.
static BY_ID: LazyLock<String> = LazyLock::new(|| {
    statement(&format!(
        "UNION ALL (
             SELECT {EVENT}, {NO_STATE}
             FROM outbox o JOIN positions p ON p.event_no = o.event_no AND p.xid = o.xid
             WHERE o.id = $2 AND o.feed = $1 AND p.feed = $1
         )"
    ))
});

/// What a statement found, in parts.
pub(super) struct Reading {
    pub(super) state: FeedState,
    pub(super) events: Vec<Event>,
    /// Places that were asked for beside events.
    pub(super) places: Vec<Cursor>,
}

impl Reading {
    fn of(feed: &Feed, rows: &[Row]) -> Result<Self, StoreError> {
        let mut reading = Reading {
            state: first_state(feed, rows)?,
            events: Vec::with_capacity(rows.len() - 1),
            places: Vec::new(),
        };
        for row in &rows[1..] {
            if column::<Option<Uuid>>(row, 1)?.is_some() {
                let state = &reading.state;
                let event = event_in(row, &state.identity, &state.history)?;
                reading.events.push(event);
            } else {
                let position = position(column(row, 0)?)?;
                reading.places.push(Cursor {
                    epoch: reading.state.history.epoch_at(position),
                    position,
                    check: check(row, 7)?,
                });
            }
        }
        // An order within one part of a UNION is what is seen, and nothing that SQL promises.
        reading.events.sort_unstable_by_key(|event| event.position);
        Ok(reading)
    }

    /// The cursor of the event at `at`, if it was asked for and is there, also for the place where the oldest begins.
    pub(super) fn cursor_at(&self, at: Position) -> Option<Cursor> {
        if at == self.state.earliest.position {
            return Some(self.state.earliest);
        }
        self.places
            .iter()
            .find(|place| place.position == at)
            .copied()
    }
}

pub(super) async fn read(
    client: &deadpool_postgres::Object,
    feeds: &Feeds,
    name: &FeedName,
    window: Window,
) -> Result<(FeedState, Vec<Event>), StoreError> {
    let feed = feeds.find(client, name).await?;
    let (first, last) = stretch(window, feed.identity.capacity);
    if planted(Bug::HeadAndRowsApart) {
        let state = ask(client, &feed, &STATE, &[&feed.number]).await?.state;
        let reading = ask(client, &feed, &BETWEEN, &[&feed.number, &first, &last]).await?;
        return Ok((state, reading.events));
    }
    let reading = ask(client, &feed, &BETWEEN, &[&feed.number, &first, &last]).await?;
    Ok((reading.state, reading.events))
}

/// The feed's state, and what `fold` makes of the events of `page`.
#[cfg(feature = "server")]
pub(super) async fn fold<F: crate::store::Fold>(
    client: &deadpool_postgres::Object,
    feeds: &Feeds,
    name: &FeedName,
    page: crate::page::PageNumber,
    mut fold: F,
) -> Result<(FeedState, F), StoreError> {
    let feed = feeds.find(client, name).await?;
    let (first, last) = stretch(Window::Page(page), feed.identity.capacity);
    let parameters: [&(dyn ToSql + Sync); 3] = [&feed.number, &first, &last];
    let (rows, state) = ask_rows(client, &feed, &BETWEEN, &parameters).await?;
    if fold.wants(&state) {
        let mut events = Vec::with_capacity(rows.len() - 1);
        for row in &rows[1..] {
            events.push(super::rows::view(row, &state.identity, &state.history)?);
        }
        events.sort_unstable_by_key(|event| event.position);
        events.iter().for_each(|event| fold.put(event));
    }
    Ok((state, fold))
}

/// First and last position of a window; a negative first one is counted from the head.
fn stretch(window: Window, capacity: PageCapacity) -> (i64, i64) {
    let (first, last) = match window {
        Window::Nothing => (1, 0),
        Window::After { after, limit } => (
            after.get() as i64 + 1,
            after.get().saturating_add(u64::from(limit)) as i64,
        ),
        Window::PageFrom { at } => (
            at.get() as i64,
            capacity.last(capacity.page_after(at)).get() as i64,
        ),
        Window::Page(page) => {
            let positions = capacity.positions(page);
            (*positions.start() as i64, *positions.end() as i64)
        }
        Window::Newest { limit } => (-i64::from(limit), POSITION_MAX as i64),
        Window::NewestPage => (-i64::from(capacity.get()), POSITION_MAX as i64),
    };
    // No limit at all is asked for by a newest of none.
    if first == 0 && last == POSITION_MAX as i64 {
        (1, 0)
    } else {
        (first, last)
    }
}

pub(super) async fn event_by_id(
    client: &deadpool_postgres::Object,
    feeds: &Feeds,
    name: &FeedName,
    id: EventId,
) -> Result<Option<Event>, StoreError> {
    let feed = feeds.find(client, name).await?;
    let id = Uuid::from_bytes(*id.as_bytes());
    let reading = ask(client, &feed, &BY_ID, &[&feed.number, &id]).await?;
    Ok(reading.events.into_iter().next())
}

/// Whether the feed's outbox has the event, with a place or without.
#[cfg(all(feature = "client", feature = "server"))]
pub(super) async fn is_appended(
    client: &deadpool_postgres::Object,
    feeds: &Feeds,
    name: &FeedName,
    id: EventId,
) -> Result<bool, StoreError> {
    let feed = feeds.find(client, name).await?;
    let id = Uuid::from_bytes(*id.as_bytes());
    let sql = "SELECT true FROM outbox WHERE id = $1 AND feed = $2";
    Ok(!values(client, sql, &[&id, &feed.number]).await?.is_empty())
}

pub(super) async fn search(
    client: &deadpool_postgres::Object,
    feed: &Feed,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Reading, StoreError> {
    ask(client, feed, &SEARCHING, parameters).await
}

/// Runs a statement that begins with the feed's state.
pub(super) async fn ask(
    client: &deadpool_postgres::Object,
    feed: &Feed,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Reading, StoreError> {
    let (rows, _) = ask_rows(client, feed, sql, parameters).await?;
    Reading::of(feed, &rows)
}

/// The same, in rows; the first of them is the state.
async fn ask_rows(
    client: &deadpool_postgres::Object,
    feed: &Feed,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(Vec<Row>, FeedState), StoreError> {
    let mut looks = 1;
    loop {
        let rows = values(client, sql, parameters).await?;
        let state = first_state(feed, &rows)?;
        match feed.furthest.pass(&state) {
            Ok(()) => return Ok((rows, state)),
            Err(error) if looks == STANDBY_LOOKS_MAX => return Err(error),
            // Two that read at the same time may come to know of it the other way round, too.
            Err(_) => tokio::time::sleep(Duration::from_millis(STANDBY_LOOK_MS)).await,
        }
        looks += 1;
    }
}

const EVENTS_OF: &str = r#"SELECT coalesce(p.position, 0), o.id, o.type, o.subject, o.version, o.time_us, coalesce(p.recorded_us, o.time_us),
               coalesce(p."check", '\x000000000000'), o.datacontenttype, o.dataschema, o.traceparent, o.causationid,
               o.correlationid, o.extensions, o.data, o.feed,
               CASE WHEN o.version = 1 THEN ARRAY(SELECT first_position FROM epochs e WHERE e.feed = o.feed ORDER BY 1) END,
               CASE WHEN o.version = 1
                   THEN ARRAY(SELECT epoch FROM epochs e WHERE e.feed = o.feed ORDER BY first_position) END
           FROM outbox o
           LEFT JOIN LATERAL (SELECT * FROM positions WHERE event_no = o.event_no AND xid = o.xid OFFSET 0) p ON true
           WHERE o.subject = $1 ORDER BY o.version"#;

/// The events of a subject as this transaction sees them. Those that have no place yet stand at position 0.
pub(super) async fn events_of(
    tx: &mut PostgresTx<'_>,
    subject: &Subject,
) -> Result<Vec<Event>, StoreError> {
    let rows = tx.rows(EVENTS_OF, &[&subject.as_str()]).await?;
    let Some(first) = rows.first() else {
        return Ok(Vec::new());
    };
    let number: i64 = column(first, 15)?;
    let feed =
        match tx.feeds.numbered(number) {
            Some(feed) => feed,
            None => {
                let sql = format!("SELECT {FEED_COLUMNS} FROM feeds WHERE feed = $1");
                let rows = tx.rows(&sql, &[&number]).await?;
                Feed::read(rows.first().ok_or_else(|| {
                    StoreError::Corrupt(format!("there is no feed number {number}"))
                })?)?
            }
        };
    let history = history(column(first, 16)?, column(first, 17)?)?;
    rows.iter()
        .map(|row| event_in(row, &feed.identity, &history))
        .collect()
}

/// The feed's state, with which all statements begin.
fn first_state(feed: &Feed, rows: &[Row]) -> Result<FeedState, StoreError> {
    let state = rows
        .first()
        .ok_or_else(|| StoreError::UnknownFeed(feed.identity.name.to_string()))?;
    state_of(&feed.identity, state)
}

/// Runs a statement about one feed whose rows are none of the above.
pub(super) async fn values(
    client: &deadpool_postgres::Object,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, StoreError> {
    let prepared = client
        .prepare_cached(sql)
        .await
        .map_err(super::failure::store_error)?;
    client
        .query(&prepared, parameters)
        .await
        .map_err(super::failure::store_error)
}

/// The feed as it is now.
pub(super) async fn state(
    client: &deadpool_postgres::Object,
    feed: &Feed,
) -> Result<FeedState, StoreError> {
    Ok(ask(client, feed, &STATE, &[&feed.number]).await?.state)
}

/// A time as the database keeps it.
pub(super) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}
