//! A real feed and its reader, whose handler fails where it is told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Consumer, Event, EventState, Expected, FeedConfig, HandlerError, Handlers,
    Migrations, NewEvent, Operator, StepOutcome, Subject, Subscription, SubscriptionEvent,
    SubscriptionHandle, Tx, Window,
};

use super::reader::{Reader, SUBSCRIPTION, note};
use super::scripted::LIT;
use super::served::Served;

/// Name of the feed.
pub(crate) const LAMPS: &str = "lamps";

/// Steps that no scenario needs.
const STEPS_MAX: usize = 500;
/// Longer than any event is put off here. Steps that find nothing new take so little that their number says nothing of it.
const STEPPING_MAX: Duration = Duration::from_secs(20);

/// What the handler says instead of coming to its end, by position.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<HashMap<u64, HandlerError>>>);

impl Faults {
    pub(crate) fn set(&self, position: u64, error: HandlerError) {
        self.0.lock().unwrap().insert(position, error);
    }

    pub(crate) fn mend(&self, position: u64) {
        self.0.lock().unwrap().remove(&position);
    }

    pub(crate) fn check(&self, event: &Event) -> Result<(), HandlerError> {
        let fault = self.0.lock().unwrap().get(&event.position.get()).cloned();
        fault.map_or(Ok(()), Err)
    }

    /// The usual handler, which fails after it did all its work, so that there is something to undo.
    pub(crate) fn handlers(&self) -> Handlers {
        let faults = self.clone();
        Handlers::new().on(LIT, async move |tx: &mut Tx<'_>, event: &Event| {
            note(tx, event).await?;
            faults.check(event)
        })
    }
}

pub(crate) struct Live {
    pub(crate) feed: TempStore,
    pub(crate) served: Served,
    pub(crate) reader: Reader,
    pub(crate) faults: Faults,
}

impl Live {
    /// A feed with an event about each of these subjects, in order.
    pub(crate) async fn new(subjects: &[&'static str]) -> Self {
        let feed = TempStore::new(Migrations::NONE).await;
        let config = FeedConfig::new(LAMPS, "lamp-svc").unwrap();
        feed.create_feed(config).await.unwrap();
        let live = Live {
            served: Served::start(&feed, &[LAMPS]).await,
            feed,
            reader: Reader::new().await,
            faults: Faults::default(),
        };
        live.append(subjects).await;
        live
    }

    pub(crate) async fn append(&self, subjects: &[&'static str]) {
        self.append_type(LIT, subjects).await;
    }

    pub(crate) async fn append_type(&self, event_type: &'static str, subjects: &[&'static str]) {
        let subjects = subjects.to_vec();
        let appended: Result<(), AppendError> = self
            .feed
            .write(async move |tx: &mut Tx<'_>| {
                for subject in &subjects {
                    let about = Subject::new(*subject).expect("a subject");
                    let event = NewEvent::json(event_type, &subject).expect("an event");
                    tx.append(LAMPS, &about, Expected::Any, &[event]).await?;
                }
                Ok(())
            })
            .await;
        appended.unwrap();
    }

    pub(crate) fn url(&self) -> String {
        self.served.url("/feeds/lamps").to_string()
    }

    pub(crate) fn consumer(&self) -> Consumer {
        self.reader
            .consumer_with(&self.url(), self.faults.handlers())
    }

    pub(crate) fn handle(&self) -> SubscriptionHandle {
        self.reader.store.subscription(SUBSCRIPTION).unwrap()
    }

    pub(crate) async fn row(&self) -> Subscription {
        self.handle().status().await.unwrap().expect("a row")
    }

    pub(crate) async fn event(&self, position: u64) -> Event {
        let log = self.feed.log(LAMPS).unwrap();
        let (_, events) = log.read(Window::Newest { limit: 10_000 }).await.unwrap();
        events[position as usize - 1].clone()
    }

    pub(crate) async fn kept(&self) -> Vec<SubscriptionEvent> {
        self.handle().events(None, 0, 10_000).await.unwrap()
    }

    /// How each event is doing of which something is kept, by position.
    pub(crate) async fn states(&self) -> Vec<(u64, EventState)> {
        let kept = self.kept().await.into_iter();
        kept.map(|kept| (kept.event.position.get(), kept.state))
            .collect()
    }

    /// The positions in the order of their effects.
    pub(crate) async fn applied(&self) -> Vec<i64> {
        self.reader.applied_positions().await
    }
}

pub(crate) fn operator() -> Operator {
    Operator::new("kim", "it is time").unwrap()
}

/// Steps until one's outcome is as wanted, over all errors.
///
/// # Panics
/// When none is.
pub(crate) async fn step_until(
    consumer: &mut Consumer,
    wanted: impl Fn(&StepOutcome) -> bool,
) -> StepOutcome {
    let begun = Instant::now();
    while begun.elapsed() < STEPPING_MAX {
        match consumer.step().await {
            Ok(outcome) if wanted(&outcome) => return outcome,
            _ => tokio::task::yield_now().await,
        }
    }
    panic!("not in {STEPPING_MAX:?}");
}

/// Steps until there is nothing new and nothing to be replayed, over all errors.
pub(crate) async fn settle(consumer: &mut Consumer) {
    let mut quiet = 0;
    for _ in 0..STEPS_MAX {
        match consumer.step().await {
            Ok(StepOutcome::CaughtUp) => quiet += 1,
            _ => quiet = 0,
        }
        // Between two turns of what is replayed it is looked for new events once.
        if quiet == 2 {
            return;
        }
    }
    panic!("not settled after {STEPS_MAX} steps");
}
