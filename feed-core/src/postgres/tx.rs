//! A transaction on one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use futures_util::future::{join, join3};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row as PostgresRow, Statement};

use super::clock::DatabaseClock;
use super::failure::{is_worth_another_try, on_a_standby, store_error};
use super::feeds::Feeds;
use super::sessions::answered;
use super::{log, outbox};
use crate::error::{AppendError, StoreError};
use crate::event::{Event, NewEvent, Subject};
use crate::store::{Appended, Expected, FromRow, LeaseClock, Row, RowInner, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Access {
    fn begin(self) -> &'static str {
        match self {
            // All that it reads is of one moment.
            Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            // Where it may not write it is refused, whatever it then does: it would decide by what a standby knows. Not by
            // BEGIN itself: without a transaction the statement that is under way behind it would be one of its own.
            Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED; SET TRANSACTION READ WRITE",
        }
    }
}

/// How many statements are waited for, to be looked at from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statements(Arc<AtomicUsize>);

impl Statements {
    pub(crate) fn are_waited_for(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn begun(&self) -> Waiting<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }
}

struct Waiting<'a>(&'a Statements);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whose statements are prepared once and kept.
pub(crate) enum Session<'c> {
    /// Ours.
    Pooled(&'c deadpool_postgres::Object),
    /// A caller's own connection, in a transaction of its own.
    Callers(&'c Client),
}

impl Session<'_> {
    pub(super) fn client(&self) -> &Client {
        match self {
            Session::Pooled(object) => object,
            Session::Callers(client) => client,
        }
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        match self {
            Session::Pooled(object) => object.prepare_cached(sql).await,
            Session::Callers(client) => client.prepare(sql).await,
        }
    }
}

/// The transaction begins with its first statement, in the same packet; whoever made this ends it.
pub(crate) struct PostgresTx<'c> {
    session: Session<'c>,
    access: Access,
    begun: bool,
    /// Another transaction was in the way: it is worth running the work again.
    pub(super) again: bool,
    /// It is aborted: nothing of it can be committed.
    pub(super) aborted: bool,
    /// Its connection is of no use any more: the server says nothing, or only reads and this was to write.
    pub(super) leaves: bool,
    statements: Statements,
    pub(super) feeds: &'c Feeds,
    clock: Option<&'c DatabaseClock>,
}

impl<'c> PostgresTx<'c> {
    pub(super) fn new(
        object: &'c deadpool_postgres::Object,
        access: Access,
        feeds: &'c Feeds,
        clock: &'c DatabaseClock,
    ) -> Self {
        PostgresTx {
            session: Session::Pooled(object),
            access,
            begun: false,
            again: false,
            aborted: false,
            leaves: false,
            statements: Statements::default(),
            feeds,
            clock: Some(clock),
        }
    }

    /// Joins the transaction that is open on a caller's connection.
    pub(super) fn joining(client: &'c Client, feeds: &'c Feeds) -> Self {
        PostgresTx {
            session: Session::Callers(client),
            access: Access::Write,
            begun: true,
            again: false,
            aborted: false,
            leaves: false,
            statements: Statements::default(),
            feeds,
            clock: None,
        }
    }

    pub(crate) fn statements(&self) -> Statements {
        self.statements.clone()
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    pub(super) fn may_write(&self) -> Result<(), StoreError> {
        match self.access {
            Access::Read => Err(StoreError::ReadOnly),
            Access::Write => Ok(()),
        }
    }

    pub(crate) fn lease_clock(&self) -> LeaseClock {
        match self.clock {
            Some(clock) => clock.now(),
            None => DatabaseClock::new(Utc::now().timestamp_millis()).now(),
        }
    }

    /// The end of a statement. One that failed takes the transaction with it.
    pub(super) fn settle<T>(
        &mut self,
        done: Result<T, tokio_postgres::Error>,
    ) -> Result<T, StoreError> {
        done.map_err(|error| {
            self.aborted = true;
            self.again |= error.code().is_some_and(is_worth_another_try);
            match (store_error(error), self.access) {
                (StoreError::ReadOnly, Access::Write) => {
                    self.leaves = true;
                    on_a_standby()
                }
                (error, _) => error,
            }
        })
    }

    /// What the server said, if it said anything.
    fn heard<T>(&mut self, said: Result<T, StoreError>) -> Result<T, StoreError> {
        if said.is_err() {
            self.aborted = true;
            self.leaves = true;
        }
        said
    }

    /// As [`settle`](Self::settle), for a statement that may have begun the transaction in the same packet.
    fn settle_begun<T>(
        &mut self,
        begun: Result<(), tokio_postgres::Error>,
        done: Result<T, tokio_postgres::Error>,
    ) -> Result<T, StoreError> {
        match begun {
            // There is nothing in our beginning that a server does not know: it may not write while it follows another one.
            Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
                self.aborted = true;
                self.leaves = true;
                Err(on_a_standby())
            }
            begun => self.settle(begun.and(done)),
        }
    }

    async fn prepared(&mut self, sql: &str, given: usize) -> Result<Statement, StoreError> {
        let statement = answered(self.session.prepare(sql)).await;
        let statement = self.heard(statement)?;
        let statement = self.settle(statement)?;
        let wanted = statement.params().len();
        if wanted != given {
            return Err(StoreError::Parameters {
                given,
                wanted,
                sql: sql.to_owned(),
            });
        }
        Ok(statement)
    }

    /// Runs a statement and returns how many rows it changed or found.
    pub(super) async fn run(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, StoreError> {
        let statements = self.statements.clone();
        let _waiting = statements.begun();
        let statement = self.prepared(sql, parameters.len()).await?;
        let (client, begin) = self.client_and_beginning();
        let run = client.execute(&statement, parameters);
        let done = answered(join(begin, run)).await;
        let done = self.heard(done)?;
        self.settle_begun(done.0, done.1)
    }

    /// The rows of a statement.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<PostgresRow>, StoreError> {
        let statements = self.statements.clone();
        let _waiting = statements.begun();
        let statement = self.prepared(sql, parameters.len()).await?;
        let (client, begin) = self.client_and_beginning();
        let run = client.query(&statement, parameters);
        let done = answered(join(begin, run)).await;
        let done = self.heard(done)?;
        self.settle_begun(done.0, done.1)
    }

    /// Two statements one behind the other in one packet, of which the second one's rows are wanted: it sees what was
    /// committed until the first one came to its end.
    pub(super) async fn rows_after(
        &mut self,
        first: (&str, &[&(dyn ToSql + Sync)]),
        second: (&str, &[&(dyn ToSql + Sync)]),
    ) -> Result<Vec<PostgresRow>, StoreError> {
        let statements = self.statements.clone();
        let _waiting = statements.begun();
        let before = self.prepared(first.0, first.1.len()).await?;
        let statement = self.prepared(second.0, second.1.len()).await?;
        let (client, begin) = self.client_and_beginning();
        let (before, run) = (
            client.execute(&before, first.1),
            client.query(&statement, second.1),
        );
        let done = answered(join3(begin, before, run)).await;
        let done = self.heard(done)?;
        self.settle_begun(done.0, done.1.and(done.2))
    }

    /// The client, and what begins the transaction if nothing did yet. That is to be polled first and together with the
    /// first statement: both go out without waiting for an answer in between.
    fn client_and_beginning(
        &mut self,
    ) -> (
        &Client,
        impl Future<Output = Result<(), tokio_postgres::Error>> + '_,
    ) {
        let begun = std::mem::replace(&mut self.begun, true);
        let (client, begin) = (self.session.client(), self.access.begin());
        let beginning = async move {
            if begun {
                return Ok(());
            }
            client.batch_execute(begin).await
        };
        (client, beginning)
    }

    /// Statements without parameters or rows.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        let statements = self.statements.clone();
        let _waiting = statements.begun();
        let (client, begin) = self.client_and_beginning();
        let run = client.batch_execute(sql);
        let done = answered(join(begin, run)).await;
        let done = self.heard(done)?;
        self.settle_begun(done.0, done.1)
    }

    pub(crate) async fn execute(
        &mut self,
        sql: &str,
        parameters: &[Value<'_>],
    ) -> Result<u64, StoreError> {
        let changed = self.run(sql, &parameters_of(parameters)).await?;
        // A SELECT run for nothing changes nothing, whatever it found.
        Ok(if is_select(sql) { 0 } else { changed })
    }

    pub(crate) async fn query<T: FromRow>(
        &mut self,
        sql: &str,
        parameters: &[Value<'_>],
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.rows(sql, &parameters_of(parameters)).await?;
        rows.iter()
            .map(|row| T::from_row(&Row(RowInner::Postgres(row))))
            .collect()
    }

    pub(crate) async fn append(
        &mut self,
        now: DateTime<Utc>,
        feed: &str,
        subject: &Subject,
        expected: Expected,
        events: &[NewEvent],
    ) -> Result<Appended, AppendError> {
        self.may_write()?;
        outbox::append(self, now, feed, subject, expected, events).await
    }

    pub(crate) async fn events_of(&mut self, subject: &Subject) -> Result<Vec<Event>, StoreError> {
        log::events_of(self, subject).await
    }

    /// Lets nobody else append to the subject, or load it in order to, until this transaction ends. What is read
    /// afterwards is what they left.
    pub(crate) async fn lock_subject(&mut self, subject: &Subject) -> Result<(), StoreError> {
        self.may_write()?;
        self.run(outbox::LOCK_SUBJECT, &[&subject.as_str()])
            .await
            .map(drop)
    }
}

fn parameters_of<'a>(values: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

fn is_select(sql: &str) -> bool {
    sql.trim_start()
        .get(..6)
        .is_some_and(|word| word.eq_ignore_ascii_case("select"))
}
