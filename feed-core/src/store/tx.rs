//! A transaction: a service's own SQL and its events, committed together or not at all (invariant I1).

use chrono::{DateTime, Utc};

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
    cause: Option<Cause>,
    appended: bool,
    failed: bool,
}

pub(crate) enum TxInner<'c> {
    Sqlite(crate::sqlite::SqliteTx<'c>),
}

/// What is being handled, an event or a timer: what is appended meanwhile follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    /// Whose handler it is: a subscription, or a kind of timers.
    scope: String,
    /// With the scope, what the ids of events derive from that are appended.
    id: EventId,
    origin: Origin,
    follow_ups: u32,
}

/// Where an event or a timer comes from, as events carry it on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) causationid: Option<EventId>,
    pub(crate) correlationid: Option<String>,
    pub(crate) traceparent: Option<String>,
}

#[cfg(feature = "client")]
impl Origin {
    /// What follows from `event`: an event that begins a conversation names it.
    pub(crate) fn of(event: &Event) -> Self {
        let own = || event.id.to_string();
        Origin {
            causationid: Some(event.id),
            correlationid: Some(event.correlationid.clone().unwrap_or_else(own)),
            traceparent: event.traceparent.clone(),
        }
    }

    /// With what it lacks from `other`.
    pub(crate) fn or(self, other: &Origin) -> Self {
        Origin {
            causationid: self.causationid.or(other.causationid),
            correlationid: self.correlationid.or_else(|| other.correlationid.clone()),
            traceparent: self.traceparent.or_else(|| other.traceparent.clone()),
        }
    }
}

#[cfg(feature = "client")]
impl Cause {
    pub(crate) fn new(subscription: &str, event: &Event) -> Self {
        Cause {
            scope: subscription.to_owned(),
            id: event.id,
            origin: Origin::of(event),
            follow_ups: 0,
        }
    }

    /// A timer that fires. No subscription has a name like this scope.
    pub(crate) fn timer(kind: &str, firing: EventId, origin: Origin) -> Self {
        Cause {
            scope: format!("timer:{kind}"),
            id: firing,
            origin,
            follow_ups: 0,
        }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The id of the timer that is set by this handler.
    pub(crate) fn setting(&self, kind: &str, key: &str) -> EventId {
        EventId::setting(&self.scope, self.id, kind, key)
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
            cause: None,
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
            TxInner::Sqlite(tx) => tx.execute(sql, parameters),
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
            TxInner::Sqlite(tx) => tx.query(sql, parameters),
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
        let events: Vec<NewEvent> = events.iter().map(|event| self.complete(event)).collect();
        let appended = match &mut self.inner {
            TxInner::Sqlite(tx) => tx.append(self.now, feed, subject, expected, &events),
        }?;
        self.appended = true;
        Ok(appended)
    }

    /// The events of `subject`, oldest first. Their positions are those of the feed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_of(&mut self, subject: &Subject) -> Result<Vec<Event>, StoreError> {
        match &mut self.inner {
            TxInner::Sqlite(tx) => tx.events_of(subject),
        }
    }

    /// Gives an event what it lacks: id, time and, in a handler, its cause.
    fn complete(&mut self, event: &NewEvent) -> NewEvent {
        let mut event = event.clone();
        event.time.get_or_insert(self.now);
        match &mut self.cause {
            Some(cause) => {
                // Counted for every event, with an id or without, so that an index depends on the handler alone.
                let derived = EventId::follow_up(&cause.scope, cause.id, cause.follow_ups);
                cause.follow_ups += 1;
                event.id.get_or_insert(derived);
                let origin = &cause.origin;
                event.causationid = event.causationid.or(origin.causationid);
                event.correlationid = event.correlationid.or_else(|| origin.correlationid.clone());
                event.traceparent = event.traceparent.or_else(|| origin.traceparent.clone());
            }
            None => {
                event.id.get_or_insert_with(EventId::now);
            }
        }
        event
    }

    /// Whether work may be pending: on SQLite it is polled once, and whatever it waits for is not the transaction.
    #[cfg(feature = "client")]
    pub(crate) fn may_wait(&self) -> bool {
        match self.inner {
            TxInner::Sqlite(_) => false,
        }
    }

    /// From here on, what is appended follows from this event or timer.
    #[cfg(feature = "client")]
    pub(crate) fn set_cause(&mut self, cause: Option<Cause>) {
        self.cause = cause;
    }

    /// What is being handled.
    #[cfg(feature = "client")]
    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// Whoever waits for commits is woken by this one, as by one that appended.
    #[cfg(feature = "client")]
    pub(crate) fn announce(&mut self) {
        self.appended = true;
    }

    /// Whether a statement failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether anything was appended.
    pub(crate) fn has_appended(&self) -> bool {
        self.appended
    }
}
