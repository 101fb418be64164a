//! The writer's transactions on its connection, and what it remembers from one to the next.

use std::cell::Cell;

use rusqlite::Connection;

use super::connection::store_error;
use super::outbox::{Appends, Outbox};
use super::prepared::Prepared;
use crate::error::StoreError;
use crate::faults::{Point, at};

/// The statements around the work. At most one transaction is open.
pub(super) struct Session<'c> {
    pub(super) conn: &'c Connection,
    pub(super) outbox: Outbox<'c>,
    /// What `PRAGMA data_version` said in the transaction before.
    version_seen: Cell<Option<i64>>,
    data_version: Prepared<'c>,
    begin: Prepared<'c>,
    commit: Prepared<'c>,
    rollback: Prepared<'c>,
    savepoint: Prepared<'c>,
    undo: Prepared<'c>,
    release: Prepared<'c>,
}

impl<'c> Session<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Session {
            conn,
            outbox: Outbox::new(conn),
            version_seen: Cell::new(None),
            data_version: Prepared::new("PRAGMA data_version"),
            begin: Prepared::new("BEGIN IMMEDIATE"),
            commit: Prepared::new("COMMIT"),
            rollback: Prepared::new("ROLLBACK"),
            savepoint: Prepared::new("SAVEPOINT command"),
            undo: Prepared::new("ROLLBACK TO command"),
            release: Prepared::new("RELEASE command"),
        }
    }

    /// Begins, with the file to itself; what was remembered is kept only when nobody else committed meanwhile.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        self.begin.execute(self.conn)?;
        // Asked inside the transaction: from here on nobody else commits. It changes when another connection has
        // committed since, and not by commits of this one (sqlite.org/pragma.html#pragma_data_version).
        let version = self
            .data_version
            .with(self.conn, |statement| {
                statement.query_row([], |row| row.get(0))
            })
            .map_err(store_error);
        match version {
            Ok(version) => {
                if self.version_seen.replace(Some(version)) != Some(version) {
                    self.outbox.forget();
                }
                Ok(())
            }
            Err(error) => {
                self.rollback();
                Err(error)
            }
        }
    }

    /// Commits what is there to be committed.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        if self.conn.is_autocommit() {
            return Err(StoreError::Database(
                "the transaction was rolled back".into(),
            ));
        }
        at(Point::BeforeCommit);
        let committed = self.commit.execute(self.conn);
        at(Point::AfterCommit);
        committed
    }

    /// Afterwards no transaction is open, and nothing is remembered of it.
    pub(super) fn rollback(&self) {
        self.outbox.forget();
        if !self.conn.is_autocommit() {
            // Failing means that there is no transaction any more, which is what is wanted.
            let _ = self.rollback.execute(self.conn);
        }
    }

    /// Runs `work` so that it can be undone alone; it says whether to keep what it did. `None` when the transaction is
    /// lost: some errors (a full disk, an interrupt) end it.
    pub(super) fn in_savepoint<T>(&self, work: impl FnOnce() -> (bool, T)) -> Option<T> {
        self.savepoint.execute(self.conn).ok()?;
        let (keep, result) = work();
        if self.conn.is_autocommit() {
            return None;
        }
        if !keep {
            self.outbox.forget();
            self.undo.execute(self.conn).ok()?;
        }
        self.release.execute(self.conn).ok()?;
        Some(result)
    }
}
