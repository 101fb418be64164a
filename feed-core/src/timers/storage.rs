//! Timers in the database: all their SQL, the same on every store.

use chrono::{DateTime, Utc};

use super::timer::{DueTimer, Timer};
use crate::error::StoreError;
use crate::event::EventId;
use crate::limits::TIMER_KINDS_MAX;
use crate::store::{FromRow, Origin, Row, Store, Tx};

/// A timer as its database has it, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerState {
    /// What is to be done.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// When it is to be done.
    pub due: DateTime<Utc>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; of no meaning once it has failed.
    pub next_try: DateTime<Utc>,
    /// Why the last try failed, with the causes of that.
    pub error: Option<String>,
    /// Trying again does not help: it is kept until somebody retries or drops it.
    pub failed: bool,
}

impl FromRow for TimerState {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(TimerState {
            kind: row.get("kind")?,
            key: row.get("key")?,
            due: row.get("due_us")?,
            attempts: row.get("attempts")?,
            next_try: row.get("next_try_us")?,
            error: row.get("error")?,
            failed: row.get("failed")?,
        })
    }
}

impl FromRow for DueTimer {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(DueTimer {
            kind: row.get("kind")?,
            key: row.get("key")?,
            due: row.get("due_us")?,
            attempts: row.get("attempts")?,
            data: row.get("data")?,
            setting: row.get("setting_id")?,
            origin: Origin {
                causationid: row.get("causationid")?,
                correlationid: row.get("correlationid")?,
                traceparent: row.get("traceparent")?,
            },
        })
    }
}

impl Tx<'_> {
    /// Sets a timer; one of the same kind and key is moved, with all that is known of it, also when it had failed.
    ///
    /// It fires after this transaction was committed, and never when it was rolled back (invariant I1). In a handler it
    /// follows from the event or timer that is being handled: causation, correlation and trace are carried on to the
    /// events that are appended when it fires.
    ///
    /// ```
    /// # use feed_core::{StoreError, InvalidValue, Timer, Tx};
    /// # async fn place(tx: &mut Tx<'_>) -> Result<(), Box<dyn std::error::Error>> {
    /// let expiry = Timer::new("order-expiry", "7f3a", tx.now() + chrono::TimeDelta::minutes(15))?;
    /// tx.set_timer(&expiry).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the transaction only reads, or the database fails.
    pub async fn set_timer(&mut self, timer: &Timer) -> Result<(), StoreError> {
        let following = self.following();
        let setting = following.setting(&timer.kind, &timer.key);
        let setting = setting.unwrap_or_else(EventId::now);
        let origin = timer.origin.clone();
        let origin = match following.origin() {
            Some(handled) => origin.or(&handled),
            None => origin,
        };
        self.execute(
            "INSERT INTO timers (kind, key, setting_id, due_us, next_try_us, data, causationid, correlationid, traceparent)
             VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8)
             ON CONFLICT (kind, key) DO UPDATE SET
                 setting_id = excluded.setting_id, due_us = excluded.due_us, next_try_us = excluded.next_try_us,
                 data = excluded.data, causationid = excluded.causationid, correlationid = excluded.correlationid,
                 traceparent = excluded.traceparent, attempts = 0, error = NULL, failed = 0",
            &[
                (&timer.kind).into(),
                (&timer.key).into(),
                (&setting).into(),
                timer.due.into(),
                timer.data.as_ref().into(),
                origin.causationid.as_ref().into(),
                origin.correlationid.as_ref().into(),
                origin.traceparent.as_ref().into(),
            ],
        )
        .await?;
        // The runner may sleep until a later time than this one.
        self.announce();
        Ok(())
    }

    /// Takes a timer away, whether it waits or has failed. Returns whether there was one.
    ///
    /// # Errors
    /// When the transaction only reads, or the database fails.
    pub async fn cancel_timer(&mut self, kind: &str, key: &str) -> Result<bool, StoreError> {
        let changed = self
            .execute(
                "DELETE FROM timers WHERE kind = $1 AND key = $2",
                &[kind.into(), key.into()],
            )
            .await?;
        Ok(changed == 1)
    }
}

impl Store {
    /// The first `limit` timers: those that failed, then the others in the order in which they are tried next.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn timers(&self, limit: u32) -> Result<Vec<TimerState>, StoreError> {
        self.query(
            "SELECT kind, key, due_us, attempts, next_try_us, error, failed FROM timers
             ORDER BY failed DESC, next_try_us, kind, key LIMIT $1",
            &[limit.into()],
        )
        .await
    }

    /// Lets a timer be tried again at once that has failed or was put off after a failure, as if for the first time.
    /// Returns whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry_timer(&self, kind: &str, key: &str) -> Result<bool, StoreError> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        self.write(async move |tx: &mut Tx<'_>| {
            let now = tx.now();
            let changed = tx
                .execute(
                    "UPDATE timers SET attempts = 0, next_try_us = $3, error = NULL, failed = 0
                     WHERE kind = $1 AND key = $2 AND attempts > 0",
                    &[(&kind).into(), (&key).into(), now.into()],
                )
                .await?;
            tx.announce();
            Ok(changed == 1)
        })
        .await
    }

    /// As [`Tx::cancel_timer`], in a transaction of its own.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_timer(&self, kind: &str, key: &str) -> Result<bool, StoreError> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        self.write(async move |tx: &mut Tx<'_>| tx.cancel_timer(&kind, &key).await)
            .await
    }
}

/// The first `limit` timers of a kind that are to be tried by `now`, with the time since which each waits.
pub(super) async fn due(
    tx: &mut Tx<'_>,
    kind: &str,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<(DateTime<Utc>, DueTimer)>, StoreError> {
    struct Due(DateTime<Utc>, DueTimer);
    impl FromRow for Due {
        fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
            Ok(Due(row.get("next_try_us")?, DueTimer::from_row(row)?))
        }
    }
    let rows: Vec<Due> = tx
        .query(
            "SELECT kind, key, setting_id, due_us, data, causationid, correlationid, traceparent, attempts, next_try_us
             FROM timers WHERE kind = $1 AND failed = 0 AND next_try_us <= $2 ORDER BY next_try_us, key LIMIT $3",
            &[kind.into(), now.into(), limit.into()],
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|Due(since, due)| (since, due))
        .collect())
}

/// When the first timer of a kind is to be tried.
pub(super) async fn next_try(
    tx: &mut Tx<'_>,
    kind: &str,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let row: Option<(DateTime<Utc>,)> = tx
        .query_first(
            "SELECT next_try_us FROM timers WHERE kind = $1 AND failed = 0 ORDER BY next_try_us LIMIT 1",
            &[kind.into()],
        )
        .await?;
    Ok(row.map(|(next_try,)| next_try))
}

/// How many timers are to be tried by now, by kind; of the first [`TIMER_KINDS_MAX`] kinds.
pub(super) async fn due_by_kind(tx: &mut Tx<'_>) -> Result<Vec<(String, i64)>, StoreError> {
    let now = tx.now();
    let mut kinds: Vec<(String, i64)> = Vec::new();
    while kinds.len() < TIMER_KINDS_MAX {
        // From kind to kind by the index: grouping would read every timer that waits.
        let after = kinds.last().map_or("", |(kind, _)| kind);
        let next: Option<(String,)> = tx
            .query_first(
                "SELECT kind FROM timers WHERE kind > $1 AND failed = 0 ORDER BY kind LIMIT 1",
                &[after.into()],
            )
            .await?;
        let Some((kind,)) = next else { break };
        let count: Option<(i64,)> = tx
            .query_first(
                "SELECT count(*) FROM timers WHERE kind = $1 AND failed = 0 AND next_try_us <= $2",
                &[(&kind).into(), now.into()],
            )
            .await?;
        kinds.push((kind, count.map_or(0, |(count,)| count)));
    }
    Ok(kinds)
}

/// Takes the timer away in order to fire it, unless somebody else has fired, moved or cancelled it: compare-and-set.
pub(super) async fn take(tx: &mut Tx<'_>, timer: &DueTimer) -> Result<bool, StoreError> {
    let taken = tx
        .execute(
            "DELETE FROM timers WHERE kind = $1 AND key = $2 AND setting_id = $3 AND due_us = $4 AND failed = 0",
            &[
                (&timer.kind).into(),
                (&timer.key).into(),
                (&timer.setting).into(),
                timer.due.into(),
            ],
        )
        .await?;
    Ok(taken == 1)
}

/// Why a timer did not fire, and when it is tried again.
pub(super) struct Failure<'a> {
    pub(super) error: &'a str,
    /// None: not until somebody has looked at it.
    pub(super) next_try: Option<DateTime<Utc>>,
}

/// Notes that a try failed, unless somebody else has fired, moved or cancelled the timer, or noted a try of his own.
pub(super) async fn note(
    tx: &mut Tx<'_>,
    timer: &DueTimer,
    failure: &Failure<'_>,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let noted = tx
        .execute(
            "UPDATE timers SET attempts = attempts + 1, next_try_us = $6, error = $7, failed = $8
             WHERE kind = $1 AND key = $2 AND setting_id = $3 AND due_us = $4 AND attempts = $5 AND failed = 0",
            &[
                (&timer.kind).into(),
                (&timer.key).into(),
                (&timer.setting).into(),
                timer.due.into(),
                timer.attempts.into(),
                failure.next_try.unwrap_or(now).into(),
                failure.error.into(),
                failure.next_try.is_none().into(),
            ],
        )
        .await?;
    Ok(noted == 1)
}
