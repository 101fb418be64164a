//! One step of the consumer: fetch what comes next, or apply what was fetched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::apply::{Applied, Batch, BatchError};
use super::error::{ConsumerError, EventName, Halt, cursor_text};
use super::handler::Handlers;
use super::subscription;
use crate::client::{
    ClientError, ClientOptions, FeedClient, FetchOptions, Fetched, Page, Seen, VerifyError, verify,
};
use crate::error::StoreError;
use crate::event::{Event, SubscriptionName};
use crate::limits::{BATCH_EVENTS_MAX, POLL_INTERVAL_MS_DEFAULT};
use crate::position::{After, Cursor};
use crate::store::{Store, Tx};

/// Where a subscription begins that has no cursor yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartAt {
    /// Before the first event.
    #[default]
    Start,
    /// Behind the newest event at the time of the first step; what it is, is saved before anything is read.
    Now,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// Events were applied and the cursor saved.
    Applied {
        /// How many.
        events: usize,
        /// Where the subscription stands now.
        cursor: Cursor,
    },
    /// Events were fetched, or the feed goes on elsewhere: the next step goes on at once.
    Fetched,
    /// There is nothing new.
    CaughtUp,
    /// Another instance of this subscription has moved on; this one goes on from there.
    Superseded,
}

/// Follows one feed for one subscription.
///
/// ```no_run
/// # async fn f(store: feed_core::Store) -> Result<(), Box<dyn std::error::Error>> {
/// use feed_core::{Consumer, Event, Handlers, Tx};
/// let handlers = Handlers::new().on("SpeedReserved", async |tx: &mut Tx<'_>, event: &Event| {
///     tx.execute("UPDATE orders SET status = 'CONFIRMED' WHERE subject = $1", &[event.subject.as_str().into()]).await?;
///     Ok(())
/// });
/// let consumer = Consumer::new(&store, "orders/customers", "http://127.0.0.1:8082/feeds/customers")?.handlers(handlers);
/// consumer.run(feed_core::shutdown_signal()).await?;
/// # Ok(()) }
/// ```
pub struct Consumer {
    pub(super) name: SubscriptionName,
    pub(super) store: Store,
    pub(super) poll_interval: Duration,
    pub(super) feed_url: String,
    options: ClientOptions,
    handlers: Arc<Handlers>,
    start_at: StartAt,
    /// Made at the first step.
    client: Option<FeedClient>,
    /// The saved cursor, once it has been read.
    place: Option<Option<Cursor>>,
    /// Where to read next; none after a start or an error: then it follows from the cursor.
    next: Option<Url>,
    /// The ETag of the last document at `next`.
    etag: Option<String>,
    /// Whether the last document had nothing behind it.
    caught_up: bool,
    /// Verified events that wait to be applied.
    fetched: VecDeque<Event>,
    /// Whether the database says why it halts.
    halted: bool,
    /// The last document did not follow on, so the next one is asked for past all caches.
    doubtful: bool,
}

impl Consumer {
    /// A consumer of the feed at `feed_url` that keeps its cursor in `store` under the name `subscription`.
    ///
    /// # Errors
    /// When the name or the URL cannot be used.
    pub fn new(store: &Store, subscription: &str, feed_url: &str) -> Result<Self, ConsumerError> {
        let name = SubscriptionName::new(subscription)?;
        FeedClient::new(feed_url, ClientOptions::default())?;
        Ok(Consumer {
            name,
            store: store.clone(),
            poll_interval: Duration::from_millis(POLL_INTERVAL_MS_DEFAULT),
            feed_url: feed_url.to_owned(),
            options: ClientOptions::default(),
            handlers: Arc::default(),
            start_at: StartAt::default(),
            client: None,
            place: None,
            next: None,
            etag: None,
            caught_up: false,
            fetched: VecDeque::new(),
            halted: false,
            doubtful: false,
        })
    }

    /// With these handlers. Without any, all events are passed over.
    #[must_use]
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = Arc::new(handlers);
        self
    }

    /// With this bearer token, sent to the feed's own origin only.
    #[must_use]
    pub fn bearer_token(mut self, token: Option<String>) -> Self {
        self.options.bearer_token = token;
        self
    }

    /// With these options of the client.
    #[must_use]
    pub fn client_options(mut self, options: ClientOptions) -> Self {
        self.options = options;
        self
    }

    /// With this time between two polls when there is nothing new.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Beginning there, if the subscription has no cursor yet.
    #[must_use]
    pub fn start_at(mut self, start_at: StartAt) -> Self {
        self.start_at = start_at;
        self
    }

    /// Does one thing: fetches what comes next, or applies a batch of what was fetched.
    ///
    /// # Errors
    /// See [`ConsumerError`]; transient ones are worth another step. After [`ConsumerError::Halted`] the reason stands
    /// in the database; whoever steps on begins anew from the saved cursor, and halts again if nothing has changed.
    pub async fn step(&mut self) -> Result<StepOutcome, ConsumerError> {
        let stepped = match self.place {
            None => self.load().await.map(|()| StepOutcome::Fetched),
            Some(cursor) if self.fetched.is_empty() => self.fetch(cursor).await,
            Some(cursor) => self.apply(cursor).await,
        };
        match stepped {
            Err(ConsumerError::Halted(halt)) => {
                self.forget();
                self.note(&halt).await?;
                Err(halt.into())
            }
            stepped => stepped,
        }
    }

    /// Reads the saved cursor. With `StartAt::Now` and none saved, asks the feed for its head and saves that first.
    async fn load(&mut self) -> Result<(), ConsumerError> {
        let client = FeedClient::new(&self.feed_url, self.options.clone())?;
        let (name, url) = (self.name.clone(), self.feed_url.clone());
        let saved = self
            .store
            .write(async move |tx: &mut Tx<'_>| subscription::load(tx, &name, &url).await)
            .await?;
        self.halted = saved.halted;
        self.place = match (saved.cursor, self.start_at) {
            (None, StartAt::Now) => self.save_head(&client).await?.map(Some),
            (cursor, _) => Some(cursor),
        };
        self.client = Some(client);
        Ok(())
    }

    /// The head, saved as the cursor; none when another instance was quicker and its cursor is to be read.
    async fn save_head(&self, client: &FeedClient) -> Result<Option<Cursor>, ConsumerError> {
        let url = client.tail(&After::Now);
        let options = FetchOptions {
            past_caches: true,
            ..FetchOptions::default()
        };
        let fetched = client.fetch(&url, options).await?;
        let head = match fetched {
            Fetched::Page(page) => page.document.head,
            Fetched::NotModified => None,
        };
        let head = head.ok_or(ClientError::Connection {
            url: url.to_string(),
            reason: "it did not say its head".into(),
        })?;
        let name = self.name.clone();
        let saved: Result<bool, StoreError> = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                subscription::advance(tx, &name, None, head, 0).await
            })
            .await;
        Ok(saved?.then_some(head))
    }

    async fn fetch(&mut self, cursor: Option<Cursor>) -> Result<StepOutcome, ConsumerError> {
        let Some(client) = self.client.clone() else {
            self.forget();
            return Ok(StepOutcome::Superseded);
        };
        let url = self
            .next
            .clone()
            .unwrap_or_else(|| client.tail(&cursor.map_or(After::Start, After::Cursor)));
        let options = FetchOptions {
            etag: self.etag.as_deref(),
            past_caches: self.doubtful,
            ..FetchOptions::default()
        };
        match client.fetch(&url, options).await {
            Ok(Fetched::NotModified) => self.goes_on(StepOutcome::CaughtUp).await,
            Ok(Fetched::Page(page)) => {
                let outcome = self.take(cursor, &url, *page)?;
                self.goes_on(outcome).await
            }
            Err(error) => {
                // What led here may be wrong by now; the cursor is not.
                self.next = None;
                self.etag = None;
                Err(match error {
                    ClientError::Refused { refusal, .. } => Halt::CursorRefused {
                        cursor: cursor_text(cursor),
                        reason: refusal.to_string(),
                    }
                    .into(),
                    error => error.into(),
                })
            }
        }
    }

    /// The feed takes the cursor: if the subscription halted before, the reason is gone.
    async fn goes_on(&mut self, outcome: StepOutcome) -> Result<StepOutcome, ConsumerError> {
        if self.halted && self.fetched.is_empty() {
            let name = self.name.clone();
            self.store
                .write(async move |tx: &mut Tx<'_>| subscription::resume(tx, &name).await)
                .await?;
            self.halted = false;
        }
        Ok(outcome)
    }

    /// Takes the events of a document, if they follow on from the cursor.
    fn take(
        &mut self,
        cursor: Option<Cursor>,
        asked: &Url,
        page: Page,
    ) -> Result<StepOutcome, ConsumerError> {
        let seen = cursor.map_or(Seen::Nothing, Seen::Cursor);
        let events = match verify(seen, page.document.events) {
            Ok(events) => events,
            Err(reason) => return Err(self.unverified(cursor, &page.url, reason)),
        };
        self.doubtful = false;
        self.caught_up = page.document.caught_up == Some(true);
        // A tag is for the URL that it came from: it is kept only while the next request goes there again.
        let again = page
            .next
            .as_ref()
            .map_or(events.is_empty(), |next| next == asked);
        self.etag = page.etag.filter(|_| again);
        // Without a link, as in a sealed page that came without its headers, the way on follows from the cursor.
        self.next = page.next;
        self.fetched = events.into();
        // A document without news is waited after, whatever it promises: else empty ones in a circle are a hot loop.
        Ok(if self.fetched.is_empty() {
            StepOutcome::CaughtUp
        } else {
            StepOutcome::Fetched
        })
    }

    fn unverified(
        &mut self,
        cursor: Option<Cursor>,
        url: &Url,
        reason: VerifyError,
    ) -> ConsumerError {
        self.next = None;
        self.etag = None;
        if std::mem::replace(&mut self.doubtful, true) {
            return Halt::Diverged {
                cursor: cursor_text(cursor),
                reason,
            }
            .into();
        }
        ConsumerError::Unverified {
            url: url.to_string(),
            source: reason,
        }
    }

    async fn apply(&mut self, cursor: Option<Cursor>) -> Result<StepOutcome, ConsumerError> {
        let events: Arc<[Event]> = self
            .fetched
            .iter()
            .take(BATCH_EVENTS_MAX)
            .cloned()
            .collect();
        let batch = Batch {
            subscription: self.name.clone(),
            from: cursor,
            events: events.clone(),
            handlers: self.handlers.clone(),
        };
        let mut applied = batch.clone().apply(&self.store, events.len()).await;
        if let Err(BatchError::Handler { index, .. }) = applied
            && index > 0
        {
            // The events before the one that failed are good; it is met again as the first of the next batch.
            applied = batch.apply(&self.store, index).await;
        }
        match applied {
            Ok(Applied {
                events,
                unhandled,
                cursor,
            }) => {
                self.fetched.drain(..events);
                self.halted = false;
                self.place = Some(Some(cursor));
                tracing::debug!(subscription = %self.name, events, unhandled, %cursor, "applied");
                Ok(StepOutcome::Applied { events, cursor })
            }
            Err(BatchError::Superseded) => {
                self.forget();
                Ok(StepOutcome::Superseded)
            }
            Err(BatchError::Store(error)) => Err(error.into()),
            Err(BatchError::Handler { index, source }) => {
                let event = events.get(index).or(events.first()).map(EventName::of);
                let Some(event) = event else {
                    return Err(StoreError::Panicked(source.to_string()).into());
                };
                if source.is_transient() {
                    return Err(ConsumerError::Handler { event, source });
                }
                Err(Halt::Poisoned {
                    event,
                    reason: source.to_string(),
                }
                .into())
            }
        }
    }

    /// Whether everything that is known of was applied.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up && self.fetched.is_empty()
    }

    /// Forgets all that is not in the database: the next step reads the cursor again.
    fn forget(&mut self) {
        self.place = None;
        self.next = None;
        self.etag = None;
        self.caught_up = false;
        self.fetched.clear();
    }

    /// Writes down why the subscription halts, for operators.
    pub(super) async fn note(&self, halt: &Halt) -> Result<(), StoreError> {
        let (name, reason) = (self.name.clone(), halt.to_string());
        self.store
            .write(async move |tx: &mut Tx<'_>| subscription::halt(tx, &name, &reason).await)
            .await
    }
}
