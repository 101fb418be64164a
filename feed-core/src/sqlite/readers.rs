//! The connections that read: opened when they are needed, a few at most, each used by one at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection::{prepare_reader, store_error};
use super::time_limit;
use crate::error::StoreError;
use crate::limits::{READ_MS_MAX, WRITE_BUSY_MS_MAX};

/// Readers of one file. A connection is only ever used on a thread for work that blocks, and it is taken there, so that one
/// read takes one change of threads.
pub(super) struct Readers {
    path: PathBuf,
    /// Connections that nobody uses just now.
    idle: Arc<Mutex<Vec<Connection>>>,
    /// A place for each that there may be.
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, readers_max: usize) -> Self {
        Readers {
            path,
            idle: Arc::default(),
            places: Arc::new(Semaphore::new(readers_max)),
        }
    }

    /// Runs `work` in one transaction, so that all that it reads is of one moment.
    pub(super) async fn run<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let (idle, path) = (self.idle.clone(), self.path.clone());
        let places = self.places.clone();
        let read = tokio::task::spawn_blocking(move || {
            let _place = place;
            let kept = lock(&idle).pop();
            let conn = match kept {
                Some(conn) => conn,
                None => open(path)?,
            };
            let done = in_transaction(&conn, work);
            // What panicked does not get here, and its connection ends with it.
            let mut idle = lock(&idle);
            if !places.is_closed() && conn.is_autocommit() {
                idle.push(conn);
            }
            done
        });
        read.await
            .map_err(|error| StoreError::Panicked(error.to_string()))?
    }

    /// Runs short `work` at once, on this very thread, when a reader is free and nothing has to be waited for: a change of
    /// threads would take longer than the work. None when it is not so.
    pub(super) fn run_here<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        let _place = self.places.try_acquire().ok()?;
        let conn = lock(&self.idle).pop()?;
        let done = conn
            .busy_timeout(Duration::ZERO)
            .map_err(store_error)
            .and_then(|()| in_transaction(&conn, work));
        let is_patient = conn
            .busy_timeout(Duration::from_millis(WRITE_BUSY_MS_MAX))
            .is_ok();
        let mut idle = lock(&self.idle);
        if is_patient && conn.is_autocommit() && !self.places.is_closed() {
            idle.push(conn);
        }
        // Locked for a moment: that is waited for elsewhere.
        (!matches!(done, Err(StoreError::Unavailable(_)))).then_some(done)
    }

    /// Closes those that nobody uses; the others close when they are done.
    pub(super) fn close(&self) {
        self.places.close();
        lock(&self.idle).clear();
    }
}

fn open(path: PathBuf) -> Result<Connection, StoreError> {
    Connection::open(path)
        .and_then(|conn| prepare_reader(&conn).map(|()| conn))
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn in_transaction<T, E: From<StoreError>>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = conn.unchecked_transaction().map_err(store_error)?;
    // Dropped without a commit: there is nothing to keep.
    time_limit::within(READ_MS_MAX, || work(&transaction))
}

/// A lock whose holder panicked guards nothing that could be half changed here.
fn lock(idle: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
