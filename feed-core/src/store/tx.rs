//! A transaction: a service's own SQL and its events, committed together or not at all (invariant I1).

use chrono::{DateTime, Utc};

use super::following::Following;
use super::value::{FromRow, Value};
use crate::error::{AppendError, StoreError};
use crate::event::{Event, EventId, NewEvent, Subject, Version, to_micros};
use crate::limits::EVENTS_PER_APPEND_MAX;

/// A running transaction.
///
/// What was done in it is visible to others when the work that it was given to returns `Ok` and the commit
/// succeeds; else nothing of it ever is.
///
/// After a statement that failed, the work has to return an error: a transaction in which one failed is not committed,
/// whatever the work returns. Only after an [`append`](Tx::append) that failed may it go on.
pub struct Tx<'c> {
    pub(crate) inner: TxInner<'c>,
    now: DateTime<Utc>,
    following: Following,
    appended: bool,
    failed: bool,
}

pub(crate) enum TxInner<'c> {
    #[cfg(feature = "sqlite")]
    Sqlite(crate::sqlite::SqliteTx<'c>),
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::PostgresTx<'c>),
}

/// What work in a transaction may be pending for.
#[derive(Debug, Clone)]
pub(crate) enum Waiting {
    /// Nothing: it is polled once, and whatever it waits for is not the transaction.
    #[cfg(feature = "sqlite")]
    ForNothing,
    /// Statements of the transaction.
    #[cfg(feature = "postgres")]
    ForStatements(crate::postgres::Statements),
}

impl Waiting {
    /// Whether it is pending for a statement at this moment.
    pub(crate) fn is_for_a_statement(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Waiting::ForNothing => false,
            #[cfg(feature = "postgres")]
            Waiting::ForStatements(statements) => statements.are_waited_for(),
        }
    }
}

/// What the version of a subject has to be for an append to happen (invariant I5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The subject has no events.
    New,
    /// The subject's last event has this version; [`Version::NONE`] is the same as `New`.
    Version(Version),
    /// Whatever it is.
    Any,
}

impl Expected {
    pub(crate) fn fits(self, current: Version) -> bool {
        match self {
            Expected::New => current == Version::NONE,
            Expected::Version(version) => current == version,
            Expected::Any => true,
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::New => f.write_str("a new subject"),
            Expected::Version(version) => version.fmt(f),
            Expected::Any => f.write_str("any"),
        }
    }
}

/// A moment by the clock of leases, which only runs forward.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "client"),
    allow(dead_code, reason = "leases belong to consumers")
)]
pub(crate) struct LeaseClock {
    /// The stretch of time within which moments can be compared.
    pub(crate) boot: String,
    /// Milliseconds within it.
    pub(crate) ms: i64,
}

/// What an append did. Positions come later on some stores; `Store::cursor_of` finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The events' ids, in order; also of those that were in the outbox already.
    pub ids: Vec<EventId>,
    /// The subject's version now.
    pub version: Version,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(inner: TxInner<'c>, now: DateTime<Utc>) -> Self {
        Tx {
            inner,
            now: to_micros(now),
            following: Following::Nothing,
            appended: false,
            failed: false,
        }
    }

    /// The transaction's time, to the microsecond: the same at every call.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Runs a statement and returns how many rows it changed.
    ///
    /// # Errors
    /// When the number of parameters is wrong, a constraint refuses, or the database fails.
    pub async fn execute(
        &mut self,
        sql: &'static str,
        parameters: &[Value<'_>],
    ) -> Result<u64, StoreError> {
        let executed = match &mut self.inner {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(tx) => tx.execute(sql, parameters),
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => tx.execute(sql, parameters).await,
        };
        self.failed |= executed.is_err();
        executed
    }

    /// Runs a statement once for each row of parameters and returns how many rows it changed in all.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), at the first row that fails.
    pub async fn execute_many(
        &mut self,
        sql: &'static str,
        rows: &[&[Value<'_>]],
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        for parameters in rows {
            changed += self.execute(sql, parameters).await?;
        }
        Ok(changed)
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// When the number of parameters is wrong, a row is no `T`, or the database fails.
    pub async fn query<T: FromRow>(
        &mut self,
        sql: &'static str,
        parameters: &[Value<'_>],
    ) -> Result<Vec<T>, StoreError> {
        let rows = match &mut self.inner {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(tx) => tx.query(sql, parameters),
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => tx.query(sql, parameters).await,
        };
        self.failed |= rows.is_err();
        rows
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn query_first<T: FromRow>(
        &mut self,
        sql: &'static str,
        parameters: &[Value<'_>],
    ) -> Result<Option<T>, StoreError> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    /// Appends events about `subject` to the outbox of `feed`.
    ///
    /// An id that is in the outbox already, with equal type, subject and data, is left as it is. In a handler, events
    /// without an id get one that derives from the event or timer being handled, and with it their causation, correlation
    /// and trace.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when the subject's version is not as `expected`; else what the error says. Nothing
    /// was appended then.
    pub async fn append(
        &mut self,
        feed: &str,
        subject: &Subject,
        expected: Expected,
        events: &[NewEvent],
    ) -> Result<Appended, AppendError> {
        if events.is_empty() || events.len() > EVENTS_PER_APPEND_MAX {
            return Err(AppendError::Count {
                count: events.len(),
                max: EVENTS_PER_APPEND_MAX,
            });
        }
        if self.following.is_undecided() {
            return Err(AppendError::CauseUnknown);
        }
        let events: Vec<NewEvent> = events.iter().map(|event| self.complete(event)).collect();
        let appended = match &mut self.inner {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(tx) => tx.append(self.now, feed, subject, expected, &events),
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => tx.append(self.now, feed, subject, expected, &events).await,
        }?;
        self.appended = true;
        Ok(appended)
    }

    /// The events of `subject`, oldest first. Their positions are those of the feed; on PostgreSQL one that has no
    /// position yet is at 0.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_of(&mut self, subject: &Subject) -> Result<Vec<Event>, StoreError> {
        match &mut self.inner {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(tx) => tx.events_of(subject),
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => tx.events_of(subject).await,
        }
    }

    /// Lets nobody else do the same for `subject` until the transaction ends: who loads a subject in order to append to it
    /// is spared a conflict. It does nothing where there is one writer anyway.
    ///
    /// # Errors
    /// When the transaction only reads, or the database fails.
    pub(crate) async fn lock_subject(&mut self, subject: &Subject) -> Result<(), StoreError> {
        match &mut self.inner {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(_) => {
                let _ = subject;
                Ok(())
            }
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => tx.lock_subject(subject).await,
        }
    }

    /// Gives an event what it lacks: id, time and, in a handler, its cause.
    fn complete(&mut self, event: &NewEvent) -> NewEvent {
        let mut event = event.clone();
        event.time.get_or_insert(self.now);
        self.following.complete(&mut event);
        event
    }

    /// In a handler of several events at once: what is appended from here on follows from `event`.
    ///
    /// Elsewhere it is known what an event follows from, or it follows from none, and this changes nothing.
    pub fn follow(&mut self, event: &Event) {
        self.following.follow(Some(event));
    }

    /// What its work may be pending for.
    pub(crate) fn waiting(&self) -> Waiting {
        match &self.inner {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(_) => Waiting::ForNothing,
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => Waiting::ForStatements(tx.statements()),
        }
    }

    /// From here on, what is appended follows from this.
    #[cfg(feature = "client")]
    pub(crate) fn set_following(&mut self, following: Following) {
        self.following = following;
    }

    /// From here on it has to be said anew which event is followed.
    #[cfg(feature = "client")]
    pub(crate) fn follow_nothing(&mut self) {
        self.following.follow(None);
    }

    /// What the clock of leases says: on every instance that may hold the same subscription the same.
    #[cfg(feature = "client")]
    pub(crate) fn lease_clock(&mut self) -> LeaseClock {
        match &self.inner {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(_) => crate::sqlite::lease_clock(),
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => tx.lease_clock(),
        }
    }

    /// What is being handled.
    #[cfg(feature = "client")]
    pub(crate) fn following(&self) -> &Following {
        &self.following
    }

    /// Whoever waits for commits is woken by this one, as by one that appended.
    #[cfg(any(feature = "client", feature = "sqlite"))]
    pub(crate) fn announce(&mut self) {
        self.appended = true;
    }

    /// Nothing when no statement failed.
    ///
    /// # Errors
    /// [`StoreError::FailedStatement`] for work that went on after one did.
    #[cfg(feature = "client")]
    pub(crate) fn unfailed(&self) -> Result<(), StoreError> {
        if self.has_failed() {
            return Err(StoreError::FailedStatement);
        }
        Ok(())
    }

    /// Whether a statement failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
            || match &self.inner {
                #[cfg(feature = "sqlite")]
                TxInner::Sqlite(_) => false,
                #[cfg(feature = "postgres")]
                TxInner::Postgres(tx) => tx.is_aborted(),
            }
    }

    /// Whether anything was appended.
    pub(crate) fn has_appended(&self) -> bool {
        self.appended
    }
}
