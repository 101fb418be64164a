//! A batch: from what was done to what is done now, in one transaction.

use futures_util::future::{join3, join4};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::place::{Found, Last, Next};
use super::statements::{
    FORGET_BATCHES, FOUND, LAST, LOCK, NEXT_BATCH, NOTIFY, NUMBERS_BEHIND, OPEN_EPOCH, PENDING,
    PLACE, UNPLACED,
};
use crate::error::StoreError;
use crate::faults::{Point, at};
use crate::limits::{POSTGRES_LOCK_MS_MAX, POSTGRES_SEQUENCER_BATCHES_KEPT};
use crate::position::{Epoch, Position};
use crate::postgres::failure::store_error;
use crate::postgres::feeds::column;
use crate::postgres::sessions::{Session, answered};

/// One connection, with the statements that it needs.
pub(in crate::postgres) struct Sequencer {
    client: Client,
    pub(in crate::postgres) session: Session,
    /// Who listens to it is told of each batch.
    channel: String,
    pending: Statement,
    lock: Statement,
    last: Statement,
    found: Statement,
    place: Statement,
    next_batch: Statement,
    forget: Statement,
    notify: Statement,
    open_epoch: Statement,
}

/// What a batch did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) struct Sequenced {
    pub(in crate::postgres) events: usize,
    /// There is more than one batch takes.
    pub(in crate::postgres) more: bool,
}

impl Sequencer {
    pub(in crate::postgres) async fn new(
        client: Client,
        channel: String,
    ) -> Result<Self, StoreError> {
        // Its searches go along an index, however much an estimate says there is to be found. They take as long as they
        // take: one that was given up would never get through a large backlog. Nor is waiting for another sequencer given
        // up: that one is at work, or the server ends it.
        client
            .batch_execute(
                "SET enable_seqscan = off; SET enable_bitmapscan = off; SET statement_timeout = 0;
                 SET lock_timeout = 0",
            )
            .await
            .map_err(store_error)?;
        let prepare = |sql| client.prepare(sql);
        Ok(Sequencer {
            session: Session::of(&client).await?,
            pending: prepare(&PENDING).await.map_err(store_error)?,
            lock: prepare(LOCK).await.map_err(store_error)?,
            last: prepare(&LAST).await.map_err(store_error)?,
            found: prepare(FOUND).await.map_err(store_error)?,
            place: prepare(PLACE).await.map_err(store_error)?,
            next_batch: prepare(NEXT_BATCH).await.map_err(store_error)?,
            forget: prepare(FORGET_BATCHES).await.map_err(store_error)?,
            notify: prepare(NOTIFY).await.map_err(store_error)?,
            open_epoch: prepare(OPEN_EPOCH).await.map_err(store_error)?,
            client,
            channel,
        })
    }

    /// What the database says of itself: whether it only follows another one, and its clock in milliseconds since 1970.
    pub(in crate::postgres) async fn look(&self) -> Result<(bool, i64), StoreError> {
        let asked = self.client.query_one(
            "SELECT pg_is_in_recovery(), CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
            &[],
        );
        let row = answered(asked).await?.map_err(store_error)?;
        Ok((column(&row, 0)?, column(&row, 1)?))
    }

    /// Numbers of the feeds that have something to be sequenced. Nobody is waited for and nothing is written.
    pub(in crate::postgres) async fn pending(&self) -> Result<Vec<i64>, StoreError> {
        let rows = self
            .client
            .query(&self.pending, &[])
            .await
            .map_err(store_error)?;
        rows.iter().map(|row| column(row, 0)).collect()
    }

    /// Runs one batch of a feed with `limit` events at most, and tells all who listen when there was something.
    ///
    /// # Errors
    /// When the database fails, or another sequencer went on from the same batch; nothing was placed by this one then.
    pub(in crate::postgres) async fn sequence(
        &self,
        feed: i64,
        limit: i64,
    ) -> Result<Sequenced, StoreError> {
        let done = self.in_transaction(feed, limit).await;
        if done.is_err() {
            // Whatever state it is in, nothing of it is kept; a connection that is gone has none.
            let _ = answered(self.client.batch_execute("ROLLBACK")).await;
        }
        done
    }

    /// Opens a new epoch behind the head, since `reason`.
    pub(in crate::postgres) async fn open_epoch_now(
        &self,
        feed: i64,
        reason: &str,
    ) -> Result<(), StoreError> {
        let opened = async {
            let last = self.begin(feed).await?;
            self.open_epoch(feed, last.position, reason, last.now.micros)
                .await?;
            self.client
                .batch_execute("COMMIT")
                .await
                .map_err(store_error)
        };
        let opened = opened.await;
        if opened.is_err() {
            let _ = answered(self.client.batch_execute("ROLLBACK")).await;
        }
        opened
    }

    /// Begins, behind whoever runs a batch of this feed: what is read then is what that one left.
    async fn begin(&self, feed: i64) -> Result<Last, StoreError> {
        let feed: [&(dyn ToSql + Sync); 1] = [&feed];
        let begun = join3(
            self.client
                .batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
            self.client.execute(&self.lock, &feed),
            self.client.query_one(&self.last, &feed),
        );
        let (begun, locked, last) = begun.await;
        let last = begun.and(locked).and(last).map_err(store_error)?;
        at(Point::SequencerLocked);
        Last::read(&last)
    }

    async fn in_transaction(&self, feed: i64, limit: i64) -> Result<Sequenced, StoreError> {
        let last = self.begin(feed).await?;
        if last.cluster.system_id != last.now.cluster.system_id || last.counts_anew {
            return self.take_up_again(feed, last).await;
        }
        let forked = last.cluster != last.now.cluster;
        let (target, behind) = last.target();
        let rows = self
            .client
            .query(&self.found, &[&feed, &last.done, &target, &behind, &limit])
            .await
            .map_err(store_error)?;
        #[cfg(feature = "faults")]
        let rows = match super::planted::found(&self.client, feed).await {
            Some(planted) => planted?,
            None => rows,
        };
        at(Point::SequencerFound);
        if rows.is_empty() && last.doing.is_none() && !forked {
            // Nothing is written while nothing happens.
            self.client
                .batch_execute("ROLLBACK")
                .await
                .map_err(store_error)?;
            return Ok(Sequenced::default());
        }
        if forked {
            let reason = format!(
                "the database went on in timeline {} behind position {}",
                last.now.cluster.timeline, last.position
            );
            self.open_epoch(feed, last.position, &reason, last.now.micros)
                .await?;
        }
        let full = rows.len() as i64 == limit;
        let found = Found::behind(last.check, &rows)?;
        let next = match found.event_nos.last() {
            Some(upto) if full => Next {
                done: last.done.clone(),
                doing: Some((target.to_owned(), *upto)),
                event_no_done: last.event_no_done,
            },
            _ => Next {
                done: target.to_owned(),
                doing: None,
                event_no_done: last.event_no_done,
            },
        };
        // What was searched up to an older snapshot is not all that there is now.
        let more = full || last.doing.is_some();
        self.finish(feed, &last, &found, &next).await?;
        Ok(Sequenced {
            events: found.event_nos.len(),
            more,
        })
    }

    /// The database came to another place (restored from a dump, or upgraded): numbers of transactions may start anew, so
    /// what has no place is found by looking at all, while nobody appends. In the same cluster they go on, and the history
    /// may have been forked all the same.
    async fn take_up_again(&self, feed: i64, last: Last) -> Result<Sequenced, StoreError> {
        self.client
            // Whoever appends queues up behind this: it is given up and tried again when an appender takes long.
            .batch_execute(&format!(
                "SET LOCAL lock_timeout = {POSTGRES_LOCK_MS_MAX}; LOCK TABLE outbox IN SHARE MODE"
            ))
            .await
            .map_err(store_error)?;
        self.client
            .execute(NUMBERS_BEHIND, &[])
            .await
            .map_err(store_error)?;
        let rows = self
            .client
            .query(UNPLACED, &[&feed])
            .await
            .map_err(store_error)?;
        let now = self
            .client
            .query_one(
                "SELECT pg_current_snapshot()::text, coalesce(max(event_no), 0) FROM outbox",
                &[],
            )
            .await
            .map_err(store_error)?;
        let reason = format!(
            "the database was restored or moved behind position {}",
            last.position
        );
        self.open_epoch(feed, last.position, &reason, last.now.micros)
            .await?;
        tracing::warn!(
            feed,
            position = last.position.get(),
            "the database is in another place than before: a new epoch begins"
        );
        let found = Found::behind(last.check, &rows)?;
        let next = Next {
            done: column(&now, 0)?,
            doing: None,
            event_no_done: column(&now, 1)?,
        };
        self.finish(feed, &last, &found, &next).await?;
        Ok(Sequenced {
            events: found.event_nos.len(),
            more: false,
        })
    }

    /// Places what was found, notes where the next batch goes on, tells all who listen, and commits: all in one packet.
    async fn finish(
        &self,
        feed: i64,
        last: &Last,
        found: &Found,
        next: &Next,
    ) -> Result<(), StoreError> {
        let batch = last.batch + 1;
        if batch % POSTGRES_SEQUENCER_BATCHES_KEPT == 0 {
            let oldest = batch - POSTGRES_SEQUENCER_BATCHES_KEPT;
            self.client
                .execute(&self.forget, &[&feed, &oldest])
                .await
                .map_err(store_error)?;
        }
        let recorded_us = last.recorded_us.max(last.now.micros);
        let before = last.position.get() as i64;
        let (doing, upto) = next.doing.clone().unzip();
        let cluster = last.now.cluster;
        let place = async {
            if found.event_nos.is_empty() {
                return Ok(0);
            }
            let parameters: [&(dyn ToSql + Sync); 6] = [
                &feed,
                &before,
                &found.xids,
                &found.event_nos,
                &found.checks,
                &recorded_us,
            ];
            self.client.execute(&self.place, &parameters).await
        };
        let parameters: [&(dyn ToSql + Sync); 8] = [
            &feed,
            &batch,
            &next.done,
            &doing,
            &upto,
            &next.event_no_done,
            &cluster.system_id,
            &cluster.timeline,
        ];
        let note = self.client.execute(&self.next_batch, &parameters);
        let channel: [&(dyn ToSql + Sync); 1] = [&self.channel];
        let notify = self.client.execute(&self.notify, &channel);
        if cfg!(feature = "faults") {
            // One by one, so that there is something between any two.
            place.await.map_err(store_error)?;
            at(Point::SequencerPlaced);
            note.await.map_err(store_error)?;
            at(Point::SequencerNoted);
            notify.await.map_err(store_error)?;
            at(Point::BeforeCommit);
            let committed = self.client.batch_execute("COMMIT").await;
            at(Point::AfterCommit);
            return committed.map_err(store_error);
        }
        // When one of them fails, so do those behind it, and COMMIT rolls back.
        let commit = self.client.batch_execute("COMMIT");
        let (placed, noted, notified, committed) = join4(place, note, notify, commit).await;
        placed
            .and(noted)
            .and(notified)
            .and(committed)
            .map_err(store_error)
    }

    /// A new stretch of history, from behind `position` on. One that has no event yet is replaced: what readers of
    /// another fork saw of it is not in this history.
    async fn open_epoch(
        &self,
        feed: i64,
        position: Position,
        reason: &str,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let first = position.get() as i64 + 1;
        let epoch = Epoch::random();
        self.client
            .execute(
                &self.open_epoch,
                &[&feed, &first, &&epoch.as_bytes()[..], &reason, &now_us],
            )
            .await
            .map(drop)
            .map_err(store_error)
    }
}
