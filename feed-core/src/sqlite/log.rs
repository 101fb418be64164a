//! Reading: all SQL that reads feeds and events.

use std::sync::{Arc, LazyLock};

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, Params, Row, named_params};
use uuid::Uuid;

use super::connection::store_error;
use super::outbox::{feed_of, key, position_of};
use super::rows::{EVENT_COLUMNS, time};
use crate::error::StoreError;
use crate::event::{Event, EventId, EventView, FeedName, Subject};
use crate::feed::{FeedConfig, FeedIdentity, FeedState, History, Visibility};
use crate::limits::POSITION_MAX;
use crate::page::PageCapacity;
use crate::position::{Check, Cursor, Epoch, Position};
use crate::store::Window;

/// The events at the keys ?1 to ?2.
static BETWEEN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {EVENT_COLUMNS} FROM outbox WHERE feed_position BETWEEN ?1 AND ?2 ORDER BY feed_position"
    )
});

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

/// The feed's state, and what `fold` makes of the events of `page`, shown to it as they stand in their rows. All is read in
/// the caller's transaction.
#[cfg(feature = "server")]
pub(super) fn fold<F: crate::store::Fold>(
    conn: &Connection,
    name: &FeedName,
    page: crate::page::PageNumber,
    mut fold: F,
) -> Result<(FeedState, F), StoreError> {
    let feed = find(conn, name)?;
    let state = feed.state(conn)?;
    if fold.wants(&state) {
        let positions = feed.identity.capacity.positions(page);
        let ends = [*positions.start(), *positions.end()].map(|at| key(feed.number, at));
        feed.each(conn, &BETWEEN, ends, &mut |event| {
            fold.put(&event);
            Ok(())
        })?;
    }
    Ok((state, fold))
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
        self.events(
            conn,
            &BETWEEN,
            [key(self.number, first), key(self.number, last)],
        )
    }

    pub(super) fn events(
        &self,
        conn: &Connection,
        sql: &str,
        parameters: impl Params,
    ) -> Result<Vec<Event>, StoreError> {
        let mut events = Vec::new();
        self.each(conn, sql, parameters, &mut |event| {
            events.push(event.to_event(&self.identity.source).map_err(corrupt)?);
            Ok(())
        })?;
        Ok(events)
    }

    /// Shows `each` the events of a query, as they stand in its rows.
    fn each(
        &self,
        conn: &Connection,
        sql: &str,
        parameters: impl Params,
        each: &mut dyn FnMut(EventView<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = conn.prepare_cached(sql).map_err(store_error)?;
        let mut rows = statement.query(parameters).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            each(self.view(row)?)?;
        }
        Ok(())
    }
}

pub(super) fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
