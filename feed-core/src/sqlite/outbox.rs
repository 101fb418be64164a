//! Appending: all SQL that writes to the outbox.
//!
//! SQLite has one writer at a time, so an event gets its position where it is appended: head, check and version
//! are read inside the transaction that writes them, also when other processes write to the file.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OptionalExtension, named_params};

use super::connection::store_error;
use crate::error::{AppendError, StoreError};
use crate::event::{EventId, NewEvent, Subject, Version};
use crate::limits::POSITION_MAX;
use crate::position::{Check, Position};
use crate::store::{Appended, Expected};

/// Bits of the key that hold the position; the feed's number stands above them.
const POSITION_BITS: u32 = 40;

/// The outbox's key of a position in a feed.
pub(super) fn key(feed: i64, position: u64) -> i64 {
    // Fits: the schema bounds feeds to 20 bits, `Position` bounds positions to 40.
    feed << POSITION_BITS | (position.min(POSITION_MAX) as i64)
}

pub(super) fn feed_of(key: i64) -> i64 {
    key >> POSITION_BITS
}

pub(super) fn position_of(key: i64) -> Position {
    Position::new(key as u64 & POSITION_MAX).unwrap_or_default()
}

/// The newest event of a feed, as an append needs it.
struct Head {
    position: Position,
    check: Check,
    recorded_us: i64,
}

pub(super) fn append(
    conn: &Connection,
    now: DateTime<Utc>,
    feed: &str,
    subject: &Subject,
    expected: Expected,
    events: &[NewEvent],
) -> Result<Appended, AppendError> {
    let (feed_number, bytes_max) = find_feed(conn, feed)?;
    check_sizes(feed, subject, bytes_max, events)?;
    let current = version_of(conn, subject, feed_number)?;
    let ids: Vec<EventId> = events.iter().filter_map(|event| event.id).collect();
    if !expected.fits(current) {
        // The same append again, whose answer was lost, is no conflict.
        if events
            .iter()
            .map(|event| is_there(conn, subject, event))
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .all(|there| *there)
        {
            return Ok(Appended {
                ids,
                version: current,
            });
        }
        return Err(AppendError::Conflict {
            subject: subject.to_string(),
            expected: expected.to_string(),
            current,
        });
    }
    // All or none, also when the caller goes on after an error.
    execute(conn, "SAVEPOINT append")?;
    match insert_all(conn, now, feed_number, subject, current, events) {
        Ok(version) => {
            execute(conn, "RELEASE append")?;
            Ok(Appended { ids, version })
        }
        Err(error) => {
            // When SQLite rolled back by itself there is no savepoint left to go back to.
            if !conn.is_autocommit() {
                execute(conn, "ROLLBACK TO append")?;
                execute(conn, "RELEASE append")?;
            }
            Err(error)
        }
    }
}

fn execute(conn: &Connection, sql: &str) -> Result<(), StoreError> {
    conn.prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(store_error)
}

fn insert_all(
    conn: &Connection,
    now: DateTime<Utc>,
    feed: i64,
    subject: &Subject,
    current: Version,
    events: &[NewEvent],
) -> Result<Version, AppendError> {
    let full = |what: String| move || AppendError::Full(what);
    let mut head = head(conn, feed)?;
    let mut version = current;
    for event in events {
        let id = event
            .id
            .ok_or_else(|| StoreError::Corrupt("an event without an id was appended".into()))?;
        let position = head
            .position
            .next()
            .ok_or_else(full(format!("feed {feed}")))?;
        let next_version = version
            .next()
            .ok_or_else(full(format!("subject {subject}")))?;
        let next = Head {
            position,
            check: head.check.next(id),
            recorded_us: head.recorded_us.max(now.timestamp_micros()),
        };
        if insert(conn, feed, subject, next_version, &next, id, event)? {
            (head, version) = (next, next_version);
        } else if !is_there(conn, subject, event)? {
            // The id was the reason, and it is not this event: `is_there` says whose it is.
            return Err(StoreError::Constraint(format!("event {id} could not be inserted")).into());
        }
    }
    Ok(version)
}

/// Returns whether the row went in; `false` when the id is taken.
fn insert(
    conn: &Connection,
    feed: i64,
    subject: &Subject,
    version: Version,
    place: &Head,
    id: EventId,
    event: &NewEvent,
) -> Result<bool, StoreError> {
    let extensions = if event.extensions.is_empty() {
        None
    } else {
        Some(
            serde_json::to_string(&event.extensions)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?,
        )
    };
    let time_us = event
        .time
        .map_or(place.recorded_us, |time| time.timestamp_micros());
    let mut statement = conn
        .prepare_cached(
            r#"INSERT INTO outbox (feed_position, id, type, subject, version, time_us, recorded_us, "check",
                   datacontenttype, dataschema, traceparent, causationid, correlationid, extensions, data)
               VALUES (:key, :id, :type, :subject, :version, :time_us, :recorded_us, :check,
                   :datacontenttype, :dataschema, :traceparent, :causationid, :correlationid, :extensions, :data)"#,
        )
        .map_err(store_error)?;
    let inserted = statement.execute(named_params! {
        ":key": key(feed, place.position.get()),
        ":id": &id.as_bytes()[..],
        ":type": event.event_type.as_str(),
        ":subject": subject.as_str(),
        ":version": version.get(),
        ":time_us": time_us,
        ":recorded_us": place.recorded_us,
        ":check": &place.check.as_bytes()[..],
        ":datacontenttype": event.data.as_ref().and_then(|data| data.content_type_stored()),
        ":dataschema": event.dataschema,
        ":traceparent": event.traceparent,
        ":causationid": event.causationid.as_ref().map(|id| &id.as_bytes()[..]),
        ":correlationid": event.correlationid,
        ":extensions": extensions,
        ":data": event.data.as_ref().map(|data| data.bytes()),
    });
    match inserted {
        Ok(_) => Ok(true),
        Err(rusqlite::Error::SqliteFailure(failure, Some(message)))
            if failure.code == ErrorCode::ConstraintViolation && message.contains("outbox.id") =>
        {
            Ok(false)
        }
        Err(error) => Err(store_error(error)),
    }
}

fn find_feed(conn: &Connection, feed: &str) -> Result<(i64, u32), StoreError> {
    conn.prepare_cached("SELECT feed, event_bytes_max FROM feeds WHERE name = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([feed], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .map_err(store_error)?
        .ok_or_else(|| StoreError::UnknownFeed(feed.to_owned()))
}

fn check_sizes(
    feed: &str,
    subject: &Subject,
    bytes_max: u32,
    events: &[NewEvent],
) -> Result<(), AppendError> {
    for event in events {
        let bytes = subject.as_str().len() + event.bytes();
        if let (true, Some(id)) = (bytes > bytes_max as usize, event.id) {
            return Err(AppendError::TooLarge {
                id,
                feed: feed.to_owned(),
                bytes,
                bytes_max,
            });
        }
    }
    Ok(())
}

/// The subject's version, after making sure that it lives in this feed.
fn version_of(conn: &Connection, subject: &Subject, feed: i64) -> Result<Version, AppendError> {
    let newest: Option<(i64, u32)> = conn
        .prepare_cached("SELECT feed_position, version FROM outbox WHERE subject = ?1 ORDER BY version DESC LIMIT 1")
        .and_then(|mut statement| statement.query_row([subject.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(store_error)?;
    let Some((key, version)) = newest else {
        return Ok(Version::NONE);
    };
    if feed_of(key) != feed {
        let name = conn
            .query_row(
                "SELECT name FROM feeds WHERE feed = ?1",
                [feed_of(key)],
                |row| row.get(0),
            )
            .map_err(store_error)?;
        return Err(AppendError::SubjectElsewhere {
            subject: subject.to_string(),
            feed: name,
        });
    }
    Version::new(version).map_err(|error| StoreError::Corrupt(error.to_string()).into())
}

/// Whether this very event is in the outbox: same id, type, subject and data. Its time and trace may differ, since
/// they do when a handler runs again.
fn is_there(conn: &Connection, subject: &Subject, event: &NewEvent) -> Result<bool, AppendError> {
    let Some(id) = event.id else { return Ok(false) };
    type Stored = (String, String, Option<String>, Option<Vec<u8>>);
    let stored: Option<Stored> = conn
        .prepare_cached("SELECT type, subject, datacontenttype, data FROM outbox WHERE id = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([&id.as_bytes()[..]], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()
        })
        .map_err(store_error)?;
    let Some((event_type, stored_subject, content_type, data)) = stored else {
        return Ok(false);
    };
    let same = event_type == event.event_type.as_str()
        && stored_subject == subject.as_str()
        && content_type.as_deref()
            == event
                .data
                .as_ref()
                .and_then(|data| data.content_type_stored())
        && data.as_deref() == event.data.as_ref().map(|data| data.bytes());
    if same {
        Ok(true)
    } else {
        Err(AppendError::IdTaken {
            id,
            subject: stored_subject,
        })
    }
}

fn head(conn: &Connection, feed: i64) -> Result<Head, StoreError> {
    let newest: Option<(i64, [u8; 6], i64)> = conn
        .prepare_cached(
            r#"SELECT feed_position, "check", recorded_us FROM outbox
               WHERE feed_position BETWEEN ?1 AND ?2 ORDER BY feed_position DESC LIMIT 1"#,
        )
        .and_then(|mut statement| {
            statement
                .query_row([key(feed, 0), key(feed, POSITION_MAX)], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()
        })
        .map_err(store_error)?;
    Ok(newest.map_or(
        Head {
            position: Position::START,
            check: Check::START,
            recorded_us: 0,
        },
        |(key, check, recorded_us)| Head {
            position: position_of(key),
            check: Check::from_bytes(check),
            recorded_us,
        },
    ))
}
