//! Appending: rows of the outbox are inserted, and nobody waits for anybody but for others at the same subject.
//!
//! Of two transactions that append to a subject, the second waits at the unique index of subject and version until the
//! first has ended. So `event_no`, which is drawn by the insert that succeeds, orders a subject's events as their versions
//! do. A position comes later, from the sequencer.

use chrono::{DateTime, Utc};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::feeds::{FEED_COLUMNS, Feed, column, corrupt};
use super::tx::PostgresTx;
use crate::error::{AppendError, StoreError};
use crate::event::{EventId, NewEvent, Subject, Version};
use crate::faults::{Bug, planted};
use crate::limits::CONFLICT_TRIES_MAX;
use crate::store::{Appended, Expected};

/// Held until the transaction ends. Nothing counts on it but that writers of one subject wait for each other instead of
/// failing: the unique index is what keeps them apart.
pub(super) const LOCK_SUBJECT: &str =
    "SELECT pg_advisory_xact_lock(hashtext(current_schema()), hashtext($1))";

const VERSION_OF: &str =
    "SELECT version, feed FROM outbox WHERE subject = $1 ORDER BY version DESC LIMIT 1";

/// Inserts the events behind the version $3, if the subject has that version in this feed, and leaves out what is taken.
const INSERT: &str = r"
INSERT INTO outbox (feed, subject, version, id, type, time_us, datacontenttype, dataschema, traceparent, causationid,
    correlationid, extensions, data)
SELECT $1, $2, $3 + e.number, e.id, e.type, e.time_us, e.datacontenttype, e.dataschema, e.traceparent, e.causationid,
    e.correlationid, e.extensions, e.data
FROM unnest($4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::uuid[], $11::text[],
        $12::text[], $13::bytea[])
    WITH ORDINALITY AS e(id, type, time_us, datacontenttype, dataschema, traceparent, causationid, correlationid,
        extensions, data, number)
WHERE $3 = 0::bigint OR EXISTS (SELECT FROM outbox WHERE subject = $2 AND version = $3 AND feed = $1)
ORDER BY e.number
ON CONFLICT DO NOTHING";

/// The same for one event, which is what most appends are: there are no rows to be unpacked and put in order.
const INSERT_ONE: &str = r"
INSERT INTO outbox (feed, subject, version, id, type, time_us, datacontenttype, dataschema, traceparent, causationid,
    correlationid, extensions, data)
SELECT $1, $2, $3::bigint + 1, $4::uuid, $5::text, $6::bigint, $7::text, $8::text, $9::text, $10::uuid, $11::text, $12::text,
    $13::bytea
WHERE $3 = 0::bigint OR EXISTS (SELECT FROM outbox WHERE subject = $2 AND version = $3 AND feed = $1)
ON CONFLICT DO NOTHING";

/// Planted to see that it is found: see [`Bug::WritersNotify`].
const NOTIFY: &str =
    "SELECT pg_notify('feedway_' || oid, '') FROM pg_namespace WHERE nspname = current_schema()";

pub(super) async fn append(
    tx: &mut PostgresTx<'_>,
    now: DateTime<Utc>,
    feed: &str,
    subject: &Subject,
    expected: Expected,
    events: &[NewEvent],
) -> Result<Appended, AppendError> {
    let feed = find_feed(tx, feed).await?;
    check_sizes(&feed, subject, events)?;
    if planted(Bug::WritersNotify) {
        tx.run(NOTIFY, &[]).await?;
    }
    // Who knows the version needs not look: the insert finds out whether it is so.
    let current = match expected {
        Expected::New => Version::NONE,
        Expected::Version(version) => version,
        Expected::Any => {
            let found = version_after_others(tx, subject).await?;
            in_this_feed(tx, &feed, subject, found).await?
        }
    };
    if let Some(version) = insert_all(tx, now, &feed, subject, current, events).await? {
        let ids = events.iter().filter_map(|event| event.id).collect();
        return Ok(Appended { ids, version });
    }
    append_one_by_one(tx, now, &feed, subject, expected, events).await
}

/// Inserts all of the events, or none: then something of them is there already, or the version is another one.
async fn insert_all(
    tx: &mut PostgresTx<'_>,
    now: DateTime<Utc>,
    feed: &Feed,
    subject: &Subject,
    current: Version,
    events: &[NewEvent],
) -> Result<Option<Version>, AppendError> {
    let Some(version) = plus(current, events.len()) else {
        return Err(AppendError::Full(format!("subject {subject}")));
    };
    // One row is inserted or is not.
    let several = events.len() > 1;
    if several {
        tx.batch("SAVEPOINT append").await?;
    }
    let inserted = insert(tx, now, feed, subject, current, events).await?;
    let all = inserted == events.len() as u64;
    if several {
        tx.batch(if all {
            "RELEASE append"
        } else {
            "ROLLBACK TO append; RELEASE append"
        })
        .await?;
    }
    Ok(all.then_some(version))
}

/// The same with a look at each: an event that is there already is left as it is.
async fn append_one_by_one(
    tx: &mut PostgresTx<'_>,
    now: DateTime<Utc>,
    feed: &Feed,
    subject: &Subject,
    expected: Expected,
    events: &[NewEvent],
) -> Result<Appended, AppendError> {
    let ids: Vec<EventId> = events.iter().filter_map(|event| event.id).collect();
    for _ in 0..CONFLICT_TRIES_MAX {
        let found = version_after_others(tx, subject).await?;
        let current = in_this_feed(tx, feed, subject, found).await?;
        if !expected.fits(current) {
            // The same append again, whose answer was lost, is no conflict.
            let mut all_there = true;
            for event in events {
                all_there &= is_there(tx, subject, event).await?;
            }
            return if all_there {
                Ok(Appended {
                    ids,
                    version: current,
                })
            } else {
                Err(AppendError::Conflict {
                    subject: subject.to_string(),
                    expected: expected.to_string(),
                    current,
                })
            };
        }
        tx.batch("SAVEPOINT append").await?;
        let done = insert_each(tx, now, feed, subject, current, events).await;
        if tx.aborted {
            return done.map(|_| Appended {
                ids,
                version: current,
            });
        }
        match done {
            Ok(Some(version)) => {
                tx.batch("RELEASE append").await?;
                return Ok(Appended { ids, version });
            }
            Ok(None) => tx.batch("ROLLBACK TO append; RELEASE append").await?,
            Err(error) => {
                tx.batch("ROLLBACK TO append; RELEASE append").await?;
                return Err(error);
            }
        }
    }
    Err(StoreError::Unavailable(format!("others append to subject {subject} all the time")).into())
}

/// None: somebody appended to the subject in between.
async fn insert_each(
    tx: &mut PostgresTx<'_>,
    now: DateTime<Utc>,
    feed: &Feed,
    subject: &Subject,
    current: Version,
    events: &[NewEvent],
) -> Result<Option<Version>, AppendError> {
    let mut version = current;
    for event in events {
        let Some(next) = version.next() else {
            return Err(AppendError::Full(format!("subject {subject}")));
        };
        let one = std::slice::from_ref(event);
        if insert(tx, now, feed, subject, version, one).await? == 1 {
            version = next;
        } else if !is_there(tx, subject, event).await? {
            return Ok(None);
        }
    }
    Ok(Some(version))
}

fn plus(version: Version, events: usize) -> Option<Version> {
    let sum = u32::try_from(events).ok()?.checked_add(version.get())?;
    Version::new(sum).ok()
}

async fn insert(
    tx: &mut PostgresTx<'_>,
    now: DateTime<Utc>,
    feed: &Feed,
    subject: &Subject,
    current: Version,
    events: &[NewEvent],
) -> Result<u64, AppendError> {
    let version = i64::from(current.get());
    let of_all: [&(dyn ToSql + Sync); 3] = [&feed.number, &subject.as_str(), &version];
    let mut rows = events.iter().map(|event| Row::of(event, now));
    if let [_] = events
        && let Some(row) = rows.next()
    {
        let row = row?;
        let parameters = [&of_all[..], &row.parameters()].concat();
        return Ok(tx.run(INSERT_ONE, &parameters).await?);
    }
    let mut columns = Columns::default();
    for row in rows {
        columns.push(row?);
    }
    let parameters = [&of_all[..], &columns.parameters()].concat();
    Ok(tx.run(INSERT, &parameters).await?)
}

/// What is stored of an event beside its place in its subject, in the order of the statements.
struct Row<'a> {
    id: Uuid,
    event_type: &'a str,
    time_us: i64,
    content_type: Option<&'a str>,
    schema: Option<&'a str>,
    trace: Option<&'a str>,
    causation: Option<Uuid>,
    correlation: Option<&'a str>,
    extensions: Option<String>,
    data: Option<&'a [u8]>,
}

impl<'a> Row<'a> {
    fn of(event: &'a NewEvent, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let id = event
            .id
            .ok_or_else(|| StoreError::Corrupt("an event without an id was appended".into()))?;
        let uuid = |id: EventId| Uuid::from_bytes(*id.as_bytes());
        let data = event.data.as_ref();
        Ok(Row {
            id: uuid(id),
            event_type: event.event_type.as_str(),
            time_us: event.time.unwrap_or(now).timestamp_micros(),
            content_type: data.and_then(|data| data.content_type_stored()),
            schema: event.dataschema.as_deref(),
            trace: event.traceparent.as_deref(),
            causation: event.causationid.map(uuid),
            correlation: event.correlationid.as_deref(),
            extensions: if event.extensions.is_empty() {
                None
            } else {
                Some(serde_json::to_string(&event.extensions).map_err(corrupt)?)
            },
            data: data.map(|data| data.bytes()),
        })
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        [
            &self.id,
            &self.event_type,
            &self.time_us,
            &self.content_type,
            &self.schema,
            &self.trace,
            &self.causation,
            &self.correlation,
            &self.extensions,
            &self.data,
        ]
    }
}

/// Rows by their columns.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    types: Vec<&'a str>,
    times: Vec<i64>,
    content_types: Vec<Option<&'a str>>,
    schemas: Vec<Option<&'a str>>,
    traces: Vec<Option<&'a str>>,
    causations: Vec<Option<Uuid>>,
    correlations: Vec<Option<&'a str>>,
    extensions: Vec<Option<String>>,
    data: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, row: Row<'a>) {
        self.ids.push(row.id);
        self.types.push(row.event_type);
        self.times.push(row.time_us);
        self.content_types.push(row.content_type);
        self.schemas.push(row.schema);
        self.traces.push(row.trace);
        self.causations.push(row.causation);
        self.correlations.push(row.correlation);
        self.extensions.push(row.extensions);
        self.data.push(row.data);
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        [
            &self.ids,
            &self.types,
            &self.times,
            &self.content_types,
            &self.schemas,
            &self.traces,
            &self.causations,
            &self.correlations,
            &self.extensions,
            &self.data,
        ]
    }
}

pub(super) async fn find_feed(tx: &mut PostgresTx<'_>, name: &str) -> Result<Feed, StoreError> {
    if let Some(known) = tx.feeds.known(name) {
        return Ok(known);
    }
    let sql = format!("SELECT {FEED_COLUMNS} FROM feeds WHERE name = $1");
    let rows = tx.rows(&sql, &[&name]).await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::UnknownFeed(name.to_owned()))?;
    // Not kept: a feed that this very transaction made may be rolled back.
    Feed::read(row)
}

fn check_sizes(feed: &Feed, subject: &Subject, events: &[NewEvent]) -> Result<(), AppendError> {
    let bytes_max = feed.identity.event_bytes_max;
    for event in events {
        let bytes = subject.as_str().len() + event.bytes();
        if let (true, Some(id)) = (bytes > bytes_max as usize, event.id) {
            return Err(AppendError::TooLarge {
                id,
                feed: feed.identity.name.to_string(),
                bytes,
                bytes_max,
            });
        }
    }
    Ok(())
}

/// The subject's version and feed, when those who were before at it have ended.
async fn version_after_others(
    tx: &mut PostgresTx<'_>,
    subject: &Subject,
) -> Result<Option<(Version, i64)>, StoreError> {
    let parameters: [&(dyn ToSql + Sync); 1] = [&subject.as_str()];
    let rows = tx
        .rows_after((LOCK_SUBJECT, &parameters), (VERSION_OF, &parameters))
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let version: i64 = column(row, 0)?;
    let version = u32::try_from(version).map_err(corrupt)?;
    Ok(Some((
        Version::new(version).map_err(corrupt)?,
        column(row, 1)?,
    )))
}

/// The version, after making sure that the subject lives in this feed.
async fn in_this_feed(
    tx: &mut PostgresTx<'_>,
    feed: &Feed,
    subject: &Subject,
    found: Option<(Version, i64)>,
) -> Result<Version, AppendError> {
    let Some((version, number)) = found else {
        return Ok(Version::NONE);
    };
    if number == feed.number {
        return Ok(version);
    }
    let rows = tx
        .rows("SELECT name FROM feeds WHERE feed = $1", &[&number])
        .await?;
    let name = rows.first().map(|row| column(row, 0)).transpose()?;
    Err(AppendError::SubjectElsewhere {
        subject: subject.to_string(),
        feed: name.unwrap_or_else(|| number.to_string()),
    })
}

/// Whether this very event is in the outbox: same id, type, subject and data. Its time and trace may differ, since
/// they do when a handler runs again.
async fn is_there(
    tx: &mut PostgresTx<'_>,
    subject: &Subject,
    event: &NewEvent,
) -> Result<bool, AppendError> {
    let Some(id) = event.id else { return Ok(false) };
    let rows = tx
        .rows(
            "SELECT type, subject, datacontenttype, data FROM outbox WHERE id = $1",
            &[&Uuid::from_bytes(*id.as_bytes())],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(false);
    };
    let (event_type, stored_subject): (&str, &str) = (column(row, 0)?, column(row, 1)?);
    let content_type: Option<&str> = column(row, 2)?;
    let data: Option<&[u8]> = column(row, 3)?;
    let same = event_type == event.event_type.as_str()
        && stored_subject == subject.as_str()
        && content_type
            == event
                .data
                .as_ref()
                .and_then(|data| data.content_type_stored())
        && data == event.data.as_ref().map(|data| data.bytes());
    if same {
        Ok(true)
    } else {
        Err(AppendError::IdTaken {
            id,
            subject: stored_subject.to_owned(),
        })
    }
}
