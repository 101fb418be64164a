//! One step of the runner: look for timers that are due, and fire a batch of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::batch::{Batch, BatchError, fire};
use super::handler::Fire;
use super::storage::{self, Failure};
use super::timer::DueTimer;
use crate::consumer::{HandlerError, HandlerErrorKind, backoff};
use crate::error::StoreError;
use crate::faults::wall_clock;
use crate::limits::{
    BACKOFF_MS_MAX, LASTING_TRIES_MAX, TIMER_UNHANDLED_LOOK_MS, TIMERS_PER_BATCH_MAX,
};
use crate::store::{Store, Tx};

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimersOutcome {
    /// Timers were due: there may be more of them.
    Fired {
        /// How many fired.
        timers: usize,
        /// The one behind them that did not.
        failure: Option<TimerFailure>,
    },
    /// Nothing is due.
    Waiting {
        /// When the first timer is to be tried that has a handler here.
        until: Option<DateTime<Utc>>,
    },
}

/// A timer that did not fire; nothing of what its handler did is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerFailure {
    /// What was to be done.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// How often it was tried now.
    pub attempts: u32,
    /// What the handler said, with the causes of that.
    pub error: String,
    /// When it is tried again; none: not until somebody has looked at it.
    pub next_try: Option<DateTime<Utc>>,
}

/// Fires the timers of a store.
///
/// Those of a kind without a handler stay as they are. A handler that fails for now is tried again later, with growing
/// pauses, while others go on; one that fails for good, or panics, leaves its timer as failed, until
/// [`Store::retry_timer`] or [`Store::drop_timer`].
///
/// ```no_run
/// # async fn f(store: feed_core::Store) {
/// use feed_core::{DueTimer, Timers, Tx};
/// let timers = Timers::new(&store).on("order-expiry", async |tx: &mut Tx<'_>, timer: &DueTimer| {
///     tx.execute("UPDATE orders SET status = 'EXPIRED' WHERE id = $1", &[(&timer.key).into()]).await?;
///     Ok(())
/// });
/// timers.run(feed_core::shutdown_signal()).await;
/// # }
/// ```
pub struct Timers {
    pub(super) store: Store,
    handlers: BTreeMap<&'static str, Arc<dyn Fire>>,
    /// Kinds without a handler that the log has told of: once is enough.
    told: BTreeSet<String>,
    /// When such kinds were looked for last.
    looked_for_unhandled: Option<Instant>,
}

impl Timers {
    /// A runner for the timers of `store`, without handlers yet. Several may run on one database.
    pub fn new(store: &Store) -> Self {
        Timers {
            store: store.clone(),
            handlers: BTreeMap::new(),
            told: BTreeSet::new(),
            looked_for_unhandled: None,
        }
    }

    /// Fires timers of `kind` by `handler`; the last one given for a kind counts.
    ///
    /// The handler works in the transaction that takes the timer away, and may await nothing else. It may run several
    /// times for a timer; its effects are kept once. It may set the same timer again. Events that it appends without an
    /// id get one that derives from the timer's setting, so that a database that was restored repeats none.
    #[must_use]
    pub fn on<H>(mut self, kind: &'static str, handler: H) -> Self
    where
        H: AsyncFn(&mut Tx<'_>, &DueTimer) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        self.handlers.insert(kind, Arc::new(handler));
        self
    }

    /// Fires the timers that have been due for longest, at most [`TIMERS_PER_BATCH_MAX`] in one transaction; or finds
    /// that none is due.
    ///
    /// # Errors
    /// When the database fails; nothing fired then.
    pub async fn step(&mut self) -> Result<TimersOutcome, StoreError> {
        let batch = self.due().await?;
        if batch.is_empty() {
            self.look_for_unhandled().await?;
            let until = self.next_try().await?;
            return Ok(TimersOutcome::Waiting { until });
        }
        let (timers, failure) = self.fire(&batch).await?;
        let failure = match failure {
            Some((index, error)) => match batch.get(index) {
                Some((timer, _)) => self.note(timer, &error).await?,
                None => None,
            },
            None => None,
        };
        Ok(TimersOutcome::Fired { timers, failure })
    }

    /// How many timers are due that have no handler here, by kind.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unhandled(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let due = self
            .store
            .read(async |tx: &mut Tx<'_>| storage::due_by_kind(tx).await)
            .await?;
        let unhandled = due
            .into_iter()
            .filter(|(kind, count)| *count > 0 && !self.handlers.contains_key(kind.as_str()))
            .map(|(kind, count)| (kind, count.unsigned_abs()));
        Ok(unhandled.collect())
    }

    /// The timers that have been due for longest, of all kinds that have handlers.
    async fn due(&self) -> Result<Batch, StoreError> {
        let kinds: Vec<&'static str> = self.handlers.keys().copied().collect();
        let mut due: Vec<(DateTime<Utc>, DueTimer)> = self
            .store
            .read(async move |tx: &mut Tx<'_>| {
                let (now, mut due) = (tx.now(), Vec::new());
                for kind in &kinds {
                    due.extend(storage::due(tx, kind, now, TIMERS_PER_BATCH_MAX).await?);
                }
                Ok::<_, StoreError>(due)
            })
            .await?;
        due.sort_by_key(|(since, _)| *since);
        due.truncate(TIMERS_PER_BATCH_MAX as usize);
        let with_handlers = due.into_iter().filter_map(|(_, timer)| {
            let handler = self.handlers.get(timer.kind.as_str())?.clone();
            Some((timer, handler))
        });
        Ok(with_handlers.collect())
    }

    async fn next_try(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let kinds: Vec<&'static str> = self.handlers.keys().copied().collect();
        self.store
            .read(async move |tx: &mut Tx<'_>| {
                let mut earliest = None;
                for kind in &kinds {
                    let next = storage::next_try(tx, kind).await?;
                    earliest = earliest.into_iter().chain(next).min();
                }
                Ok(earliest)
            })
            .await
    }

    /// Fires what can be fired of the batch. Returns how many did, and the timer that stands in the way of the others.
    async fn fire(
        &self,
        batch: &Batch,
    ) -> Result<(usize, Option<(usize, HandlerError)>), StoreError> {
        let (mut limit, mut failure) = (batch.len(), None);
        while limit > 0 {
            match fire(&self.store, batch.clone(), limit).await {
                Ok(fired) => return Ok((fired, failure)),
                Err(BatchError::Handler { index, source }) => {
                    // Those before it are good, and were rolled back with it.
                    limit = index;
                    failure = Some((index, source));
                }
                Err(BatchError::Store(error)) if error.is_transient() => return Err(error),
                Err(BatchError::Store(error)) if limit == 1 => {
                    return Ok((0, Some((0, error.into()))));
                }
                // A commit that was refused names no timer: each is tried alone.
                Err(BatchError::Store(_)) => (limit, failure) = (1, None),
            }
        }
        Ok((0, failure))
    }

    /// Puts the timer off, or keeps it as failed. Returns nothing when somebody else has dealt with it meanwhile.
    async fn note(
        &self,
        timer: &DueTimer,
        error: &HandlerError,
    ) -> Result<Option<TimerFailure>, StoreError> {
        let attempts = timer.attempts.saturating_add(1);
        let again = match error.kind() {
            HandlerErrorKind::Transient => true,
            HandlerErrorKind::Lasting => attempts < LASTING_TRIES_MAX,
            HandlerErrorKind::Permanent => false,
        };
        let longest = Duration::from_millis(BACKOFF_MS_MAX);
        let wait = backoff::after_failure(attempts, rand::random(), longest, error.wait());
        let next_try = again.then(|| wall_clock() + wait);
        let failure = TimerFailure {
            kind: timer.kind.clone(),
            key: timer.key.clone(),
            attempts,
            error: error.to_string(),
            next_try,
        };
        let (timer, text) = (timer.clone(), failure.error.clone());
        let noted: bool = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let error = &text;
                storage::note(tx, &timer, &Failure { error, next_try }).await
            })
            .await?;
        Ok(noted.then_some(failure))
    }

    /// Tells of kinds that have no handler here: they may belong to another process, or to a program that is gone.
    async fn look_for_unhandled(&mut self) -> Result<(), StoreError> {
        let interval = Duration::from_millis(TIMER_UNHANDLED_LOOK_MS);
        if let Some(looked) = self.looked_for_unhandled
            && looked.elapsed() < interval
        {
            return Ok(());
        }
        for (kind, timers) in self.unhandled().await? {
            if !self.told.contains(&kind) {
                tracing::warn!(kind, timers, "timers are due that have no handler here");
                self.told.insert(kind);
            }
        }
        self.looked_for_unhandled = Some(Instant::now());
        Ok(())
    }
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}
