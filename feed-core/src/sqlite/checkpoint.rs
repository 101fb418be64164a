//! Checkpoints: bringing what was committed from the WAL into the database file, and beginning the WAL anew.
//!
//! A thread of its own does nearly all of it while commits go on, so that no commit waits for the file's sync. What comes
//! to the WAL meanwhile it cannot catch up with, and the WAL begins anew only at a moment at which nothing is missing
//! in the file: so the writer brings the last few pages there itself, between two commits.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::connection::{open_writer, store_error};
use crate::error::StoreError;
use crate::limits::{
    CHECKPOINT_LAST_PAGES_MAX, CHECKPOINT_LONG_WAIT_MS_MAX, CHECKPOINT_PAGES,
    CHECKPOINT_WAIT_MS_MAX, WAL_BYTES_WARN, WAL_PAGES_MAX, WRITE_BUSY_MS_MAX,
};

thread_local! {
    /// Pages in the WAL after the last commit of this thread.
    static WAL_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// What a checkpoint found.
struct Checkpoint {
    /// Not all could be done, or the WAL cannot begin anew: somebody reads what would be overwritten.
    is_blocked: bool,
    /// Pages of the WAL that are in the file.
    done: u32,
}

/// From where on something is done about the WAL.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Pages that are not in the file yet, after which the thread brings them there.
    pages: u32,
    /// Most pages that the writer brings there itself.
    last_pages_max: u32,
    /// Pages in the WAL after which it does so however many they are.
    pages_max: u32,
    /// Size of the WAL from which on it is told.
    bytes_warn: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            pages: CHECKPOINT_PAGES,
            last_pages_max: CHECKPOINT_LAST_PAGES_MAX,
            pages_max: WAL_PAGES_MAX,
            bytes_warn: WAL_BYTES_WARN,
        }
    }
}

/// What the writer did about the WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Did {
    /// Nothing.
    Nothing,
    /// It asked the thread.
    Asked,
    /// All is in the file: the next commit begins the WAL anew.
    Finished,
    /// Somebody reads what would be overwritten.
    Blocked { told: bool },
    /// It could not be done, and was told.
    Failed,
}

/// The writer's side: what is to be done after each commit.
pub(super) struct Checkpoints {
    thread: Checkpointer,
    bounds: Bounds,
    page_bytes: u64,
    /// How often the WAL has begun anew, as far as the writer has seen.
    generation: u32,
    /// Pages in the WAL after the commit before.
    pages_before: u32,
    /// From how many pages on the thread is asked.
    ask_at: u32,
    /// From how many pages on the writer brings them all there itself.
    force_at: u32,
    /// From how many bytes on it is told that the WAL is large.
    warn_at: u64,
}

impl Checkpoints {
    /// For the connection of the writer; SQLite's own checkpoints, in the commit of every thousandth page, end here.
    pub(super) fn start(
        conn: &Connection,
        path: &Path,
        bounds: Bounds,
    ) -> Result<Self, StoreError> {
        conn.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        let page_bytes: i64 = conn
            .query_row("PRAGMA page_size", [], |row| row.get(0))
            .map_err(store_error)?;
        Ok(Checkpoints {
            thread: Checkpointer::start(path)?,
            bounds,
            page_bytes: page_bytes as u64,
            generation: 0,
            pages_before: 0,
            ask_at: bounds.pages,
            force_at: bounds.pages_max,
            warn_at: bounds.bytes_warn,
        })
    }

    /// Has a checkpoint made, or makes its end, if it is time.
    pub(super) fn after_commit(&mut self, conn: &Connection) -> Did {
        let pages = WAL_PAGES.get();
        if pages < self.pages_before {
            self.began_anew();
        }
        self.pages_before = pages;
        if pages < self.bounds.pages || self.thread.is_working() {
            return Did::Nothing;
        }
        let done = self.thread.take_done(self.generation);
        let is_nearly_done =
            done.is_some_and(|done| pages.saturating_sub(done) <= self.bounds.last_pages_max);
        if is_nearly_done || pages >= self.force_at {
            self.finish(conn, pages)
        } else if pages >= self.ask_at {
            self.ask_at = pages + self.bounds.pages;
            self.thread.ask(self.generation);
            Did::Asked
        } else {
            Did::Nothing
        }
    }

    fn began_anew(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.ask_at = self.bounds.pages;
        self.force_at = self.bounds.pages_max;
        self.warn_at = self.bounds.bytes_warn;
    }

    /// Brings the rest into the file, so that the next commit begins the WAL anew.
    fn finish(&mut self, conn: &Connection, pages: u32) -> Did {
        let bytes = u64::from(pages) * self.page_bytes;
        let is_large = bytes >= self.warn_at;
        let wait_ms = if is_large {
            CHECKPOINT_LONG_WAIT_MS_MAX
        } else {
            CHECKPOINT_WAIT_MS_MAX
        };
        let _ = conn.busy_timeout(Duration::from_millis(wait_ms));
        let checkpoint = checkpoint(conn, "PRAGMA wal_checkpoint(RESTART)");
        let _ = conn.busy_timeout(Duration::from_millis(WRITE_BUSY_MS_MAX));
        if let Ok(Checkpoint {
            is_blocked: false, ..
        }) = checkpoint
        {
            self.began_anew();
            return Did::Finished;
        }
        self.ask_at = pages + self.bounds.pages;
        self.force_at = pages + self.bounds.pages_max;
        if let Err(error) = checkpoint {
            tracing::warn!(%error, wal_bytes = bytes, "the WAL could not be brought into the database file");
            return Did::Failed;
        }
        if is_large {
            self.warn_at = bytes * 2;
            tracing::warn!(
                wal_bytes = bytes,
                "the WAL grows: somebody has been reading the database for long, or holds a transaction open in it; \
                 look for another program that has it open"
            );
        }
        Did::Blocked { told: is_large }
    }
}

fn checkpoint(conn: &Connection, sql: &str) -> Result<Checkpoint, StoreError> {
    conn.prepare_cached(sql)
        .and_then(|mut statement| {
            statement.query_row([], |row| {
                let (busy, pages, done): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(Checkpoint {
                    is_blocked: busy != 0 || done < pages,
                    done: u32::try_from(done).unwrap_or(0),
                })
            })
        })
        .map_err(store_error)
}

/// The thread that makes checkpoints when it is asked to. It ends when this is dropped.
struct Checkpointer {
    thread: Option<JoinHandle<()>>,
    /// Dropping it ends the thread.
    wake: Option<SyncSender<u32>>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    is_working: AtomicBool,
    /// Pages of the WAL that are in the file, as the last checkpoint left it, behind the generation of the WAL in which it was
    /// asked for; 0 when that was told.
    done: AtomicU64,
}

/// Generation and pages in one number.
fn packed(generation: u32, pages: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(pages)
}

impl Checkpointer {
    fn start(path: &Path) -> Result<Self, StoreError> {
        // Syncs as the writer does: the WAL before its pages go to the file, and the file before the WAL begins anew.
        let conn = open_writer(path, OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE)?;
        let progress = Arc::new(Progress::default());
        let (wake, woken) = sync_channel(1);
        let shared = progress.clone();
        let thread = thread::Builder::new()
            .name("sqlite-checkpoints".into())
            .spawn(move || work(&conn, &woken, &shared))
            .map_err(|error| {
                StoreError::Database(format!("the checkpoint thread did not start: {error}"))
            })?;
        Ok(Checkpointer {
            thread: Some(thread),
            wake: Some(wake),
            progress,
        })
    }

    fn ask(&self, generation: u32) {
        self.progress.is_working.store(true, Ordering::Release);
        let wake = self.wake.as_ref();
        if wake.is_none_or(|wake| wake.try_send(generation).is_err()) {
            // The thread is gone; the writer does it alone when the WAL is at its bound.
            self.progress.is_working.store(false, Ordering::Release);
        }
    }

    fn is_working(&self) -> bool {
        self.progress.is_working.load(Ordering::Acquire)
    }

    /// How many pages are in the file as the last checkpoint left it; told once, and not when the WAL has begun anew since.
    fn take_done(&self, generation: u32) -> Option<u32> {
        let done = self.progress.done.swap(0, Ordering::AcqRel);
        let pages = done as u32;
        (pages > 0 && packed(generation, pages) == done).then_some(pages)
    }
}

fn work(conn: &Connection, woken: &Receiver<u32>, progress: &Progress) {
    while let Ok(generation) = woken.recv() {
        match checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)") {
            Ok(checkpoint) => progress
                .done
                .store(packed(generation, checkpoint.done), Ordering::Release),
            // The writer tries it itself at its bound, and says what is wrong.
            Err(error) => tracing::debug!(%error, "a checkpoint could not be made"),
        }
        progress.is_working.store(false, Ordering::Release);
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
