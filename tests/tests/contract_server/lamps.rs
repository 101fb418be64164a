//! The feed that the tests ask for.

use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Event, Expected, FeedConfig, Migrations, NewEvent, Store, Subject, Tx, Window,
};

use super::served::Served;

/// Name of the feed.
pub(crate) const LAMPS: &str = "lamps";

/// A store with a feed of `length` events on pages of `capacity`, and its server.
pub(crate) struct Scene {
    pub(crate) store: TempStore,
    pub(crate) served: Served,
}

impl Scene {
    pub(crate) async fn new(capacity: u32, length: u64) -> Self {
        let store = TempStore::new(Migrations::NONE).await;
        store.create_feed(config(capacity)).await.unwrap();
        append(&store, length).await;
        let served = Served::start(&store, &[LAMPS]).await;
        Scene { store, served }
    }

    /// All events of the feed, as the store has them.
    pub(crate) async fn events(&self) -> Vec<Event> {
        all_events(&self.store).await
    }
}

pub(crate) fn config(capacity: u32) -> FeedConfig {
    FeedConfig::new(LAMPS, "lamp-svc")
        .unwrap()
        .title("Lamps <&> \"more\" – 💡")
        .unwrap()
        .page_capacity(capacity)
        .unwrap()
}

/// Appends `count` events, about three subjects in turn.
pub(crate) async fn append(store: &Store, count: u64) {
    let appended: Result<(), AppendError> = store
        .write(async move |tx: &mut Tx<'_>| {
            for number in 0..count {
                let subject = Subject::new(format!("lamp-{}", number % 3)).expect("a subject");
                let data = serde_json::json!({ "lamp_id": number, "text": "<b>]]> & 💡 \u{7}" });
                let event = NewEvent::json("Lit", &data).expect("an event");
                tx.append(LAMPS, &subject, Expected::Any, &[event]).await?;
            }
            Ok(())
        })
        .await;
    appended.unwrap();
}

/// Appends `count` events of these types in turn, about three subjects in turn.
pub(crate) async fn append_types(store: &Store, types: &'static [&'static str], count: u64) {
    // As many as one command has the time for.
    for begin in (0..count).step_by(1_000) {
        let appended: Result<(), AppendError> = store
            .write(async move |tx: &mut Tx<'_>| {
                for number in begin..count.min(begin + 1_000) {
                    let subject = Subject::new(format!("lamp-{}", number % 3)).expect("a subject");
                    let event_type = types[number as usize % types.len()];
                    let event = NewEvent::json(event_type, &number).expect("an event");
                    tx.append(LAMPS, &subject, Expected::Any, &[event]).await?;
                }
                Ok(())
            })
            .await;
        appended.unwrap();
    }
}

pub(crate) async fn all_events(store: &Store) -> Vec<Event> {
    let log = store.log(LAMPS).unwrap();
    log.read(Window::Newest { limit: 100_000 }).await.unwrap().1
}
