//! The store: the writer's queue and the readers' pool.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::JoinHandle;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::callers::Callers;
use super::connection::{check_library, open_writer};
use super::readers::Readers;
use super::session::Session;
use super::tx::Access;
use super::watcher::Watcher;
use super::writer::{Command, Write, Writer, run_work};
use super::{log, migrate, scan};
use crate::error::StoreError;
use crate::event::{Event, EventId, FeedName};
use crate::feed::{FeedConfig, FeedState};
use crate::filter::Filter;
use crate::limits::{READERS_MAX, WRITE_QUEUE_MAX};
use crate::position::{Cursor, Position};
use crate::store::{Migrations, RecordedBehind, Scan, Tx, TxInner, Window};

pub(crate) struct SqliteStore {
    /// Taken away to close: the writer ends when no sender is left.
    queue: Mutex<Option<mpsc::Sender<Box<dyn Command>>>>,
    /// Joined by whoever closes.
    thread: Mutex<Option<JoinHandle<()>>>,
    callers: Callers,
    readers: Readers,
    commits: watch::Receiver<u64>,
    /// Taken away to close.
    watcher: Mutex<Option<Watcher>>,
}

impl SqliteStore {
    /// Opens the file, and creates it or changes its schema as these migrations say. Without any, only a file that is
    /// there and has the schema of this program is taken.
    pub(crate) async fn open(
        path: PathBuf,
        migrations: Option<Migrations>,
    ) -> Result<Self, StoreError> {
        check_library()?;
        let readers = Readers::new(path.clone(), READERS_MAX);
        let (sender, queue) = mpsc::channel(WRITE_QUEUE_MAX);
        let (committed, commits) = watch::channel(0);
        let runtime = Handle::current();
        let opened = tokio::task::spawn_blocking(move || {
            let conn = match migrations {
                Some(migrations) => {
                    let mut conn = open_writer(&path, OpenFlags::default())?;
                    migrate::migrate(&mut conn, &path, migrations)?;
                    conn
                }
                None => {
                    migrate::check(&path)?;
                    open_writer(&path, OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE)?
                }
            };
            let watcher = Watcher::start(&path, committed.clone())?;
            let writer = Writer::new(conn, &path, committed)?;
            let thread = std::thread::Builder::new()
                .name("sqlite-writer".into())
                .spawn(move || writer.run(queue, &runtime))
                .map_err(|error| {
                    StoreError::Database(format!("the writer thread did not start: {error}"))
                })?;
            Ok::<_, StoreError>((thread, watcher))
        });
        let (thread, watcher) = opened
            .await
            .map_err(|error| StoreError::Panicked(error.to_string()))??;
        Ok(SqliteStore {
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            callers: Callers::new(),
            readers,
            commits,
            watcher: Mutex::new(Some(watcher)),
        })
    }

    pub(crate) async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let queue = lock(&self.queue).clone().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let command = Box::new(Write {
            work,
            result: None,
            reply,
        });
        let caller = self.callers.enter();
        queue.send(command).await.map_err(|_| StoreError::Closed)?;
        drop(queue);
        caller
            .answer(answer)
            .await
            .unwrap_or_else(|| Err(StoreError::Closed.into()))
    }

    pub(crate) async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.with_reader(move |conn| run_work(&work, conn, Access::Read).0)
            .await
    }

    pub(crate) async fn read_log(
        &self,
        feed: FeedName,
        window: Window,
    ) -> Result<(FeedState, Vec<Event>), StoreError> {
        self.with_reader(move |conn| log::read(conn, &feed, window))
            .await
    }

    /// The same where little is expected: what was appended a moment ago.
    #[cfg(feature = "server")]
    pub(crate) async fn read_news(
        &self,
        feed: FeedName,
        window: Window,
    ) -> Result<(FeedState, Vec<Event>), StoreError> {
        let read = self.readers.run_here(|conn| log::read(conn, &feed, window));
        match read {
            Some(read) => read,
            None => self.read_log(feed, window).await,
        }
    }

    #[cfg(feature = "server")]
    pub(crate) async fn fold_log<F: crate::store::Fold>(
        &self,
        feed: FeedName,
        page: crate::page::PageNumber,
        fold: F,
    ) -> Result<(FeedState, F), StoreError> {
        self.with_reader(move |conn| log::fold(conn, &feed, page, fold))
            .await
    }

    pub(crate) async fn read_event(
        &self,
        feed: FeedName,
        id: EventId,
    ) -> Result<Option<Event>, StoreError> {
        self.with_reader(move |conn| log::event(conn, &feed, id))
            .await
    }

    pub(crate) async fn scan_log(
        &self,
        feed: FeedName,
        after: Position,
        filter: Filter,
        limit: u32,
    ) -> Result<Scan, StoreError> {
        self.with_reader(move |conn| scan::scan(conn, &feed, after, &filter, limit))
            .await
    }

    pub(crate) async fn cursor_before(
        &self,
        feed: FeedName,
        time: DateTime<Utc>,
    ) -> Result<Cursor, StoreError> {
        self.with_reader(move |conn| scan::cursor_before(conn, &feed, time))
            .await
    }

    pub(crate) async fn recorded_behind(
        &self,
        feed: FeedName,
        positions: Vec<Position>,
    ) -> Result<RecordedBehind, StoreError> {
        self.with_reader(move |conn| scan::recorded_behind(conn, &feed, &positions))
            .await
    }

    pub(crate) async fn create_feed(&self, config: FeedConfig) -> Result<FeedState, StoreError> {
        let name = config.name.clone();
        let (reply, answer) = oneshot::channel();
        let queue = lock(&self.queue).clone().ok_or(StoreError::Closed)?;
        let command = Box::new(CreateFeed {
            config,
            result: Err(StoreError::Closed),
            reply,
        });
        queue.send(command).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)??;
        Ok(self.read_log(name, Window::Nothing).await?.0)
    }

    pub(crate) async fn open_epoch(
        &self,
        feed: FeedName,
        reason: String,
    ) -> Result<FeedState, StoreError> {
        let name = feed.clone();
        self.write(async move |tx: &mut Tx<'_>| {
            // Only a second store makes it refutable.
            #[allow(irrefutable_let_patterns)]
            let TxInner::Sqlite(inner) = &mut tx.inner else {
                return Err(StoreError::Closed);
            };
            inner.open_epoch(&name, &reason)?;
            // What is known of the feed is not so any more.
            tx.announce();
            Ok(())
        })
        .await?;
        Ok(self.read_log(feed, Window::Nothing).await?.0)
    }

    /// Events have their positions as soon as they are committed.
    pub(crate) async fn sequenced(&self) -> Result<(), StoreError> {
        Ok(())
    }

    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    pub(crate) async fn close(&self) {
        drop(lock(&self.queue).take());
        let watcher = lock(&self.watcher).take();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let join = move || {
                drop(watcher);
                thread.join()
            };
            let joined = tokio::task::spawn_blocking(join).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer thread panicked");
            }
        }
        self.readers.close();
    }

    /// Runs `work` on a reader, in one transaction, so that all that it reads is of one moment.
    async fn with_reader<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.readers.run(work).await
    }
}

struct CreateFeed {
    config: FeedConfig,
    result: Result<(), StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Command for CreateFeed {
    fn run(&mut self, session: &Session<'_>) -> super::writer::Ran {
        self.result = log::create_feed(session.conn, &self.config);
        super::writer::Ran::state_only(self.result.is_ok())
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Err(error);
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.result);
    }
}

/// A lock whose holder panicked guards nothing that could be half changed here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
