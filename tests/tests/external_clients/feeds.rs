//! The feeds that are looked at.

use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Data, Expected, FeedConfig, Migrations, NewEvent, Store, Subject, Tx,
};

use super::nasty;
use super::running::{Running, Setup};
use super::served::Served;
use super::tools::say;

/// Orders that are placed: some four sealed pages of events beside those of the customers.
const ORDERS: usize = 150;
/// Orders under way at once.
const CONNECTIONS: usize = 8;
/// The largest event that any feed may have, in bytes: a page of its own.
const LARGEST_EVENT_BYTES: u32 = 8 << 20;
/// What the attributes of an event take of its bytes, at most.
const ATTRIBUTE_BYTES: usize = 512;

/// The two services with orders that went through both, and a server of odd feeds.
pub(crate) struct Feeds {
    running: Running,
    pub(crate) odd: Odd,
}

/// A server of feeds that are easily read wrong, below a path prefix.
pub(crate) struct Odd {
    pub(crate) store: TempStore,
    pub(crate) served: Served,
}

impl Feeds {
    pub(crate) async fn start() -> Self {
        let mut running = Running::start(Setup::default()).await;
        let placed = running.orders.place_next(ORDERS, CONNECTIONS).await;
        let verdict = running.settle_and_check(&placed).await;
        say(&format!(
            "{} orders are settled in both services",
            verdict.orders
        ));
        Feeds {
            running,
            odd: Odd::start().await,
        }
    }

    /// Where the two services are.
    pub(crate) fn origins(&self) -> [String; 2] {
        [
            self.running.order.base_url(),
            self.running.customer.base_url(),
        ]
    }

    /// URLs of the two services' feeds.
    pub(crate) fn live(&self) -> [String; 2] {
        [
            format!("{}/feeds/orders", self.running.order.base_url()),
            format!("{}/feeds/customers", self.running.customer.base_url()),
        ]
    }

    /// URLs of all feeds.
    pub(crate) fn all(&self) -> Vec<String> {
        [self.live().to_vec(), self.odd.urls()].concat()
    }
}

impl Odd {
    /// Name of the feed for whoever appends.
    pub(crate) const GROWING: &str = "growing";

    /// Feeds of the odd server.
    const NAMES: [&str; 5] = ["nasty", "empty", "private", "large", "sealed"];

    pub(crate) async fn start() -> Self {
        let store = TempStore::new(Migrations::NONE).await;
        let config = |name| FeedConfig::new(name, "lamp-svc").unwrap();
        let title = "Lamps <&> \"more\" – 💡 ]]> 'x'";
        for config in [
            config("nasty")
                .title(title)
                .unwrap()
                .page_capacity(4)
                .unwrap(),
            config("empty"),
            config("private").private().page_capacity(4).unwrap(),
            config("large")
                .page_capacity(1)
                .unwrap()
                .event_bytes_max(LARGEST_EVENT_BYTES)
                .unwrap(),
            config("sealed").page_capacity(5).unwrap(),
        ] {
            store.create_feed(config).await.unwrap();
        }
        append(&store, "nasty", || nasty::new_events().unwrap()).await;
        append(&store, "private", || lit(10)).await;
        append(&store, "large", large_events).await;
        // Ends exactly where a page does.
        append(&store, "sealed", || lit(10)).await;
        let served = Served::start(&store, &Self::NAMES).await;
        Odd { served, store }
    }

    /// The feed [`GROWING`](Self::GROWING) alone: pages of 5, and no event until somebody appends.
    pub(crate) async fn growing() -> Self {
        let store = TempStore::new(Migrations::NONE).await;
        let config = FeedConfig::new(Self::GROWING, "lamp-svc").unwrap();
        let created = store.create_feed(config.page_capacity(5).unwrap());
        created.await.unwrap();
        let served = Served::start(&store, &[Self::GROWING]).await;
        Odd { store, served }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        self.served.url(&format!("/feeds/{name}")).to_string()
    }

    fn urls(&self) -> Vec<String> {
        Self::NAMES.map(|name| self.url(name)).to_vec()
    }
}

/// `count` plain events.
pub(crate) fn lit(count: u32) -> Vec<NewEvent> {
    (0..count)
        .map(|number| NewEvent::json("Lit", &serde_json::json!({ "lamp_id": number })).unwrap())
        .collect()
}

/// An event as large as it may be, of the character that grows most on the way: as Atom it is four times as long, more
/// than some XML parsers take for one text. And one of many bytes that are no text.
fn large_events() -> Vec<NewEvent> {
    let room = LARGEST_EVENT_BYTES as usize - ATTRIBUTE_BYTES;
    let text = serde_json::json!("<".repeat(room - 2));
    let bytes = Data::new("application/octet-stream", vec![0xff; 1 << 20]).unwrap();
    vec![
        NewEvent::json("Lit", &text).unwrap(),
        NewEvent::new("Drawn", Some(bytes)).unwrap(),
    ]
}

/// Appends events, about three subjects in turn.
pub(crate) async fn append(
    store: &Store,
    feed: &'static str,
    events: impl Fn() -> Vec<NewEvent> + Copy + Send + Sync + 'static,
) {
    let appended: Result<(), AppendError> = store
        .write(async move |tx: &mut Tx<'_>| {
            for (number, event) in events().into_iter().enumerate() {
                // One subject lives in one feed.
                let subject = format!("{feed}-{}/<&>\"'", number % 3);
                let subject = Subject::new(subject).expect("a subject");
                tx.append(feed, &subject, Expected::Any, &[event]).await?;
            }
            Ok(())
        })
        .await;
    appended.unwrap();
}
