//! A feed that is sequenced only when a test says so, appenders whose commits are in the test's hand, and a reader.

use feed_core::client::{Seen, verify};
use feed_core::{
    Event, Expected, FeedConfig, Migrations, NewEvent, Position, Store, Subject, Window,
};
use feedway_tests::postgres::{Database, connect};
use tokio_postgres::Client;

pub(crate) const FEED: &str = "lamps";

pub(crate) struct Scene {
    pub(crate) database: Database,
    /// Opened beside the service: nothing in this process sequences by itself.
    pub(crate) store: Store,
}

impl Scene {
    /// None where PostgreSQL is missing.
    pub(crate) async fn new() -> Option<Self> {
        let database = Database::for_test("sequencing").await.unwrap()?;
        let service = Store::open(database.url(), Migrations::NONE).await.unwrap();
        let config = FeedConfig::new(FEED, "lamp-svc").unwrap();
        service
            .create_feed(config.page_capacity(7).unwrap())
            .await
            .unwrap();
        service.close().await;
        let store = Store::open_existing(database.url()).await.unwrap();
        Some(Scene { database, store })
    }

    /// A connection that no limit of ours holds for.
    pub(crate) async fn client(&self) -> Client {
        connect(self.database.url()).await.unwrap()
    }

    /// All events of the feed, with every place and check verified.
    pub(crate) async fn read(&self) -> Vec<Event> {
        read_all(&self.store).await
    }

    /// How many rows the outbox has, with a place or without.
    pub(crate) async fn outbox_rows(&self) -> i64 {
        let rows = self
            .store
            .query::<(i64,)>("SELECT count(*) FROM outbox", &[]);
        rows.await.unwrap()[0].0
    }
}

pub(crate) async fn read_all(store: &Store) -> Vec<Event> {
    let window = Window::After {
        after: Position::START,
        limit: 1_000_000,
    };
    let (state, events) = store.log(FEED).unwrap().read(window).await.unwrap();
    let read = verify(Seen::Nothing, events).expect("no gap, no repetition, no other order");
    assert_eq!(state.head.position.get(), read.len() as u64);
    read
}

/// A reader that goes along with the feed.
pub(crate) struct Reader {
    seen: Seen,
    position: Position,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Reader {
            seen: Seen::Nothing,
            position: Position::START,
        }
    }

    /// The events that are new, with every place and check verified from the last one on.
    pub(crate) async fn go_on(&mut self, scene: &Scene) -> Vec<Event> {
        let window = Window::After {
            after: self.position,
            limit: 100_000,
        };
        let (_, events) = scene.store.log(FEED).unwrap().read(window).await.unwrap();
        let fresh = verify(self.seen, events).expect("no gap, no repetition, no other order");
        if let Some(last) = fresh.last() {
            (self.seen, self.position) = (Seen::Cursor(last.cursor()), last.position);
        }
        fresh
    }
}

/// An appender whose transaction is open until the test ends it.
pub(crate) struct Appender {
    client: Client,
}

impl Appender {
    pub(crate) async fn new(scene: &Scene) -> Self {
        Appender {
            client: scene.client().await,
        }
    }

    /// Begins and appends one event about a subject; or goes on when it has begun.
    pub(crate) async fn append(&mut self, subject: &str, number: u32) {
        append(&self.client, subject, number).await;
    }

    pub(crate) async fn begin(&self) {
        self.client.batch_execute("BEGIN").await.unwrap();
    }

    pub(crate) async fn end(&self, commit: bool) {
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        self.client.batch_execute(end).await.unwrap();
    }
}

async fn append(client: &Client, subject: &str, number: u32) {
    let subject = Subject::new(subject).unwrap();
    let event = NewEvent::json("Lit", &number).unwrap();
    feed_core::postgres::append(client, FEED, &subject, Expected::Any, &[event])
        .await
        .unwrap();
}

/// What the event says.
pub(crate) fn number(event: &Event) -> u32 {
    event.decode().unwrap()
}

pub(crate) fn numbers(events: &[Event]) -> Vec<u32> {
    events.iter().map(number).collect()
}
