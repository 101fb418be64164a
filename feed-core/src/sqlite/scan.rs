//! Searching: all SQL that looks for events by what they are, within a bounded stretch of the feed.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension};

use super::connection::store_error;
use super::log::{Feed, find};
use super::outbox::key;
use super::rows::{EVENT_COLUMNS, time};
use crate::error::StoreError;
use crate::event::FeedName;
use crate::filter::Filter;
use crate::limits::SCAN_EVENTS_MAX;
use crate::position::{Check, Cursor, Position};
use crate::store::{RecordedBehind, Scan};

pub(super) fn scan(
    conn: &Connection,
    name: &FeedName,
    after: Position,
    filter: &Filter,
    limit: u32,
) -> Result<Scan, StoreError> {
    let feed = find(conn, name)?;
    let state = feed.state(conn)?;
    let from = feed.cursor_at(conn, after)?;
    let last = state
        .head
        .position
        .get()
        .min(after.get().saturating_add(u64::from(SCAN_EVENTS_MAX)));
    if last <= after.get() {
        return Ok(Scan {
            state,
            from,
            events: Vec::new(),
            upto: from,
        });
    }
    // The key stands in the condition as it is and the others behind a `+`, so that the stretch is read in order and
    // no index is tried whose entries lie all over the feed.
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM outbox
         WHERE feed_position BETWEEN ?1 AND ?2
           AND (?3 IS NULL OR +type IN (SELECT value FROM json_each(?3)))
           AND (?4 IS NULL OR +subject IN (SELECT value FROM json_each(?4)))
         ORDER BY feed_position LIMIT ?5"
    );
    let types = list(filter.types().iter().map(|one| one.as_str()));
    let subjects = list(filter.subjects().iter().map(|one| one.as_str()));
    let (first, end) = (key(feed.number, after.get() + 1), key(feed.number, last));
    let events = feed.events(
        conn,
        &sql,
        rusqlite::params![first, end, types, subjects, limit],
    )?;
    let upto = match events.last() {
        // Behind the last one that fitted in, nothing was looked at.
        Some(event) if events.len() as u64 >= u64::from(limit) => Some(event.cursor()),
        _ => feed.cursor_at(conn, Position::new(last).unwrap_or(after))?,
    };
    Ok(Scan {
        state,
        from,
        events,
        upto,
    })
}

/// The values as a JSON array; none when there are none.
fn list<'a>(values: impl Iterator<Item = &'a str>) -> Option<String> {
    let values: Vec<&str> = values.collect();
    (!values.is_empty()).then(|| serde_json::json!(values).to_string())
}

/// `recorded` never goes back along a feed, so the place is found by halving: in some 40 steps, without an index.
pub(super) fn cursor_before(
    conn: &Connection,
    name: &FeedName,
    time: DateTime<Utc>,
) -> Result<Cursor, StoreError> {
    let feed = find(conn, name)?;
    let state = feed.state(conn)?;
    let time_us = time.timestamp_micros();
    // Every event up to `low` was recorded before the time, none behind `high` was.
    let mut low = state.earliest.position.get();
    let mut high = state.head.position.get();
    let mut statement = conn
        .prepare_cached("SELECT recorded_us FROM outbox WHERE feed_position = ?1")
        .map_err(store_error)?;
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let recorded_us: i64 = statement
            .query_row([key(feed.number, middle)], |row| row.get(0))
            .map_err(store_error)?;
        if recorded_us < time_us {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let found = feed.cursor_at(conn, Position::new(low).unwrap_or_default())?;
    Ok(found.unwrap_or(state.earliest))
}

pub(super) fn recorded_behind(
    conn: &Connection,
    name: &FeedName,
    positions: &[Position],
) -> Result<RecordedBehind, StoreError> {
    let feed = find(conn, name)?;
    let state = feed.state(conn)?;
    let mut statement = conn
        .prepare_cached(
            "SELECT recorded_us FROM outbox WHERE feed_position BETWEEN ?1 AND ?2 ORDER BY feed_position LIMIT 1",
        )
        .map_err(store_error)?;
    let mut times = Vec::with_capacity(positions.len());
    for position in positions {
        // Nothing is behind the newest one, which is where most of them are.
        if *position >= state.head.position {
            times.push(None);
            continue;
        }
        let range = [
            key(feed.number, position.get() + 1),
            key(feed.number, state.head.position.get()),
        ];
        let recorded_us: Option<i64> = statement
            .query_row(range, |row| row.get(0))
            .optional()
            .map_err(store_error)?;
        times.push(recorded_us.map(time).transpose()?);
    }
    Ok(RecordedBehind { state, times })
}

impl Feed {
    /// The cursor of the event at `position`, if there is one, also for the place where the oldest one begins.
    fn cursor_at(
        &self,
        conn: &Connection,
        position: Position,
    ) -> Result<Option<Cursor>, StoreError> {
        let earliest = self.earliest();
        if position == earliest.position {
            return Ok(Some(earliest));
        }
        let check: Option<[u8; 6]> = conn
            .prepare_cached(r#"SELECT "check" FROM outbox WHERE feed_position = ?1"#)
            .and_then(|mut statement| {
                statement
                    .query_row([key(self.number, position.get())], |row| row.get(0))
                    .optional()
            })
            .map_err(store_error)?;
        Ok(check.map(|check| Cursor {
            epoch: self.history.epoch_at(position),
            position,
            check: Check::from_bytes(check),
        }))
    }
}
