//! The writer: one thread, one connection, and as many commands in a commit as are waiting.
//!
//! A command that comes alone is committed alone and at once; those that arrive while the disk syncs share the
//! next commit. Each runs in a savepoint of its own, and is answered after COMMIT.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::connection::store_error;
use super::tx::{Access, SqliteTx};
use crate::error::StoreError;
use crate::faults::{Bug, Point, at, planted, wall_clock};
use crate::limits::{WRITE_COMMAND_MS_MAX, WRITE_GROUP_MAX, WRITE_GROUP_MS_MAX};
use crate::store::{Tx, TxInner};

/// Virtual-machine steps of SQLite between two looks at the clock.
const STEPS_BETWEEN_CHECKS: i32 = 10_000;

/// What a command did in its savepoint.
pub(super) struct Ran {
    /// Keep its changes.
    keep: bool,
    /// It appended events.
    appended: bool,
}

impl Ran {
    /// A command that appends nothing.
    pub(super) fn state_only(keep: bool) -> Self {
        Ran {
            keep,
            appended: false,
        }
    }
}

/// Work for the writer. It may be run several times, before it is answered once.
pub(super) trait Command: Send {
    fn run(&mut self, conn: &Connection) -> Ran;
    /// What it did is lost; this is its answer now, unless it is run again.
    fn fail(&mut self, error: StoreError);
    fn answer(self: Box<Self>);
}

/// The command of [`Store::write`](crate::Store::write).
pub(super) struct Write<W, T, E> {
    pub(super) work: W,
    pub(super) result: Option<Result<T, E>>,
    pub(super) reply: oneshot::Sender<Result<T, E>>,
}

impl<W, T, E> Command for Write<W, T, E>
where
    W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, conn: &Connection) -> Ran {
        let (result, appended) = run_work(&self.work, conn, Access::Write);
        let keep = result.is_ok();
        self.result = Some(result);
        Ran { keep, appended }
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>) {
        let result = self
            .result
            .unwrap_or_else(|| Err(StoreError::Closed.into()));
        // Nobody waits any more when the caller went away; the work is committed all the same.
        let _ = self.reply.send(result);
    }
}

/// Runs the work in the transaction that is open on `conn`. It is polled once: nothing could wake it here.
pub(super) fn run_work<W, T, E>(work: &W, conn: &Connection, access: Access) -> (Result<T, E>, bool)
where
    W: AsyncFn(&mut Tx<'_>) -> Result<T, E>,
    E: From<StoreError>,
{
    let mut tx = Tx::new(TxInner::Sqlite(SqliteTx::new(conn, access)), wall_clock());
    let ran = catch_unwind(AssertUnwindSafe(|| {
        match pin!(work(&mut tx)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(StoreError::ForeignAwait.into()),
        }
    }));
    let result = ran.unwrap_or_else(|panic| Err(StoreError::panicked(&*panic).into()));
    let result = match result {
        Ok(_) if tx.has_failed() => Err(StoreError::FailedStatement.into()),
        result => result,
    };
    (result, tx.has_appended())
}

pub(super) struct Writer {
    conn: Connection,
    deadline: Deadline,
    commits: watch::Sender<u64>,
}

impl Writer {
    pub(super) fn new(conn: Connection, commits: watch::Sender<u64>) -> Result<Self, StoreError> {
        let deadline = Deadline::new();
        let check = deadline.clone();
        conn.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || check.has_passed()))
            .map_err(store_error)?;
        Ok(Writer {
            conn,
            deadline,
            commits,
        })
    }

    /// Works until every sender is gone and the queue is empty.
    ///
    /// Inside the runtime, so that work which makes a timer is told that it may not wait, and does not panic.
    pub(super) fn run(self, mut queue: mpsc::Receiver<Box<dyn Command>>, runtime: &Handle) {
        let _inside = runtime.enter();
        let mut waiting: VecDeque<Box<dyn Command>> = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match queue.blocking_recv() {
                    Some(command) => waiting.push_back(command),
                    None => break,
                }
            }
            while waiting.len() < WRITE_GROUP_MAX {
                match queue.try_recv() {
                    Ok(command) => waiting.push_back(command),
                    Err(_) => break,
                }
            }
            if waiting.len() == 1 {
                waiting
                    .drain(..)
                    .for_each(|command| self.run_alone(command));
            } else {
                self.run_group(&mut waiting);
            }
        }
        // Leaves a file without a WAL behind; when another process uses it, that one does it later, and is not waited for.
        let _ = self.conn.busy_timeout(Duration::ZERO);
        let _ = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// One transaction for one command.
    fn run_alone(&self, mut command: Box<dyn Command>) {
        match self.begin() {
            Err(error) => command.fail(error),
            Ok(()) => {
                let ran = self.run_timed(&mut *command);
                if ran.keep && planted(Bug::AnswerBeforeCommit) {
                    command.answer();
                    if self.commit().is_err() {
                        self.rollback();
                    }
                    return;
                }
                if !ran.keep {
                    self.rollback();
                } else if let Err(error) = self.commit() {
                    self.rollback();
                    command.fail(error);
                } else if ran.appended {
                    self.announce();
                }
            }
        }
        command.answer();
    }

    /// One transaction for as many of the commands as fit in the time; the rest stay in the queue.
    fn run_group(&self, waiting: &mut VecDeque<Box<dyn Command>>) {
        if let Err(error) = self.begin() {
            // Not tried one by one: each would wait as long for the same lock.
            let message = error.to_string();
            for mut command in waiting.drain(..) {
                command.fail(StoreError::Unavailable(message.clone()));
                command.answer();
            }
            return;
        }
        let began = Instant::now();
        let mut done = Vec::new();
        let mut appended = false;
        let mut intact = true;
        while intact && began.elapsed() < Duration::from_millis(WRITE_GROUP_MS_MAX) {
            let Some(mut command) = waiting.pop_front() else {
                break;
            };
            intact = self.run_in_savepoint(&mut *command, &mut appended);
            done.push(command);
        }
        if intact && self.commit().is_ok() {
            if appended {
                self.announce();
            }
            done.into_iter().for_each(|command| command.answer());
        } else {
            // One of them took the whole transaction with it: each is tried for itself.
            self.rollback();
            done.into_iter().for_each(|command| self.run_alone(command));
        }
    }

    /// Returns whether the transaction is still there: some errors (a full disk, an interrupt) end it.
    fn run_in_savepoint(&self, command: &mut dyn Command, appended: &mut bool) -> bool {
        if self.execute("SAVEPOINT command").is_err() {
            return false;
        }
        let ran = self.run_timed(command);
        if self.conn.is_autocommit() {
            return false;
        }
        *appended |= ran.keep && ran.appended;
        let undone = ran.keep || self.execute("ROLLBACK TO command").is_ok();
        undone && self.execute("RELEASE command").is_ok()
    }

    fn run_timed(&self, command: &mut dyn Command) -> Ran {
        self.deadline
            .set(Duration::from_millis(WRITE_COMMAND_MS_MAX));
        let ran = command.run(&self.conn);
        self.deadline.clear();
        ran
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE")
    }

    fn commit(&self) -> Result<(), StoreError> {
        if self.conn.is_autocommit() {
            return Err(StoreError::Database(
                "the transaction was rolled back".into(),
            ));
        }
        at(Point::BeforeCommit);
        let committed = self.execute("COMMIT");
        at(Point::AfterCommit);
        committed
    }

    fn rollback(&self) {
        if !self.conn.is_autocommit() {
            // Failing means that there is no transaction any more, which is what is wanted.
            let _ = self.execute("ROLLBACK");
        }
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(store_error)
    }

    fn announce(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }
}

/// A moment after which SQLite's progress handler interrupts the statement; none by default.
#[derive(Clone)]
struct Deadline {
    base: Instant,
    passes_at_us: Arc<AtomicU64>,
}

impl Deadline {
    fn new() -> Self {
        Deadline {
            base: Instant::now(),
            passes_at_us: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    fn set(&self, after: Duration) {
        let at = (self.base.elapsed() + after).as_micros() as u64;
        self.passes_at_us.store(at, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.passes_at_us.store(u64::MAX, Ordering::Relaxed);
    }

    fn has_passed(&self) -> bool {
        let at = self.passes_at_us.load(Ordering::Relaxed);
        at != u64::MAX && self.base.elapsed().as_micros() as u64 > at
    }
}
