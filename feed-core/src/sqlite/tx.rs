//! A transaction on one SQLite connection.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Statement, ToSql};

use super::connection::store_error;
use super::log;
use super::outbox::Appends;
use crate::error::{AppendError, StoreError};
use crate::event::{Event, FeedName, NewEvent, Subject};
use crate::store::{Appended, Expected, FromRow, Row, RowInner, Value};

/// The transaction is open on `conn`; whoever made this commits it or rolls it back.
pub(crate) struct SqliteTx<'c> {
    conn: &'c Connection,
    access: Access<'c>,
    /// Something was, or may have been, changed in it.
    written: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Access<'c> {
    Read,
    /// Events are appended through this.
    Write(&'c dyn Appends),
}

impl<'c> SqliteTx<'c> {
    pub(super) fn new(conn: &'c Connection, access: Access<'c>) -> Self {
        SqliteTx {
            conn,
            access,
            written: false,
        }
    }

    /// Whether there may be something to undo.
    pub(super) fn has_written(&self) -> bool {
        self.written
    }

    /// Notes what a statement of the service's own does: a change, or a `SAVEPOINT` or `ROLLBACK TO`, which returns
    /// no columns and could undo what was appended.
    fn note(&mut self, statement: &Statement<'_>) {
        let controls = statement.readonly() && statement.column_count() == 0;
        self.written |= controls || !statement.readonly();
        if let (true, Access::Write(outbox)) = (controls, self.access) {
            outbox.forget();
        }
    }

    pub(crate) fn execute(
        &mut self,
        sql: &'static str,
        parameters: &[Value<'_>],
    ) -> Result<u64, StoreError> {
        let mut statement = self.prepare(sql, parameters)?;
        self.note(&statement);
        if statement.readonly() {
            // A SELECT run for nothing is a mistake of the caller's, but a harmless one.
            let mut rows = statement.raw_query();
            while rows.next().map_err(store_error)?.is_some() {}
            return Ok(0);
        }
        if matches!(self.access, Access::Read) {
            return Err(StoreError::ReadOnly);
        }
        statement
            .raw_execute()
            .map(|changed| changed as u64)
            .map_err(store_error)
    }

    pub(crate) fn query<T: FromRow>(
        &mut self,
        sql: &'static str,
        parameters: &[Value<'_>],
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.prepare(sql, parameters)?;
        self.note(&statement);
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(store_error)? {
            found.push(T::from_row(&Row(RowInner::Sqlite(row)))?);
        }
        Ok(found)
    }

    pub(crate) fn append(
        &mut self,
        now: DateTime<Utc>,
        feed: &str,
        subject: &Subject,
        expected: Expected,
        events: &[NewEvent],
    ) -> Result<Appended, AppendError> {
        let Access::Write(outbox) = self.access else {
            return Err(StoreError::ReadOnly.into());
        };
        let appended = outbox.append(now, feed, subject, expected, events)?;
        self.written = true;
        Ok(appended)
    }

    pub(crate) fn events_of(&mut self, subject: &Subject) -> Result<Vec<Event>, StoreError> {
        log::events_of(self.conn, subject)
    }

    pub(super) fn open_epoch(&mut self, feed: &FeedName, reason: &str) -> Result<(), StoreError> {
        self.written = true;
        log::open_epoch(self.conn, feed, reason)
    }

    /// Binds `$n` by its name: SQLite numbers parameters by their first appearance, so `$2, $1` would swap.
    fn prepare(
        &self,
        sql: &'static str,
        parameters: &[Value<'_>],
    ) -> Result<CachedStatement<'c>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql).map_err(store_error)?;
        let wanted = statement.parameter_count();
        let mismatch = || StoreError::Parameters {
            given: parameters.len(),
            wanted,
            sql: sql.to_owned(),
        };
        if wanted != parameters.len() {
            return Err(mismatch());
        }
        for (number, parameter) in parameters.iter().enumerate() {
            let name = match NAMES.get(number) {
                Some(name) => Cow::Borrowed(*name),
                None => Cow::Owned(format!("${}", number + 1)),
            };
            let index = statement
                .parameter_index(&name)
                .map_err(store_error)?
                .ok_or_else(mismatch)?;
            statement
                .raw_bind_parameter(index, Bound(parameter))
                .map_err(store_error)?;
        }
        Ok(statement)
    }
}

/// The names of the first parameters: made for each of a handler's statements, they would cost as much as binding.
const NAMES: [&str; 16] = [
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15",
    "$16",
];

struct Bound<'a>(&'a Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A value of SQLite as ours; a floating-point number is none.
pub(crate) fn borrowed(value: ValueRef<'_>) -> Result<Value<'_>, String> {
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => Ok(Value::Integer(number)),
        ValueRef::Text(text) => std::str::from_utf8(text)
            .map(Value::Text)
            .map_err(|error| error.to_string()),
        ValueRef::Blob(bytes) => Ok(Value::Blob(bytes)),
        ValueRef::Real(number) => Err(format!("{number} is a floating-point number")),
    }
}
