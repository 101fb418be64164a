//! The statements of appending: all SQL that writes to the outbox, or is asked before it is written to.

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::connection::store_error;
use super::outbox::{feed_of, key, position_of};
use super::prepared::Prepared;
use crate::error::StoreError;
use crate::event::{EventId, NewEvent, Subject, Version};
use crate::limits::POSITION_MAX;
use crate::position::{Check, Position};

/// The newest event of a feed, as an append needs it.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) position: Position,
    pub(super) check: Check,
    pub(super) recorded_us: i64,
}

/// A feed, as an append needs it.
pub(super) struct Place {
    pub(super) feed: i64,
    pub(super) event_bytes_max: u32,
    pub(super) head: Head,
    /// No feed of the file was pruned, so whoever has events has one of version 1.
    pub(super) whole: bool,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    Yes,
    /// Another row has its id.
    IdTaken,
    /// Another row has its subject and version.
    VersionTaken,
}

/// What is stored of an event that has a certain id.
pub(super) struct Stored {
    pub(super) event_type: String,
    pub(super) subject: String,
    pub(super) content_type: Option<String>,
    pub(super) data: Option<Vec<u8>>,
}

pub(super) struct Rows<'c> {
    conn: &'c Connection,
    insert: Prepared<'c>,
    version: Prepared<'c>,
    feed: Prepared<'c>,
    head: Prepared<'c>,
    by_id: Prepared<'c>,
    feed_name: Prepared<'c>,
}

impl<'c> Rows<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Rows {
            conn,
            insert: Prepared::new(
                r#"INSERT INTO outbox (feed_position, id, type, subject, version, time_us, recorded_us, "check",
                       datacontenttype, dataschema, traceparent, causationid, correlationid, extensions, data)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"#,
            ),
            version: Prepared::new(
                "SELECT feed_position, version FROM outbox WHERE subject = ?1 ORDER BY version DESC LIMIT 1",
            ),
            feed: Prepared::new(
                "SELECT feed, event_bytes_max, (SELECT max(pruned_position) FROM feeds) FROM feeds WHERE name = ?1",
            ),
            head: Prepared::new(
                r#"SELECT feed_position, "check", recorded_us FROM outbox
                   WHERE feed_position BETWEEN ?1 AND ?2 ORDER BY feed_position DESC LIMIT 1"#,
            ),
            by_id: Prepared::new(
                "SELECT type, subject, datacontenttype, data FROM outbox WHERE id = ?1",
            ),
            feed_name: Prepared::new("SELECT name FROM feeds WHERE feed = ?1"),
        }
    }

    pub(super) fn insert(
        &self,
        feed: i64,
        subject: &Subject,
        version: Version,
        place: &Head,
        id: EventId,
        event: &NewEvent,
    ) -> Result<Inserted, StoreError> {
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
        // By number: looking parameters up by name costs a third of the insert.
        let inserted = self.insert.with(self.conn, |statement| {
            statement.execute(params![
                key(feed, place.position.get()),
                &id.as_bytes()[..],
                event.event_type.as_str(),
                subject.as_str(),
                version.get(),
                time_us,
                place.recorded_us,
                &place.check.as_bytes()[..],
                event
                    .data
                    .as_ref()
                    .and_then(|data| data.content_type_stored()),
                event.dataschema,
                event.traceparent,
                event.causationid.as_ref().map(|id| &id.as_bytes()[..]),
                event.correlationid,
                extensions,
                event.data.as_ref().map(|data| data.bytes()),
            ])
        });
        match inserted {
            Ok(_) => Ok(Inserted::Yes),
            Err(rusqlite::Error::SqliteFailure(failure, Some(message)))
                if failure.code == ErrorCode::ConstraintViolation
                    && message.contains("outbox.id") =>
            {
                Ok(Inserted::IdTaken)
            }
            Err(rusqlite::Error::SqliteFailure(failure, Some(message)))
                if failure.code == ErrorCode::ConstraintViolation
                    && message.contains("outbox.version") =>
            {
                Ok(Inserted::VersionTaken)
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// The feed of this name with its head, if there is one.
    pub(super) fn place(&self, name: &str) -> Result<Option<Place>, StoreError> {
        let found: Option<(i64, u32, i64)> = self
            .feed
            .with(self.conn, |statement| {
                statement
                    .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .optional()
            })
            .map_err(store_error)?;
        let Some((feed, event_bytes_max, pruned_position)) = found else {
            return Ok(None);
        };
        Ok(Some(Place {
            feed,
            event_bytes_max,
            head: self.head(feed)?,
            whole: pruned_position == 0,
        }))
    }

    fn head(&self, feed: i64) -> Result<Head, StoreError> {
        let newest: Option<(i64, [u8; 6], i64)> = self
            .head
            .with(self.conn, |statement| {
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

    /// The number of the feed that the subject lives in, and its version; none when it has no events.
    pub(super) fn newest_of(&self, subject: &Subject) -> Result<Option<(i64, u32)>, StoreError> {
        self.version
            .with(self.conn, |statement| {
                statement
                    .query_row([subject.as_str()], |row| {
                        Ok((feed_of(row.get(0)?), row.get(1)?))
                    })
                    .optional()
            })
            .map_err(store_error)
    }

    pub(super) fn stored(&self, id: EventId) -> Result<Option<Stored>, StoreError> {
        self.by_id
            .with(self.conn, |statement| {
                statement
                    .query_row([&id.as_bytes()[..]], |row| {
                        Ok(Stored {
                            event_type: row.get(0)?,
                            subject: row.get(1)?,
                            content_type: row.get(2)?,
                            data: row.get(3)?,
                        })
                    })
                    .optional()
            })
            .map_err(store_error)
    }

    pub(super) fn feed_name(&self, feed: i64) -> Result<String, StoreError> {
        self.feed_name
            .with(self.conn, |statement| {
                statement.query_row([feed], |row| row.get(0))
            })
            .map_err(store_error)
    }
}
