//! Noticing what other processes commit to the same file: SQLite tells nobody, so it is asked.

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::connection::{prepare_reader, store_error};
use crate::error::StoreError;
use crate::limits::WATCH_INTERVAL_MS;

/// The thread that asks. It ends when this is dropped.
pub(super) struct Watcher {
    thread: Option<JoinHandle<()>>,
    /// Nothing is ever sent: dropping it ends the thread.
    stop: Option<std::sync::mpsc::Sender<()>>,
}

impl Watcher {
    /// Changes `commits` at most [`WATCH_INTERVAL_MS`] after any process committed, as long as somebody beside the
    /// store itself looks at it.
    pub(super) fn start(path: &Path, commits: watch::Sender<u64>) -> Result<Self, StoreError> {
        let conn = Connection::open(path).map_err(store_error)?;
        prepare_reader(&conn).map_err(store_error)?;
        let (stop, stopped) = std::sync::mpsc::channel();
        let work = move || {
            let mut seen = None;
            let interval = Duration::from_millis(WATCH_INTERVAL_MS);
            // Ends when the other side is dropped; until then it only ever times out.
            while stopped.recv_timeout(interval) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                if commits.receiver_count() <= 1 {
                    continue;
                }
                // Changes whenever another connection committed (sqlite.org/pragma.html#pragma_data_version).
                match conn.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)) {
                    Ok(version) if seen != Some(version) => {
                        seen = Some(version);
                        commits.send_modify(|commits| *commits += 1);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the file could not be watched");
                        // Nobody may believe that nothing was committed.
                        commits.send_modify(|commits| *commits += 1);
                    }
                }
            }
        };
        let thread = thread::Builder::new()
            .name("sqlite-watcher".into())
            .spawn(work)
            .map_err(|error| {
                StoreError::Database(format!("the watcher thread did not start: {error}"))
            })?;
        Ok(Watcher {
            thread: Some(thread),
            stop: Some(stop),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watcher thread panicked");
        }
    }
}
