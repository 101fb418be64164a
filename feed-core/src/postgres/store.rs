//! The store: pools of connections, and what runs beside them.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use deadpool_postgres::{Object, Pool};
use tokio::sync::watch;
use tokio_util::task::{LocalPoolHandle, TaskTracker};

use super::address;
use super::background::{Background, Shared, run_batches};
use super::clock::DatabaseClock;
use super::failure::on_a_standby;
use super::feeds::{self, Feed, Feeds};
use super::sequencer::Sequencer;
use super::sessions::Lent;
use super::tx::Access;
use super::{log, migrate, scan, sessions, work};
use crate::error::StoreError;
use crate::event::{Event, EventId, FeedName};
use crate::feed::{FeedConfig, FeedState};
use crate::filter::Filter;
use crate::limits::POSTGRES_WORK_THREADS;
use crate::position::{Cursor, Position};
use crate::store::{Migrations, RecordedBehind, Scan, Tx, Window};

pub(crate) struct PostgresStore {
    inner: Arc<Inner>,
    /// Taken away to close.
    background: Mutex<Option<Background>>,
    /// Where work is polled: its futures need not be `Send`.
    threads: LocalPoolHandle,
    /// Work that was taken and is not answered yet.
    running: TaskTracker,
}

struct Inner {
    writers: Pool,
    readers: Pool,
    feeds: Feeds,
    shared: Arc<Shared>,
}

impl PostgresStore {
    /// Opens the database, and creates its schema or changes it as these migrations say. Without any, only a database with
    /// the schema of this program is taken, and none of its events are sequenced.
    pub(crate) async fn open(
        url: &str,
        migrations: Option<Migrations>,
    ) -> Result<Self, StoreError> {
        let address = address::parse(url)?;
        let opened = migrate::migrate(&address, migrations).await?;
        let inner = Inner {
            writers: sessions::pool(&address, address.writers)?,
            readers: sessions::pool(&address, address.readers)?,
            feeds: Feeds::default(),
            shared: Arc::new(Shared {
                // Two services in one database have schemas of their own.
                channel: format!("feedway_{}", opened.namespace),
                clock: DatabaseClock::new(opened.clock_ms),
                committed: tokio::sync::Notify::new(),
                commits: watch::channel(0).0,
                address,
            }),
        };
        let background = migrations
            .is_some()
            .then(|| Background::start(&inner.shared));
        Ok(PostgresStore {
            inner: Arc::new(inner),
            background: Mutex::new(background),
            threads: LocalPoolHandle::new(POSTGRES_WORK_THREADS),
            running: TaskTracker::new(),
        })
    }

    pub(crate) async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(work, Access::Write).await
    }

    pub(crate) async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(work, Access::Read).await
    }

    /// Runs work to its end, whether its caller goes away or not.
    async fn run<T, E, W>(&self, work: W, access: Access) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        if self.running.is_closed() {
            return Err(StoreError::Closed.into());
        }
        let token = self.running.token();
        let inner = self.inner.clone();
        let worked = self.threads.spawn_pinned(move || async move {
            let _token = token;
            inner.run(&work, access).await
        });
        worked
            .await
            .unwrap_or_else(|error| Err(StoreError::Panicked(error.to_string()).into()))
    }

    pub(crate) async fn read_log(
        &self,
        feed: FeedName,
        window: Window,
    ) -> Result<(FeedState, Vec<Event>), StoreError> {
        let reader = self.reader().await?;
        let read = log::read(&reader, &self.inner.feeds, &feed, window);
        reader.reads(read).await
    }

    pub(crate) async fn read_event(
        &self,
        feed: FeedName,
        id: EventId,
    ) -> Result<Option<Event>, StoreError> {
        let reader = self.reader().await?;
        let read = log::event_by_id(&reader, &self.inner.feeds, &feed, id);
        reader.reads(read).await
    }

    #[cfg(all(feature = "client", feature = "server"))]
    pub(crate) async fn has_event(&self, feed: FeedName, id: EventId) -> Result<bool, StoreError> {
        let reader = self.reader().await?;
        let found = log::is_appended(&reader, &self.inner.feeds, &feed, id);
        reader.reads(found).await
    }

    pub(crate) async fn scan_log(
        &self,
        feed: FeedName,
        after: Position,
        filter: Filter,
        limit: u32,
    ) -> Result<Scan, StoreError> {
        let reader = self.reader().await?;
        let scan = scan::scan(&reader, &self.inner.feeds, &feed, after, &filter, limit);
        reader.reads(scan).await
    }

    pub(crate) async fn cursor_before(
        &self,
        feed: FeedName,
        time: DateTime<Utc>,
    ) -> Result<Cursor, StoreError> {
        let reader = self.reader().await?;
        let found = scan::cursor_before(&reader, &self.inner.feeds, &feed, time);
        reader.reads(found).await
    }

    pub(crate) async fn recorded_behind(
        &self,
        feed: FeedName,
        positions: Vec<Position>,
    ) -> Result<RecordedBehind, StoreError> {
        let reader = self.reader().await?;
        let found = scan::recorded_behind(&reader, &self.inner.feeds, &feed, &positions);
        reader.reads(found).await
    }

    /// The feed, by a reader that is given back at once: who held one while it waits for the next might be waited for by
    /// as many others as there are readers.
    async fn find_feed(&self, name: &FeedName) -> Result<Feed, StoreError> {
        let reader = self.reader().await?;
        reader.reads(self.inner.feeds.find(&reader, name)).await
    }

    pub(crate) async fn create_feed(&self, config: FeedConfig) -> Result<FeedState, StoreError> {
        let name = config.name.clone();
        // Looked for first: on a standby it can only be there.
        let feed = match self.find_feed(&name).await {
            Err(StoreError::UnknownFeed(_)) => {
                let mut writer = sessions::take(&self.inner.writers).await?;
                match feeds::insert(&mut writer, &config).await {
                    Err(StoreError::ReadOnly) => return Err(on_a_standby()),
                    inserted => inserted?,
                }
                self.inner.feeds.find(&writer, &name).await?
            }
            found => found?,
        };
        crate::feed::compare(&feed.identity, &config)?;
        Ok(self.read_log(name, Window::Nothing).await?.0)
    }

    pub(crate) async fn open_epoch(
        &self,
        feed: FeedName,
        reason: String,
    ) -> Result<FeedState, StoreError> {
        let found = self.find_feed(&feed).await?;
        let sequencer = self.sequencer().await?;
        // What has no position yet comes behind the fork: in the history that was lost, others may have got there.
        sequencer.0.open_epoch_now(found.number, &reason).await?;
        run_batches(&self.inner.shared, &sequencer.0).await?;
        self.inner.shared.announce();
        Ok(self.read_log(feed, Window::Nothing).await?.0)
    }

    /// Gives all events their positions that were committed until now.
    pub(crate) async fn sequenced(&self) -> Result<(), StoreError> {
        let sequencer = self.sequencer().await?;
        run_batches(&self.inner.shared, &sequencer.0)
            .await
            .map(drop)
    }

    /// A sequencer of one's own, with what drives its connection.
    async fn sequencer(
        &self,
    ) -> Result<(Sequencer, tokio_util::task::AbortOnDropHandle<()>), StoreError> {
        let shared = &self.inner.shared;
        let connected = sessions::connect(&shared.address, |_| {}).await?;
        let sequencer = Sequencer::new(connected.client, shared.channel.clone()).await?;
        let (is_standby, _) = sequencer.look().await?;
        if is_standby {
            return Err(on_a_standby());
        }
        Ok((sequencer, connected.driver))
    }

    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.inner.shared.commits.subscribe()
    }

    /// Finishes what was taken, gives it its positions, and closes the connections.
    pub(crate) async fn close(&self) {
        self.running.close();
        self.running.wait().await;
        let background = self
            .background
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if background.is_some()
            && let Err(error) = self.sequenced().await
        {
            // Whoever runs next does it.
            tracing::debug!(%error, "the last events were not sequenced");
        }
        self.inner.writers.close();
        self.inner.readers.close();
    }

    async fn reader(&self) -> Result<Lent, StoreError> {
        if self.running.is_closed() {
            return Err(StoreError::Closed);
        }
        Lent::from(&self.inner.readers).await
    }
}

impl Inner {
    async fn run<T, E, W>(&self, work: &W, access: Access) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        let pool = match access {
            Access::Read => &self.readers,
            Access::Write => &self.writers,
        };
        let object = sessions::take(pool).await?;
        let ran = work::run(work, &object, access, &self.feeds, &self.shared.clock).await;
        if ran.spoilt {
            // Dropped instead of going back: the server ends its transaction, and the next one may lead elsewhere.
            drop(Object::take(object));
        }
        if ran.announced {
            self.shared.committed.notify_one();
            self.shared.announce();
        }
        ran.result
    }
}
