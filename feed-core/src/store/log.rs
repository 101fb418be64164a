//! The log as readers see it: state of a feed and windows of its events, read in one transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::handle::{Store, on_store};
use crate::error::StoreError;
use crate::event::{Event, EventId, FeedName};
use crate::feed::FeedState;
use crate::filter::Filter;
use crate::page::PageNumber;
use crate::position::{Cursor, Position};

/// Which events to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// None: only the state of the feed.
    Nothing,
    /// Up to `limit` events after `after`, oldest first.
    After {
        /// The last position that is not wanted.
        after: Position,
        /// Most events.
        limit: u32,
    },
    /// The event at `at`, if there is one, and those behind it up to the end of the page that the next one is on,
    /// oldest first.
    PageFrom {
        /// Where a reader stands.
        at: Position,
    },
    /// The events of one page, oldest first.
    Page(PageNumber),
    /// The newest events, as many as a page holds, oldest first.
    NewestPage,
    /// The newest `limit` events, oldest first.
    Newest {
        /// Most events.
        limit: u32,
    },
}

/// What is made of a page's events while they are read, without keeping them: its bytes.
#[cfg(feature = "server")]
pub(crate) trait Fold: Send + 'static {
    /// Whether the events are wanted at all, now that the feed's state is known.
    fn wants(&mut self, state: &FeedState) -> bool;

    /// Takes the next event.
    fn put(&mut self, event: &crate::event::EventView<'_>);
}

/// What a search for wanted events found.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// The feed at that moment.
    pub state: FeedState,
    /// The cursor of the event at which the search began; none when the feed has none there.
    pub from: Option<Cursor>,
    /// The events that are wanted, oldest first.
    pub events: Vec<Event>,
    /// The cursor of the last event that was looked at; as `from` when there was none to look at.
    pub upto: Option<Cursor>,
}

/// When the first events behind some positions were recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedBehind {
    /// The feed at that moment.
    pub state: FeedState,
    /// In the order of the positions; none where no event is behind it.
    pub times: Vec<Option<DateTime<Utc>>>,
}

/// Figures of one feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStats {
    /// The feed at that moment: head, epochs, page capacity.
    pub state: FeedState,
    /// Events in it.
    pub events: u64,
    /// Pages that are full.
    pub sealed_pages: u64,
}

/// One feed's log, for reading. Cheap to clone. Reading never blocks the writer.
#[derive(Clone)]
pub struct Log {
    pub(super) store: Store,
    pub(super) feed: FeedName,
}

impl Log {
    /// The feed's name.
    pub fn feed(&self) -> &FeedName {
        &self.feed
    }

    /// Changes when an append was committed; see [`Store::commits`].
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.store.commits()
    }

    /// The feed's state and the events of `window`, as of one moment.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails.
    pub async fn read(&self, window: Window) -> Result<(FeedState, Vec<Event>), StoreError> {
        on_store!(&self.store.backend, store => store.read_log(self.feed.clone(), window).await)
    }

    /// As [`read`](Self::read), for what was appended a moment ago: little, and at hand.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails.
    #[cfg(feature = "server")]
    pub(crate) async fn news(&self, window: Window) -> Result<(FeedState, Vec<Event>), StoreError> {
        match &self.store.backend {
            #[cfg(feature = "postgres")]
            super::handle::Backend::Postgres(store) => {
                store.read_log(self.feed.clone(), window).await
            }
            #[cfg(feature = "sqlite")]
            super::handle::Backend::Sqlite(store) => {
                store.read_news(self.feed.clone(), window).await
            }
        }
    }

    /// The feed's state, and what `fold` has made of the events of `page`, as of one moment.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails.
    #[cfg(feature = "server")]
    pub(crate) async fn fold<F: Fold>(
        &self,
        page: PageNumber,
        fold: F,
    ) -> Result<(FeedState, F), StoreError> {
        on_store!(&self.store.backend, store => store.fold_log(self.feed.clone(), page, fold).await)
    }

    /// The feed's state.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails.
    pub async fn state(&self) -> Result<FeedState, StoreError> {
        Ok(self.read(Window::Nothing).await?.0)
    }

    /// The event with this id, if this feed has it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        on_store!(&self.store.backend, store => store.read_event(self.feed.clone(), id).await)
    }

    /// Whether the event `id` was appended to this feed; a store may give it its position later.
    ///
    /// # Errors
    /// When the database fails.
    #[cfg(all(feature = "client", feature = "server"))]
    pub(crate) async fn has(&self, id: EventId) -> Result<bool, StoreError> {
        match &self.store.backend {
            #[cfg(feature = "postgres")]
            super::handle::Backend::Postgres(store) => store.has_event(self.feed.clone(), id).await,
            #[cfg(feature = "sqlite")]
            super::handle::Backend::Sqlite(_) => Ok(self.event(id).await?.is_some()),
        }
    }

    /// Up to `limit` events that `filter` wants among the [`SCAN_EVENTS_MAX`] behind `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails.
    ///
    /// [`SCAN_EVENTS_MAX`]: crate::limits::SCAN_EVENTS_MAX
    pub async fn scan(
        &self,
        after: Position,
        filter: &Filter,
        limit: u32,
    ) -> Result<Scan, StoreError> {
        on_store!(&self.store.backend, store => store.scan_log(self.feed.clone(), after, filter.clone(), limit).await)
    }

    /// The cursor behind the last event that was recorded before `time`; the one before the oldest event if there
    /// is none.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails.
    pub async fn cursor_before(&self, time: DateTime<Utc>) -> Result<Cursor, StoreError> {
        on_store!(&self.store.backend, store => store.cursor_before(self.feed.clone(), time).await)
    }

    /// When the first event behind each of these positions was recorded.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails.
    pub async fn recorded_behind(
        &self,
        positions: Vec<Position>,
    ) -> Result<RecordedBehind, StoreError> {
        on_store!(&self.store.backend, store => store.recorded_behind(self.feed.clone(), positions).await)
    }

    /// Figures of the feed.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails.
    pub async fn stats(&self) -> Result<LogStats, StoreError> {
        let state = self.state().await?;
        let head = state.head.position;
        Ok(LogStats {
            events: head.get(),
            sealed_pages: state
                .identity
                .capacity
                .newest_sealed(head)
                .map_or(0, |page| page.get()),
            state,
        })
    }

    /// The cursor of the event `id`, waiting up to `wait` for it to get its position.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cursor_of(
        &self,
        id: EventId,
        wait: Duration,
    ) -> Result<Option<Cursor>, StoreError> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut commits = self.store.commits();
        loop {
            // Interest is registered before looking, so that a commit in between is not missed.
            commits.mark_unchanged();
            if let Some(event) = self.event(id).await? {
                return Ok(Some(event.cursor()));
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(None);
            }
            // Another process may have appended it: looking again is the truth, the signal only quicker.
            let look_again = Duration::from_millis(crate::limits::WATCH_INTERVAL_MS);
            let _ = tokio::time::timeout(look_again, commits.changed()).await;
        }
    }
}
