//! The writer: one thread, one connection, and as many commands in a commit as are waiting.
//!
//! A command that comes alone is committed alone and at once; those that arrive while the disk syncs share the
//! next commit, and are answered after it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot, watch};

use super::checkpoint::{Bounds, Checkpoints};
use super::connection::store_error;
use super::queue::Queue;
use super::session::Session;
use super::time_limit;
use super::tx::{Access, SqliteTx};
use crate::error::StoreError;
use crate::faults::{Bug, planted, wall_clock};
use crate::limits::{
    WRITE_CAREFUL_GROUPS, WRITE_COMMAND_MS_MAX, WRITE_GROUP_MAX, WRITE_GROUP_MS_MAX,
};
use crate::store::{Tx, TxInner};

/// What a command did.
pub(super) struct Ran {
    /// Keep its changes.
    keep: bool,
    /// It appended events.
    appended: bool,
    /// There may be something to undo when it is not kept.
    written: bool,
}

impl Ran {
    /// A command that appends nothing.
    pub(super) fn state_only(keep: bool) -> Self {
        Ran {
            keep,
            appended: false,
            written: true,
        }
    }
}

/// Work for the writer. It may be run several times, before it is answered once.
pub(super) trait Command: Send {
    fn run(&mut self, session: &Session<'_>) -> Ran;
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
    fn run(&mut self, session: &Session<'_>) -> Ran {
        let (result, done) = run_work(&self.work, session.conn, Access::Write(&session.outbox));
        let keep = result.is_ok();
        self.result = Some(result);
        Ran {
            keep,
            appended: done.appended,
            written: done.written,
        }
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

/// What work did, whatever it returned.
pub(super) struct Done {
    appended: bool,
    written: bool,
}

/// Runs the work in the transaction that is open on `conn`. It is polled once: nothing could wake it here.
pub(super) fn run_work<W, T, E>(
    work: &W,
    conn: &Connection,
    access: Access<'_>,
) -> (Result<T, E>, Done)
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
    let written = match &tx.inner {
        TxInner::Sqlite(tx) => tx.has_written(),
        #[cfg(feature = "postgres")]
        TxInner::Postgres(_) => false,
    };
    let appended = tx.has_appended();
    (result, Done { appended, written })
}

pub(super) struct Writer {
    conn: Connection,
    checkpoints: Checkpoints,
    commits: watch::Sender<u64>,
}

impl Writer {
    pub(super) fn new(
        conn: Connection,
        path: &Path,
        commits: watch::Sender<u64>,
    ) -> Result<Self, StoreError> {
        time_limit::watch(&conn).map_err(store_error)?;
        let checkpoints = Checkpoints::start(&conn, path, Bounds::default())?;
        Ok(Writer {
            conn,
            checkpoints,
            commits,
        })
    }

    /// Works until every sender is gone and the queue is empty.
    ///
    /// Inside the runtime, so that work which makes a timer is told that it may not wait, and does not panic.
    pub(super) fn run(self, queue: mpsc::Receiver<Box<dyn Command>>, runtime: &Handle) {
        let _inside = runtime.enter();
        let Writer {
            conn,
            checkpoints,
            commits,
        } = self;
        Working {
            session: Session::new(&conn),
            checkpoints,
            commits,
            runtime,
            careful_groups: 0,
        }
        .run(Queue::new(queue));
        // Leaves a file without a WAL behind; when another process uses it, that one does it later, and is not waited for.
        let _ = conn.busy_timeout(Duration::ZERO);
        let _ = conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// The writer on its thread.
struct Working<'c> {
    session: Session<'c>,
    checkpoints: Checkpoints,
    commits: watch::Sender<u64>,
    runtime: &'c Handle,
    /// So many groups run each command in a savepoint of its own.
    careful_groups: u32,
}

/// How a group came to its end.
enum Group {
    /// It can be committed; whether anything was appended.
    Ready { appended: bool },
    /// A command did what has to be undone, and what others did would go with it.
    Undoable,
    /// The transaction is lost.
    Lost,
}

impl Working<'_> {
    fn run(mut self, mut queue: Queue) {
        let mut waiting: VecDeque<Box<dyn Command>> = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match queue.wait() {
                    Some(command) => waiting.push_back(command),
                    None => break,
                }
            }
            while waiting.len() < WRITE_GROUP_MAX {
                match queue.next() {
                    Some(command) => waiting.push_back(command),
                    None => break,
                }
            }
            if waiting.len() == 1 {
                waiting
                    .drain(..)
                    .for_each(|command| self.run_alone(command));
            } else {
                self.run_group(&mut waiting);
            }
            self.checkpoints.after_commit(self.session.conn);
        }
    }

    /// One transaction for one command.
    fn run_alone(&self, mut command: Box<dyn Command>) {
        match self.session.begin() {
            Err(error) => command.fail(error),
            Ok(()) => {
                let ran = self.run_timed(&mut *command);
                if ran.keep && planted(Bug::AnswerBeforeCommit) {
                    command.answer();
                    if self.session.commit().is_err() {
                        self.session.rollback();
                    }
                    return;
                }
                if !ran.keep {
                    self.session.rollback();
                } else if let Err(error) = self.session.commit() {
                    self.session.rollback();
                    command.fail(error);
                } else if ran.appended {
                    self.announce();
                }
            }
        }
        command.answer();
    }

    /// One transaction for as many of the commands as fit in the time; the rest stay in the queue.
    fn run_group(&mut self, waiting: &mut VecDeque<Box<dyn Command>>) {
        if let Err(error) = self.session.begin() {
            // Not tried one by one: each would wait as long for the same lock.
            let message = error.to_string();
            for mut command in waiting.drain(..) {
                command.fail(StoreError::Unavailable(message.clone()));
                command.answer();
            }
            return;
        }
        let began = Instant::now();
        let mut done = Vec::with_capacity(waiting.len());
        let careful = self.careful_groups > 0;
        self.careful_groups = self.careful_groups.saturating_sub(1);
        match self.run_commands(waiting, &mut done, began, careful) {
            Group::Ready { appended } if self.session.commit().is_ok() => {
                if appended {
                    self.announce();
                }
                self.answer_all(done);
            }
            Group::Undoable => {
                // All of them are run again, from the beginning and each so that it can be undone alone.
                self.session.rollback();
                self.careful_groups = WRITE_CAREFUL_GROUPS;
                done.into_iter()
                    .rev()
                    .for_each(|command| waiting.push_front(command));
            }
            Group::Ready { .. } | Group::Lost => {
                // One of them took the whole transaction with it: each is tried for itself.
                self.session.rollback();
                done.into_iter().for_each(|command| self.run_alone(command));
            }
        }
    }

    /// Runs commands until the time is over.
    ///
    /// A savepoint costs more than an append: SQLite copies each page that is changed for the first time in it. Nearly all
    /// commands either succeed or fail before they have changed anything, as a version conflict does; so savepoints
    /// are made only after one was missing.
    fn run_commands(
        &self,
        waiting: &mut VecDeque<Box<dyn Command>>,
        done: &mut Vec<Box<dyn Command>>,
        began: Instant,
        careful: bool,
    ) -> Group {
        let mut appended = false;
        while began.elapsed() < Duration::from_millis(WRITE_GROUP_MS_MAX) {
            let Some(mut command) = waiting.pop_front() else {
                break;
            };
            let ran = if careful {
                self.session.in_savepoint(|| {
                    let ran = self.run_timed(&mut *command);
                    (ran.keep, ran)
                })
            } else {
                let ran = self.run_timed(&mut *command);
                (!self.session.conn.is_autocommit()).then_some(ran)
            };
            done.push(command);
            match ran {
                None => return Group::Lost,
                Some(ran) if !careful && !ran.keep && ran.written => return Group::Undoable,
                Some(ran) => appended |= ran.keep && ran.appended,
            }
        }
        Group::Ready { appended }
    }

    fn run_timed(&self, command: &mut dyn Command) -> Ran {
        time_limit::within(WRITE_COMMAND_MS_MAX, || command.run(&self.session))
    }

    /// Answers on the runtime, where waking the tasks that wait is cheap; the thread goes on with the next group.
    fn answer_all(&self, commands: Vec<Box<dyn Command>>) {
        let answers = Answers(commands);
        // On one thread it might not be driven while somebody waits in another runtime.
        if self.runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
            self.runtime.spawn(async move { drop(answers) });
        }
    }

    fn announce(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }
}

/// Commands whose work is committed. They are answered when this is dropped, so also by a runtime that has ended.
struct Answers(Vec<Box<dyn Command>>);

impl Drop for Answers {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|command| command.answer());
    }
}
