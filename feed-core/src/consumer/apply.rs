//! Applying a batch: handlers, follow-up events and cursor in one transaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::handler::{Answers, Handlers, RunError};
use super::handler_error::HandlerError;
use super::lease::Lease;
use super::ordering::OrderingKey;
use super::partition::Part;
use super::rebuild::Rebuild;
use super::state::EventState;
use super::storage::{self, Advance, events::Kept};
use crate::error::StoreError;
use crate::event::Event;
use crate::faults::{Bug, Point, at, planted};
use crate::limits::BATCH_MS_MAX;
use crate::position::Cursor;
use crate::store::{Store, Tx};

/// How a subscription applies events.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) handlers: Handlers,
    pub(super) ordering: OrderingKey,
    /// Whether ids are remembered, since the feed does not promise that one comes once.
    pub(super) inbox: bool,
    /// What this subscription rebuilds.
    pub(super) rebuild: Option<Rebuild>,
}

/// Where the cursor stands when so many events of a batch are applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) cursor: Cursor,
    pub(super) recorded: DateTime<Utc>,
    /// How many of the events that were fetched lie up to there, those of other partitions too.
    pub(super) fetched: usize,
}

/// Events that follow on from `from`, to be applied by one transaction.
#[derive(Clone)]
pub(super) struct Batch {
    pub(super) part: Part,
    pub(super) lease: Lease,
    pub(super) lease_for: Duration,
    pub(super) from: Option<Cursor>,
    pub(super) head: Option<Cursor>,
    /// Those that are applied here; in between there may be some of other partitions, which are only passed.
    pub(super) events: Arc<Vec<Event>>,
    /// How far the cursor gets by the first 0, 1, 2 … of them: up to the next one that is applied here.
    pub(super) ends: Arc<Vec<Option<End>>>,
    pub(super) rules: Arc<Rules>,
    /// Keys of which an event is parked.
    pub(super) blocked: Arc<HashSet<String>>,
    /// Whether an event is retried, of which then nothing more is kept.
    pub(super) retried: bool,
    /// What the calls of the first event's handlers were answered.
    pub(super) answers: Option<Arc<Answers>>,
    /// Runs of several events are handled at once.
    pub(super) at_once: bool,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applied {
    /// The events of this partition that were passed: the first ones of the batch.
    pub(super) events: usize,
    /// All events that were passed of those that were fetched.
    pub(super) fetched: usize,
    /// Those of them that no handler is for.
    pub(super) unhandled: usize,
    /// Those of them that came a second time.
    pub(super) duplicates: usize,
    /// Those of them that wait behind a parked one.
    pub(super) waiting: usize,
    /// Where the subscription stands now; where it stood when it was a rebuild that has nothing to follow yet.
    pub(super) cursor: Option<Cursor>,
    /// The rebuild is over.
    pub(super) switched: bool,
}

/// Why a batch was rolled back.
pub(super) enum BatchError {
    /// The handler failed on the `count` events from `index` on; those before are good.
    Handler {
        index: usize,
        count: usize,
        source: HandlerError,
    },
    /// The rebuild's switch failed, and no event is at fault.
    Switch(HandlerError),
    /// The subscription is not held any more, or another instance has moved the cursor.
    Superseded,
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> Self {
        BatchError::Store(error)
    }
}

/// How far a transaction has come.
#[derive(Default)]
struct Progress {
    events: usize,
    unhandled: usize,
    duplicates: usize,
    waiting: usize,
}

impl Batch {
    /// Applies the first events of the batch, as many as fit into [`BATCH_MS_MAX`], at least one and at most `limit`.
    pub(super) async fn apply(self, store: &Store, limit: usize) -> Result<Applied, BatchError> {
        #[cfg(feature = "faults")]
        if let Some(torn) = self.apply_torn(store, limit).await {
            return torn;
        }
        store
            .write(async move |tx: &mut Tx<'_>| self.apply_in(tx, limit).await)
            .await
    }

    /// Whether events of other partitions come before the first one.
    pub(super) fn passes_others(&self) -> bool {
        self.ends.first().is_some_and(Option::is_some)
    }

    async fn apply_in(&self, tx: &mut Tx<'_>, limit: usize) -> Result<Applied, BatchError> {
        at(Point::BatchBegins);
        // Looked at first, so that the handlers do not work for nothing; `advance` below is what decides.
        let held = storage::held_cursor(tx, &self.part, &self.lease).await?;
        let believed =
            planted(Bug::NoFence) || (planted(Bug::StaleCursorOnTakeOver) && held.is_some());
        if held != Some(self.from) && !believed {
            return Err(BatchError::Superseded);
        }
        let limit = match &self.rules.rebuild {
            Some(rebuild) => limit.min(rebuild.limit(tx, &self.events).await?),
            None => limit,
        };
        if limit == 0 && self.rules.rebuild.is_some() {
            return self.pass_nothing(tx).await;
        }
        let progress = self.apply_events(tx, limit).await?;
        self.move_on(tx, &progress).await
    }

    /// A rebuild has nothing to follow yet; but it may take the live one's place, which had parked events before.
    async fn pass_nothing(&self, tx: &mut Tx<'_>) -> Result<Applied, BatchError> {
        if !storage::renew(tx, &self.part, &self.lease, self.lease_for).await? {
            return Err(BatchError::Superseded);
        }
        let Some(cursor) = self.from else {
            return Ok(self.nothing());
        };
        Ok(Applied {
            switched: self.end_rebuild(tx, cursor).await?,
            ..self.nothing()
        })
    }

    /// What became of a batch of which nothing was passed.
    fn nothing(&self) -> Applied {
        Applied {
            events: 0,
            fetched: 0,
            unhandled: 0,
            duplicates: 0,
            waiting: 0,
            cursor: self.from,
            switched: false,
        }
    }

    async fn apply_events(&self, tx: &mut Tx<'_>, limit: usize) -> Result<Progress, BatchError> {
        let began = Instant::now();
        let events = &self.events[..self.events.len().min(limit)];
        let mut progress = Progress::default();
        while progress.events < events.len() {
            progress.events += self.apply_run(tx, events, &mut progress).await?;
            if began.elapsed() >= Duration::from_millis(BATCH_MS_MAX) {
                break;
            }
        }
        Ok(progress)
    }

    /// Applies what comes next: one event, or several of one type that are handled at once. Returns how many.
    async fn apply_run(
        &self,
        tx: &mut Tx<'_>,
        events: &[Event],
        progress: &mut Progress,
    ) -> Result<usize, BatchError> {
        let index = progress.events;
        let Some(event) = events.get(index) else {
            return Ok(0);
        };
        // Also what waits is noted: it may be gone from there when its id comes again.
        if !self.is_new(tx, event).await? {
            progress.duplicates += 1;
            return Ok(1);
        }
        if let Some(key) = self.blocked_key(event)
            && !planted(Bug::WaitingNotHeld)
        {
            storage::events::keep(tx, &self.part.name, &waiting(event, &key)).await?;
            progress.waiting += 1;
            return Ok(1);
        }
        let run = self.run(tx, &events[index..]).await?;
        let handlers = &self.rules.handlers;
        let answers = self.answers.as_deref().filter(|_| index == 0);
        let applied = handlers.apply(tx, &self.part.name, run, answers).await;
        let failed = |RunError { index: at, source }| BatchError::Handler {
            index: index + at.unwrap_or(0),
            count: at.map_or(run.len(), |_| 1),
            source,
        };
        progress.unhandled += applied.map_err(failed)?;
        #[cfg(feature = "faults")]
        crate::faults::note_applied(
            tx,
            &self.part.name,
            self.lease.fence,
            &self.lease.holder,
            run,
        )
        .await?;
        at(Point::Handled);
        Ok(run.len())
    }

    /// The first event, and those behind it that are handled with it.
    async fn run<'e>(
        &self,
        tx: &mut Tx<'_>,
        events: &'e [Event],
    ) -> Result<&'e [Event], BatchError> {
        let Some(first) = events
            .first()
            .filter(|first| self.at_once && self.rules.handlers.batches(first))
        else {
            return Ok(&events[..1.min(events.len())]);
        };
        let mut length = 1;
        for event in &events[1..] {
            let blocked = self.blocked_key(event).is_some();
            if event.event_type != first.event_type || blocked || !self.is_new(tx, event).await? {
                break;
            }
            length += 1;
        }
        Ok(&events[..length])
    }

    /// The event's ordering key, if one is parked that has the same; mostly none is, and then no key is computed.
    fn blocked_key(&self, event: &Event) -> Option<String> {
        if self.blocked.is_empty() {
            return None;
        }
        let key = self.rules.ordering.of(event);
        self.blocked.contains(&key).then_some(key)
    }

    async fn is_new(&self, tx: &mut Tx<'_>, event: &Event) -> Result<bool, StoreError> {
        Ok(!self.rules.inbox || storage::inbox::is_new(tx, &self.part.name, event).await?)
    }

    async fn move_on(&self, tx: &mut Tx<'_>, progress: &Progress) -> Result<Applied, BatchError> {
        let Some(end) = self.ends.get(progress.events).copied().flatten() else {
            return Err(StoreError::Statement("a batch without events was applied".into()).into());
        };
        // As long as events of other partitions are passed, the one that is retried comes next.
        if self.retried && progress.events > 0 {
            storage::events::end_retrying(tx, &self.part).await?;
        }
        if self.rules.inbox {
            self.trim_inbox(tx, end.cursor).await?;
        }
        let advance = Advance {
            from: self.from,
            to: end.cursor,
            recorded: Some(end.recorded),
            head: self.head,
            events: progress.events,
            unhandled: progress.unhandled,
            duplicates: progress.duplicates,
        };
        if !storage::advance(tx, &self.part, &self.lease, self.lease_for, &advance).await? {
            return Err(BatchError::Superseded);
        }
        at(Point::CursorMoved);
        let switched = self.end_rebuild(tx, end.cursor).await?;
        Ok(Applied {
            events: progress.events,
            fetched: end.fetched,
            unhandled: progress.unhandled,
            duplicates: progress.duplicates,
            waiting: progress.waiting,
            cursor: Some(end.cursor),
            switched,
        })
    }

    /// The inbox is one for all partitions: what the one needs that is least far is kept.
    async fn trim_inbox(&self, tx: &mut Tx<'_>, cursor: Cursor) -> Result<(), StoreError> {
        let mut position = cursor.position.get();
        if self.part.of > 1 {
            for row in storage::find_all(tx, &self.part.name).await? {
                let stands = row.subscription.cursor;
                let is_other = row.number != self.part.number;
                if is_other {
                    position = position.min(stands.map_or(0, |stands| stands.position.get()));
                }
            }
        }
        storage::inbox::trim(tx, &self.part.name, position).await
    }

    /// Half of a torn batch: the effects without the cursor.
    #[cfg(feature = "faults")]
    pub(super) async fn apply_all(&self, tx: &mut Tx<'_>, limit: usize) -> Result<(), BatchError> {
        let mut progress = Progress::default();
        let events = &self.events[..self.events.len().min(limit)];
        while progress.events < events.len() {
            progress.events += self.apply_run(tx, events, &mut progress).await?;
        }
        Ok(())
    }

    /// The other half: the cursor without the effects.
    #[cfg(feature = "faults")]
    pub(super) async fn pass_all(
        &self,
        tx: &mut Tx<'_>,
        limit: usize,
    ) -> Result<Applied, BatchError> {
        let events = self.events.len().min(limit);
        self.move_on(
            tx,
            &Progress {
                events,
                ..Progress::default()
            },
        )
        .await
    }

    /// Parks the first event of the batch: it is kept with its error, and the cursor passes it, in one transaction.
    pub(super) async fn park(
        self,
        store: &Store,
        error: String,
        attempts: u32,
    ) -> Result<Applied, BatchError> {
        store
            .write(async move |tx: &mut Tx<'_>| self.park_in(tx, &error, attempts).await)
            .await
    }

    async fn park_in(
        &self,
        tx: &mut Tx<'_>,
        error: &str,
        attempts: u32,
    ) -> Result<Applied, BatchError> {
        let held = storage::held_cursor(tx, &self.part, &self.lease).await?;
        if held != Some(self.from) {
            return Err(BatchError::Superseded);
        }
        let Some(event) = self.events.first() else {
            return Err(StoreError::Statement("nothing was parked".into()).into());
        };
        let kept = Kept {
            event,
            ordering_key: &self.rules.ordering.of(event),
            state: EventState::Parked,
            error: Some(error),
            attempts,
            next_try: None,
        };
        if !planted(Bug::CursorWithoutPark) {
            storage::events::keep(tx, &self.part.name, &kept).await?;
        }
        self.is_new(tx, event).await?;
        at(Point::Parked);
        let progress = Progress {
            events: 1,
            ..Progress::default()
        };
        if planted(Bug::ParkWithoutCursor) {
            return Ok(self.nothing());
        }
        self.move_on(tx, &progress).await
    }
}

fn waiting<'a>(event: &'a Event, key: &'a str) -> Kept<'a> {
    Kept {
        event,
        ordering_key: key,
        state: EventState::Waiting,
        error: None,
        attempts: 0,
        next_try: None,
    }
}
