//! The side that consumes: a store, a handler that writes rows and appends follow-ups, and what must hold of them.

use std::time::Duration;

use feed_core::client::ClientOptions;
use feed_core::{
    Consumer, ConsumerError, Event, EventId, Expected, FeedConfig, Format, HandlerError, Handlers,
    Migrations, NewEvent, StepOutcome, Store, Subject, Subscription, Tx, Window,
};

use feedway_tests::fresh_store::FreshStore;

use super::scripted::{LIT, ScriptedFeed};

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "lamp",
    // No unique column: what is applied twice is to be seen twice.
    sqlite: &[(
        "V1__applied",
        "CREATE TABLE applied (row INTEGER PRIMARY KEY, position INTEGER NOT NULL, event_id BLOB NOT NULL) STRICT",
    )],
    postgres: &[(
        "V1__applied",
        "CREATE TABLE applied (row BIGINT GENERATED ALWAYS AS IDENTITY, position BIGINT NOT NULL, event_id BYTEA NOT NULL)",
    )],
};

/// Name of the subscription.
pub(crate) const SUBSCRIPTION: &str = "answers/lamps";

/// Name of the feed that the follow-ups are appended to.
pub(crate) const ANSWERS: &str = "answers";

/// How long is waited for what has to happen.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Steps that no scenario needs.
const STEPS_MAX: usize = 500;

/// A consumer's database.
pub(crate) struct Reader {
    pub(crate) store: FreshStore,
}

impl Reader {
    pub(crate) async fn new() -> Self {
        let store = super::fresh(MIGRATIONS).await;
        create_answers(&store).await;
        Reader { store }
    }

    /// A consumer with the usual handler, as a process that starts now has it.
    pub(crate) fn consumer(&self, feed_url: &str) -> Consumer {
        self.consumer_with(feed_url, Handlers::new().on(LIT, note))
    }

    pub(crate) fn consumer_with(&self, feed_url: &str, handlers: Handlers) -> Consumer {
        consumer(&self.store, feed_url).handlers(handlers)
    }

    /// With the cursor at `position`, reached by applying the events up to there.
    pub(crate) async fn at(feed: &ScriptedFeed, position: u64) -> Self {
        let reader = Reader::new().await;
        let server = super::scripted::ScriptedServer::start().await;
        let upto = feed.tail_of(Format::Json, feed.events(1..=position), position);
        server.on(&format!("{}?after=start", super::scripted::FEED), [upto]);
        server.on(
            &feed.after(position),
            [feed.nothing_after(Format::Json, position)],
        );
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(feed, position).await;
        reader
    }

    pub(crate) async fn subscription(&self) -> Option<Subscription> {
        self.store.subscriptions().await.unwrap().into_iter().next()
    }

    /// Waits until the subscription's row is as wanted.
    ///
    /// # Panics
    /// When it is not, after a while.
    pub(crate) async fn wait_until(&self, wanted: impl Fn(&Subscription) -> bool) -> Subscription {
        let waited = tokio::time::timeout(WAIT_MAX, async {
            loop {
                match self.subscription().await {
                    Some(row) if wanted(&row) => return row,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        match waited.await {
            Ok(row) => row,
            Err(_) => panic!("it is still {:?}", self.subscription().await),
        }
    }

    /// Why the subscription halts.
    pub(crate) async fn halted(&self) -> Option<String> {
        let row = self.subscription().await?;
        row.halted().map(str::to_owned)
    }

    /// Exactly the first `count` events of `feed` were applied: each once and in order, each with its follow-up,
    /// whose id derives from it; and the cursor stands behind the last one.
    #[track_caller]
    pub(crate) fn assert_applied<'a>(
        &'a self,
        feed: &'a ScriptedFeed,
        count: u64,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        let events: Vec<Event> = (1..=count).map(|position| feed.event(position)).collect();
        async move { assert_applied(&self.store, &events, caller).await }
    }

    /// The ids of the follow-ups, in the order of their feed.
    pub(crate) async fn follow_ups(&self) -> Vec<EventId> {
        answers(&self.store)
            .await
            .iter()
            .map(|event| event.id)
            .collect()
    }

    /// How many times each position was applied, in order of application.
    pub(crate) async fn applied_positions(&self) -> Vec<i64> {
        let rows = self
            .store
            .query::<(i64,)>("SELECT position FROM applied ORDER BY row", &[])
            .await;
        rows.unwrap()
            .into_iter()
            .map(|(position,)| position)
            .collect()
    }
}

pub(crate) async fn create_answers(store: &Store) {
    let config = FeedConfig::new(ANSWERS, "answer-svc").unwrap();
    store.create_feed(config).await.unwrap();
}

/// A consumer without handlers. Its lease is over at once: one that begins later takes the subscription over, as if it had
/// waited for that.
pub(crate) fn consumer(store: &Store, feed_url: &str) -> Consumer {
    Consumer::new(store, SUBSCRIPTION, feed_url)
        .unwrap()
        .client_options(ClientOptions {
            timeout: Duration::from_secs(60),
            ..ClientOptions::default()
        })
        .lease(Duration::ZERO)
}

/// The usual handler: one row and one follow-up for each event.
pub(crate) async fn note(tx: &mut Tx<'_>, event: &Event) -> Result<(), HandlerError> {
    let position = event.position.get();
    tx.execute(
        "INSERT INTO applied (position, event_id) VALUES ($1, $2)",
        &[(position as i64).into(), (&event.id).into()],
    )
    .await?;
    let subject = Subject::new(format!("answer-{}", event.subject))?;
    let follow_up = NewEvent::json("Noted", &serde_json::json!({ "position": position }))?;
    tx.append(ANSWERS, &subject, Expected::Any, &[follow_up])
        .await?;
    Ok(())
}

/// The follow-ups in the order of their feed.
async fn answers(store: &Store) -> Vec<Event> {
    store.sequenced().await.unwrap();
    let log = store.log(ANSWERS).unwrap();
    log.read(Window::Newest { limit: 100_000 }).await.unwrap().1
}

/// See [`Reader::assert_applied`].
pub(crate) async fn assert_applied(
    store: &Store,
    events: &[Event],
    caller: &std::panic::Location<'_>,
) {
    let applied: Vec<(i64, EventId)> = store
        .query("SELECT position, event_id FROM applied ORDER BY row", &[])
        .await
        .unwrap();
    let expected: Vec<(i64, EventId)> = events
        .iter()
        .map(|event| (event.position.get() as i64, event.id))
        .collect();
    assert_eq!(applied, expected, "effects, seen from {caller}");
    let found: Vec<_> = answers(store)
        .await
        .into_iter()
        .map(|answer| (answer.id, answer.causationid, answer.correlationid))
        .collect();
    let derived: Vec<_> = events
        .iter()
        .map(|event| {
            let id = EventId::follow_up(SUBSCRIPTION, event.id, 0);
            (id, Some(event.id), Some(event.id.to_string()))
        })
        .collect();
    assert_eq!(found, derived, "follow-ups, seen from {caller}");
    let row = store.subscriptions().await.unwrap().into_iter().next();
    let (cursor, count) = row.map_or((None, 0), |row| (row.cursor, row.events));
    let position = cursor.map_or(0, |cursor| cursor.position.get());
    assert_eq!(position, events.len() as u64, "cursor, seen from {caller}");
    if let Some(last) = events.last() {
        assert_eq!(cursor, Some(last.cursor()), "cursor, seen from {caller}");
    }
    assert_eq!(count, events.len() as u64, "count, seen from {caller}");
}

/// Steps until there is nothing new, and returns how many steps that took.
///
/// # Panics
/// When a step fails, or it goes on and on.
pub(crate) async fn catch_up(consumer: &mut Consumer) -> usize {
    for steps in 1..=STEPS_MAX {
        if consumer.step().await.expect("a step") == StepOutcome::CaughtUp {
            return steps;
        }
    }
    panic!("not caught up after {STEPS_MAX} steps");
}

/// Steps until there is nothing new, over all errors that are transient.
pub(crate) async fn catch_up_patiently(consumer: &mut Consumer) {
    for _ in 0..STEPS_MAX {
        match consumer.step().await {
            Ok(StepOutcome::CaughtUp) => return,
            Ok(_) => {}
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    panic!("not caught up after {STEPS_MAX} steps");
}

/// Steps until one fails.
///
/// # Panics
/// When the consumer catches up instead.
pub(crate) async fn failure(consumer: &mut Consumer) -> ConsumerError {
    for _ in 0..STEPS_MAX {
        match consumer.step().await {
            Ok(StepOutcome::CaughtUp) => panic!("caught up where a step should have failed"),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
    panic!("no failure in {STEPS_MAX} steps");
}
