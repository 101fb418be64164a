//! Appending to the outbox.
//!
//! SQLite has one writer at a time, so an event gets its position where it is appended: head, check and version are
//! those of the transaction that writes them, also when other processes write to the file. What the writer's thread
//! knows of a feed from its last transaction it takes only when nobody else has changed the file since.

use std::cell::{Cell, RefCell};

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::prepared::Prepared;
use super::statements::{Head, Inserted, Place, Rows};
use crate::error::{AppendError, StoreError};
use crate::event::{EventId, NewEvent, Subject, Version};
use crate::limits::{FEEDS_REMEMBERED_MAX, POSITION_MAX};
use crate::position::Position;
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

/// Where a transaction puts its events.
pub(super) trait Appends {
    fn append(
        &self,
        now: DateTime<Utc>,
        feed: &str,
        subject: &Subject,
        expected: Expected,
        events: &[NewEvent],
    ) -> Result<Appended, AppendError>;

    /// Something may have been undone: nothing that is remembered may be taken for true.
    fn forget(&self);
}

/// The outbox as it is seen through one connection.
pub(super) struct Outbox<'c> {
    conn: &'c Connection,
    rows: Rows<'c>,
    savepoint: Prepared<'c>,
    undo: Prepared<'c>,
    release: Prepared<'c>,
    /// What the last appends found, and left, by the feed's name.
    places: RefCell<Vec<(String, Place)>>,
    /// Rows that this connection had changed when it was remembered: whatever changes others, a service's own SQL or a
    /// trigger of it, could have changed those of the outbox.
    changes: Cell<u64>,
}

/// An append that is being made.
struct Append<'a> {
    now: DateTime<Utc>,
    subject: &'a Subject,
    expected: Expected,
    events: &'a [NewEvent],
}

impl Appends for Outbox<'_> {
    fn append(
        &self,
        now: DateTime<Utc>,
        feed: &str,
        subject: &Subject,
        expected: Expected,
        events: &[NewEvent],
    ) -> Result<Appended, AppendError> {
        let (name, mut place) = self.take_place(feed)?;
        check_sizes(feed, subject, place.event_bytes_max, events)?;
        let append = Append {
            now,
            subject,
            expected,
            events,
        };
        // It is remembered again only if this succeeds.
        let version = self.append_at(&mut place, &append)?;
        self.remember(name, place);
        Ok(Appended {
            ids: events.iter().filter_map(|event| event.id).collect(),
            version,
        })
    }

    fn forget(&self) {
        self.places.borrow_mut().clear();
    }
}

impl<'c> Outbox<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Outbox {
            conn,
            rows: Rows::new(conn),
            savepoint: Prepared::new("SAVEPOINT append"),
            undo: Prepared::new("ROLLBACK TO append"),
            release: Prepared::new("RELEASE append"),
            places: RefCell::new(Vec::new()),
            changes: Cell::new(0),
        }
    }

    fn take_place(&self, feed: &str) -> Result<(String, Place), StoreError> {
        let mut places = self.places.borrow_mut();
        if self.conn.total_changes() != self.changes.get() {
            places.clear();
        }
        if let Some(index) = places.iter().position(|(name, _)| name == feed) {
            return Ok(places.swap_remove(index));
        }
        let place = self
            .rows
            .place(feed)?
            .ok_or_else(|| StoreError::UnknownFeed(feed.to_owned()))?;
        Ok((feed.to_owned(), place))
    }

    fn remember(&self, name: String, place: Place) {
        let mut places = self.places.borrow_mut();
        let changes = self.conn.total_changes();
        self.changes.set(changes);
        if places.len() >= FEEDS_REMEMBERED_MAX {
            places.clear();
        }
        places.push((name, place));
    }

    fn append_at(&self, place: &mut Place, append: &Append<'_>) -> Result<Version, AppendError> {
        if let ([event], true) = (append.events, place.whole && append.expects_nothing())
            && let Some(version) = self.insert_first(place, append, event)?
        {
            return Ok(version);
        }
        let current = self.version_of(append.subject, place.feed)?;
        if !append.expected.fits(current) {
            // The same append again, whose answer was lost, is no conflict.
            let mut all_there = true;
            for event in append.events {
                all_there &= self.is_there(append.subject, event)?;
            }
            if !all_there {
                return Err(append.conflict(current));
            }
            return Ok(current);
        }
        if append.events.len() == 1 {
            // One row goes in or does not: there is nothing to undo.
            return self.insert_all(place, append, current);
        }
        // All or none, also when the caller goes on after an error.
        self.savepoint.execute(self.conn)?;
        match self.insert_all(place, append, current) {
            Ok(version) => {
                self.release.execute(self.conn)?;
                Ok(version)
            }
            Err(error) => {
                self.forget();
                // When SQLite rolled back by itself there is no savepoint left to go back to.
                if !self.conn.is_autocommit() {
                    self.undo.execute(self.conn)?;
                    self.release.execute(self.conn)?;
                }
                Err(error)
            }
        }
    }

    /// The first event of a subject that has none: the table's own constraint says whether it has any, so it is not
    /// looked for first. None when the row did not go in, whatever is the matter with it.
    fn insert_first(
        &self,
        place: &mut Place,
        append: &Append<'_>,
        event: &NewEvent,
    ) -> Result<Option<Version>, AppendError> {
        let (next, version, id) = append.next(place, Version::NONE, event)?;
        let inserted = self
            .rows
            .insert(place.feed, append.subject, version, &next, id, event)?;
        if inserted != Inserted::Yes {
            return Ok(None);
        }
        place.head = next;
        Ok(Some(version))
    }

    fn insert_all(
        &self,
        place: &mut Place,
        append: &Append<'_>,
        current: Version,
    ) -> Result<Version, AppendError> {
        let mut version = current;
        for event in append.events {
            let (next, next_version, id) = append.next(place, version, event)?;
            let inserted =
                self.rows
                    .insert(place.feed, append.subject, next_version, &next, id, event)?;
            if inserted == Inserted::Yes {
                (place.head, version) = (next, next_version);
            } else if !self.is_there(append.subject, event)? {
                // The id was the reason, and it is not this event: `is_there` says whose it is.
                return Err(
                    StoreError::Constraint(format!("event {id} could not be inserted")).into(),
                );
            }
        }
        Ok(version)
    }

    /// The subject's version, after making sure that it lives in this feed.
    fn version_of(&self, subject: &Subject, feed: i64) -> Result<Version, AppendError> {
        match self.rows.newest_of(subject)? {
            None => Ok(Version::NONE),
            Some((its_feed, version)) if its_feed == feed => {
                Version::new(version).map_err(|error| StoreError::Corrupt(error.to_string()).into())
            }
            Some((its_feed, _)) => Err(AppendError::SubjectElsewhere {
                subject: subject.to_string(),
                feed: self.rows.feed_name(its_feed)?,
            }),
        }
    }

    /// Whether this very event is in the outbox: same id, type, subject and data. Its time and trace may differ, since
    /// they do when a handler runs again.
    fn is_there(&self, subject: &Subject, event: &NewEvent) -> Result<bool, AppendError> {
        let Some(id) = event.id else { return Ok(false) };
        let Some(stored) = self.rows.stored(id)? else {
            return Ok(false);
        };
        let data = event.data.as_ref();
        let same = stored.event_type == event.event_type.as_str()
            && stored.subject == subject.as_str()
            && stored.content_type.as_deref() == data.and_then(|data| data.content_type_stored())
            && stored.data.as_deref() == data.map(|data| data.bytes());
        if same {
            Ok(true)
        } else {
            Err(AppendError::IdTaken {
                id,
                subject: stored.subject,
            })
        }
    }
}

impl Append<'_> {
    /// Whether it is only to happen when the subject has no events.
    fn expects_nothing(&self) -> bool {
        self.expected != Expected::Any && self.expected.fits(Version::NONE)
    }

    fn conflict(&self, current: Version) -> AppendError {
        AppendError::Conflict {
            subject: self.subject.to_string(),
            expected: self.expected.to_string(),
            current,
        }
    }

    /// Where the event goes, behind all that is there.
    fn next(
        &self,
        place: &Place,
        version: Version,
        event: &NewEvent,
    ) -> Result<(Head, Version, EventId), AppendError> {
        let id = event
            .id
            .ok_or_else(|| StoreError::Corrupt("an event without an id was appended".into()))?;
        let position = place
            .head
            .position
            .next()
            .ok_or_else(|| AppendError::Full(format!("feed {}", place.feed)))?;
        let version = version
            .next()
            .ok_or_else(|| AppendError::Full(format!("subject {}", self.subject)))?;
        let head = Head {
            position,
            check: place.head.check.next(id),
            recorded_us: place.head.recorded_us.max(self.now.timestamp_micros()),
        };
        Ok((head, version, id))
    }
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
