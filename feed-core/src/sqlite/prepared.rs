//! A statement that stays prepared as long as its owner lives.

use std::cell::RefCell;

use rusqlite::{CachedStatement, Connection, Statement};

use super::connection::store_error;
use crate::error::StoreError;

/// A statement that is used again and again. It is prepared at its first use, and not looked up by its text afterwards.
pub(super) struct Prepared<'c> {
    sql: &'static str,
    statement: RefCell<Option<CachedStatement<'c>>>,
}

impl<'c> Prepared<'c> {
    pub(super) const fn new(sql: &'static str) -> Self {
        Prepared {
            sql,
            statement: RefCell::new(None),
        }
    }

    /// Runs it, with whatever parameters `run` gives it, and leaves the meaning of its errors to the caller.
    pub(super) fn with<T>(
        &self,
        conn: &'c Connection,
        run: impl FnOnce(&mut Statement<'c>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        // Taken out meanwhile, so that using it from within `run` prepares another one and does not panic.
        let kept = self.statement.take();
        let mut statement = match kept {
            Some(statement) => statement,
            None => conn.prepare_cached(self.sql)?,
        };
        let result = run(&mut statement);
        self.statement.replace(Some(statement));
        result
    }

    /// Runs it without parameters.
    pub(super) fn execute(&self, conn: &'c Connection) -> Result<(), StoreError> {
        self.with(conn, |statement| statement.execute([]))
            .map(drop)
            .map_err(store_error)
    }
}
