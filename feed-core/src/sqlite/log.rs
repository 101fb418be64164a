//! Reading: all SQL that reads feeds and events.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Params, Row, named_params};
use uuid::Uuid;

use super::connection::store_error;
use super::outbox::{feed_of, key, position_of};
use crate::error::StoreError;
use crate::event::{Data, Event, EventId, EventType, FeedName, Subject, Version, to_micros};
use crate::feed::{FeedConfig, FeedIdentity, FeedState, History, Visibility};
use crate::limits::POSITION_MAX;
use crate::page::PageCapacity;
use crate::position::{Check, Cursor, Epoch, Position};
use crate::store::Window;

/// Columns of an event, in the order in which [`Feed::event`] reads them.
pub(super) const EVENT_COLUMNS: &str = r#"feed_position, id, type, subject, version, time_us, recorded_us, "check", datacontenttype,
    dataschema, traceparent, causationid, correlationid, extensions, data"#;

/// A feed with its number in this file.
pub(super) struct Feed {
    pub(super) number: i64,
    pub(super) identity: Arc<FeedIdentity>,
    pub(super) history: History,
    /// The newest event that was pruned; position 0 when none was.
    pruned: (Position, Check),
}

/// Creates the feed with its first epoch, or makes sure that it is as asked for.
pub(super) fn create_feed(conn: &Connection, config: &FeedConfig) -> Result<(), StoreError> {
    let stored = match find(conn, &config.name) {
        Ok(feed) => feed.identity,
        Err(StoreError::UnknownFeed(_)) => return insert_feed(conn, config),
        Err(error) => return Err(error),
    };
    crate::feed::compare(&stored, config)
}

fn insert_feed(conn: &Connection, config: &FeedConfig) -> Result<(), StoreError> {
    let now_us = Utc::now().timestamp_micros();
    conn.execute(
        "INSERT INTO feeds (name, feed_id, author, title, source, visibility, page_capacity, event_bytes_max, created_us)
         VALUES (:name, :feed_id, :author, :title, :source, :visibility, :capacity, :bytes, :created_us)",
        named_params! {
            ":name": config.name.as_str(),
            ":feed_id": &Uuid::new_v4().as_bytes()[..],
            ":author": config.author,
            ":title": config.title,
            ":source": config.source,
            ":visibility": config.visibility.as_str(),
            ":capacity": config.capacity.get(),
            ":bytes": config.event_bytes_max,
            ":created_us": now_us,
        },
    )
    .and_then(|_| {
        conn.execute(
            "INSERT INTO epochs (feed, first_position, epoch, reason, opened_us) VALUES (?1, 1, ?2, 'feed created', ?3)",
            rusqlite::params![conn.last_insert_rowid(), &Epoch::random().as_bytes()[..], now_us],
        )
    })
    .map(drop)
    .map_err(store_error)
}

/// Opens a new epoch behind the head. One that has no event yet is replaced: what readers of another fork saw of it is not
/// in this history.
pub(super) fn open_epoch(
    conn: &Connection,
    name: &FeedName,
    reason: &str,
) -> Result<(), StoreError> {
    let feed = find(conn, name)?;
    let head = feed.state(conn)?.head.position;
    conn.execute(
        "INSERT INTO epochs (feed, first_position, epoch, reason, opened_us) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (feed, first_position) DO UPDATE SET
             epoch = excluded.epoch, reason = excluded.reason, opened_us = excluded.opened_us",
        rusqlite::params![
            feed.number,
            head.get() as i64 + 1,
            &Epoch::random().as_bytes()[..],
            reason,
            Utc::now().timestamp_micros()
        ],
    )
    .map(drop)
    .map_err(store_error)
}

/// The feed's state and the events of the window, read in the caller's transaction.
pub(super) fn read(
    conn: &Connection,
    name: &FeedName,
    window: Window,
) -> Result<(FeedState, Vec<Event>), StoreError> {
    let feed = find(conn, name)?;
    let state = feed.state(conn)?;
    let head = state.head.position.get();
    let events = match window {
        Window::Nothing => Vec::new(),
        Window::After { after, limit } => feed.events_between(
            conn,
            after.get() + 1,
            after.get().saturating_add(u64::from(limit)),
        )?,
        Window::PageFrom { at } => {
            let capacity = feed.identity.capacity;
            feed.events_between(conn, at.get(), capacity.last(capacity.page_after(at)).get())?
        }
        Window::Page(page) => {
            let positions = feed.identity.capacity.positions(page);
            feed.events_between(conn, *positions.start(), *positions.end())?
        }
        Window::Newest { limit } => feed.newest(conn, head, limit)?,
        Window::NewestPage => feed.newest(conn, head, feed.identity.capacity.get())?,
    };
    Ok((state, events))
}

pub(super) fn event(
    conn: &Connection,
    name: &FeedName,
    id: EventId,
) -> Result<Option<Event>, StoreError> {
    let feed = find(conn, name)?;
    let sql =
        format!("SELECT {EVENT_COLUMNS} FROM outbox WHERE id = ?1 AND feed_position >> 40 = ?2");
    let found = feed.events(
        conn,
        &sql,
        rusqlite::params![&id.as_bytes()[..], feed.number],
    )?;
    Ok(found.into_iter().next())
}

pub(super) fn events_of(conn: &Connection, subject: &Subject) -> Result<Vec<Event>, StoreError> {
    let first: Option<(i64, String)> = conn
        .prepare_cached(
            "SELECT outbox.feed_position, feeds.name FROM outbox JOIN feeds ON feeds.feed = outbox.feed_position >> 40
             WHERE subject = ?1 AND version = 1",
        )
        .and_then(|mut statement| statement.query_row([subject.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(store_error)?;
    let Some((key, name)) = first else {
        return Ok(Vec::new());
    };
    let feed = find(conn, &FeedName::new(name).map_err(corrupt)?)?;
    debug_assert_eq!(
        feed_of(key),
        feed.number,
        "the join found the feed of the key"
    );
    let sql = format!("SELECT {EVENT_COLUMNS} FROM outbox WHERE subject = ?1 ORDER BY version");
    feed.events(conn, &sql, [subject.as_str()])
}

pub(super) fn find(conn: &Connection, name: &FeedName) -> Result<Feed, StoreError> {
    type Stored = (
        i64,
        [u8; 16],
        String,
        String,
        String,
        String,
        u32,
        u32,
        i64,
        (i64, [u8; 6]),
    );
    let stored: Option<Stored> = conn
        .prepare_cached(
            "SELECT feed, feed_id, author, title, source, visibility, page_capacity, event_bytes_max, created_us,
                    pruned_position, pruned_check
             FROM feeds WHERE name = ?1",
        )
        .and_then(|mut statement| {
            let read = |row: &Row<'_>| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                    row.get(7)?,
                    row.get(8)?,
                    (row.get(9)?, row.get(10)?),
                ))
            };
            statement.query_row([name.as_str()], read).optional()
        })
        .map_err(store_error)?;
    let (
        number,
        id,
        author,
        title,
        source,
        visibility,
        capacity,
        event_bytes_max,
        created_us,
        (pruned_position, pruned_check),
    ) = stored.ok_or_else(|| StoreError::UnknownFeed(name.to_string()))?;
    let identity = FeedIdentity {
        name: name.clone(),
        id: Uuid::from_bytes(id),
        author,
        title,
        source: source.into(),
        visibility: if visibility == Visibility::Public.as_str() {
            Visibility::Public
        } else {
            Visibility::Private
        },
        capacity: PageCapacity::new(capacity).map_err(corrupt)?,
        event_bytes_max,
        created: time(created_us)?,
    };
    Ok(Feed {
        number,
        identity: Arc::new(identity),
        history: history(conn, number)?,
        pruned: (
            Position::new(pruned_position as u64).map_err(corrupt)?,
            Check::from_bytes(pruned_check),
        ),
    })
}

fn history(conn: &Connection, feed: i64) -> Result<History, StoreError> {
    let mut statement = conn
        .prepare_cached(
            "SELECT first_position, epoch FROM epochs WHERE feed = ?1 ORDER BY first_position",
        )
        .map_err(store_error)?;
    let rows = statement
        .query_map([feed], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 8]>(1)?))
        })
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(store_error)?;
    let epochs = rows
        .into_iter()
        .map(|(first, epoch)| {
            Ok((
                Position::new(first as u64).map_err(corrupt)?,
                Epoch::from_bytes(epoch),
            ))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    History::new(epochs).map_err(corrupt)
}

impl Feed {
    pub(super) fn state(&self, conn: &Connection) -> Result<FeedState, StoreError> {
        let newest: Option<(i64, [u8; 6], i64)> = conn
            .prepare_cached(
                r#"SELECT feed_position, "check", recorded_us FROM outbox
                   WHERE feed_position BETWEEN ?1 AND ?2 ORDER BY feed_position DESC LIMIT 1"#,
            )
            .and_then(|mut statement| {
                let range = [key(self.number, 0), key(self.number, POSITION_MAX)];
                statement
                    .query_row(range, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .optional()
            })
            .map_err(store_error)?;
        let (head, updated) = match newest {
            None => (self.history.start(), self.identity.created),
            Some((key, check, recorded_us)) => {
                let position = position_of(key);
                let epoch = self.history.epoch_at(position);
                (
                    Cursor {
                        epoch,
                        position,
                        check: Check::from_bytes(check),
                    },
                    time(recorded_us)?,
                )
            }
        };
        Ok(FeedState {
            identity: self.identity.clone(),
            history: self.history.clone(),
            head,
            earliest: self.earliest(),
            updated,
            is_standbys: false,
        })
    }

    /// The cursor before the oldest event that is still there.
    pub(super) fn earliest(&self) -> Cursor {
        let (position, check) = self.pruned;
        Cursor {
            epoch: self.history.epoch_at(position),
            position,
            check,
        }
    }

    /// The last `limit` events up to `head`, oldest first.
    fn newest(&self, conn: &Connection, head: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.events_between(conn, head.saturating_sub(u64::from(limit)) + 1, head)
    }

    /// The events at the positions `first` to `last`, both included.
    fn events_between(
        &self,
        conn: &Connection,
        first: u64,
        last: u64,
    ) -> Result<Vec<Event>, StoreError> {
        if first > POSITION_MAX || first > last {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {EVENT_COLUMNS} FROM outbox WHERE feed_position BETWEEN ?1 AND ?2 ORDER BY feed_position"
        );
        self.events(
            conn,
            &sql,
            [key(self.number, first), key(self.number, last)],
        )
    }

    pub(super) fn events(
        &self,
        conn: &Connection,
        sql: &str,
        parameters: impl Params,
    ) -> Result<Vec<Event>, StoreError> {
        let mut statement = conn.prepare_cached(sql).map_err(store_error)?;
        let mut rows = statement.query(parameters).map_err(store_error)?;
        let mut events = Vec::new();
        while let Some(row) = rows.next().map_err(store_error)? {
            events.push(self.event(row)?);
        }
        Ok(events)
    }

    fn event(&self, row: &Row<'_>) -> Result<Event, StoreError> {
        let position = position_of(row.get(0).map_err(store_error)?);
        let extensions: Option<String> = row.get(13).map_err(store_error)?;
        let data: Option<Vec<u8>> = row.get(14).map_err(store_error)?;
        let content_type: Option<String> = row.get(8).map_err(store_error)?;
        let causationid: Option<[u8; 16]> = row.get(11).map_err(store_error)?;
        Ok(Event {
            id: EventId::from_bytes(row.get(1).map_err(store_error)?),
            source: self.identity.source.clone(),
            event_type: EventType::new(row.get::<_, String>(2).map_err(store_error)?)
                .map_err(corrupt)?,
            subject: Subject::new(row.get::<_, String>(3).map_err(store_error)?)
                .map_err(corrupt)?,
            version: Version::new(row.get(4).map_err(store_error)?).map_err(corrupt)?,
            time: time(row.get(5).map_err(store_error)?)?,
            recorded: time(row.get(6).map_err(store_error)?)?,
            position,
            epoch: self.history.epoch_at(position),
            check: Check::from_bytes(row.get(7).map_err(store_error)?),
            dataschema: row.get(9).map_err(store_error)?,
            traceparent: row.get(10).map_err(store_error)?,
            causationid: causationid.map(EventId::from_bytes),
            correlationid: row.get(12).map_err(store_error)?,
            extensions: match extensions {
                Some(text) => serde_json::from_str(&text).map_err(corrupt)?,
                None => Default::default(),
            },
            data: data.map(|bytes| Data::stored(content_type, bytes)),
        })
    }
}

pub(super) fn time(micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros)
        .map(to_micros)
        .ok_or_else(|| StoreError::Corrupt(format!("{micros} is no time")))
}

fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
