//! Where the sequencer of a feed stands, and what it has found.

use tokio_postgres::{Client, Row, Transaction};
use uuid::Uuid;

use super::statements::{PLACE_ID, TIMELINE};
use crate::error::StoreError;
use crate::event::EventId;
use crate::position::{Check, Position};
use crate::postgres::failure::store_error;
use crate::postgres::feeds::{column, corrupt};
use crate::postgres::rows::position;
use crate::postgres::values::Xid;

/// The batch that a feed begins with, in the transaction that creates the feed: no event of it can be older.
pub(in crate::postgres) async fn insert_first_batch(
    transaction: &Transaction<'_>,
    feed: i64,
) -> Result<(), StoreError> {
    transaction
        .execute(
            &format!(
                "INSERT INTO sequencer_batches (feed, batch, done, system_id, timeline)
                 SELECT $1, 0, pg_current_snapshot(), {PLACE_ID}, {TIMELINE}"
            ),
            &[&feed],
        )
        .await
        .map(drop)
        .map_err(store_error)
}

/// The batches that feeds begin with whose events this very transaction has copied, with their places, up to
/// `event_no`: the next batch never looks at them.
///
/// The transaction is not done in its own snapshot. So it is counted as done here, and as running whatever began before it
/// and has not ended: one that appends after all, when this one has ended, is found by its number.
pub(in crate::postgres) async fn insert_batches_behind_copies(
    client: &Client,
    event_no: i64,
) -> Result<(), StoreError> {
    client
        .execute(
            &format!(
                "WITH own AS MATERIALIZED (
                 SELECT pg_current_xact_id()::text::bigint AS xid, pg_current_snapshot() AS snapshot
             ), bounds AS (
                 SELECT xid, snapshot, pg_snapshot_xmax(snapshot)::text::bigint AS xmax FROM own
             ), running AS (
                 SELECT r.xid FROM bounds CROSS JOIN LATERAL (
                     SELECT xip::text::bigint FROM pg_snapshot_xip(snapshot) AS xip
                     UNION SELECT generate_series(bounds.xmax, bounds.xid - 1)
                 ) r(xid) WHERE r.xid <> bounds.xid
             )
             INSERT INTO sequencer_batches (feed, batch, done, event_no_done, system_id, timeline)
             SELECT f.feed, 0,
                 format('%s:%s:%s', coalesce((SELECT min(xid) FROM running), greatest(b.xmax, b.xid + 1)),
                     greatest(b.xmax, b.xid + 1), (SELECT string_agg(xid::text, ',' ORDER BY xid) FROM running))::pg_snapshot,
                 $1, {PLACE_ID}, {TIMELINE}
             FROM feeds f CROSS JOIN bounds b"
            ),
            &[&event_no],
        )
        .await
        .map(drop)
        .map_err(store_error)
}

/// Where the sequencer of a feed stands, and where the database is.
pub(super) struct Last {
    pub(super) batch: i64,
    pub(super) done: String,
    pub(super) doing: Option<(String, i64)>,
    pub(super) event_no_done: i64,
    pub(super) cluster: Cluster,
    pub(super) now: Now,
    /// The cluster counts its transactions anew: snapshots of before say nothing.
    pub(super) counts_anew: bool,
    pub(super) position: Position,
    pub(super) check: Check,
    pub(super) recorded_us: i64,
}

/// A history of a database that no other one shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) system_id: i64,
    pub(super) timeline: i64,
}

pub(super) struct Now {
    pub(super) snapshot: String,
    pub(super) cluster: Cluster,
    pub(super) micros: i64,
}

impl Last {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let doing: Option<String> = column(row, 2)?;
        let upto: Option<i64> = column(row, 3)?;
        let newest: Option<i64> = column(row, 11)?;
        let (place, check): (i64, &[u8]) = match newest {
            Some(newest) => (newest, column(row, 12)?),
            // Nothing was appended yet, or all of it was pruned.
            None => (column(row, 14)?, column(row, 15)?),
        };
        let check = check
            .try_into()
            .map_err(|_| corrupt("a check has 6 bytes"))?;
        Ok(Last {
            batch: column(row, 0)?,
            done: column(row, 1)?,
            doing: doing.zip(upto),
            event_no_done: column(row, 4)?,
            cluster: Cluster {
                system_id: column(row, 5)?,
                timeline: column(row, 6)?,
            },
            now: Now {
                snapshot: column(row, 7)?,
                cluster: Cluster {
                    system_id: column(row, 8)?,
                    timeline: column(row, 9)?,
                },
                micros: column(row, 10)?,
            },
            counts_anew: column(row, 16)?,
            position: position(place)?,
            check: Check::from_bytes(check),
            recorded_us: column::<Option<i64>>(row, 13)?.unwrap_or(0),
        })
    }

    /// The snapshot up to which is searched now, and the event behind which.
    pub(super) fn target(&self) -> (&str, i64) {
        match &self.doing {
            Some((snapshot, upto)) => (snapshot, (*upto).max(self.event_no_done)),
            None => (&self.now.snapshot, self.event_no_done),
        }
    }
}

/// Events without a place, in the order in which they get theirs.
#[derive(Default)]
pub(super) struct Found {
    pub(super) xids: Vec<Xid>,
    pub(super) event_nos: Vec<i64>,
    pub(super) checks: Vec<Vec<u8>>,
}

impl Found {
    /// With the checks that follow on `check`.
    pub(super) fn behind(mut check: Check, rows: &[Row]) -> Result<Self, StoreError> {
        let mut found = Found::default();
        for row in rows {
            let id: Uuid = column(row, 2)?;
            check = check.next(EventId::from_bytes(id.into_bytes()));
            found.xids.push(column(row, 0)?);
            found.event_nos.push(column(row, 1)?);
            found.checks.push(check.as_bytes().to_vec());
        }
        Ok(found)
    }
}

/// What a batch leaves behind for the next one.
pub(super) struct Next {
    pub(super) done: String,
    pub(super) doing: Option<(String, i64)>,
    pub(super) event_no_done: i64,
}
