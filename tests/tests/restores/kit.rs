//! A feed of ten events, of which a backup is made; three more that the backup has not; and two consumers, one that has
//! read the ten and one that has read all thirteen.

use std::net::SocketAddr;
use std::time::Duration;

use feed_core::server::{bind, router, serve};
use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Consumer, ConsumerError, Event, Expected, FeedConfig, HandlerError, Handlers,
    Migrations, NewEvent, Position, StepOutcome, Store, Subject, Tx,
};
use tokio_util::sync::CancellationToken;

/// A running server of the feed; it stops when this is dropped.
pub(crate) struct Served {
    url: String,
    stop: CancellationToken,
}

impl Served {
    async fn start(store: &Store) -> Self {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/feeds/{FEED}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let app = router(store, [FEED]).unwrap();
        tokio::spawn(serve(listener, app, stop.clone()));
        Served { url, stop }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

const NAME: &str = "house/lamps";
pub(crate) const FEED: &str = "lamps";
/// Pages are this large: the backup ends within one.
const CAPACITY: u32 = 4;

/// Opens the service's database, as the service does.
pub(crate) async fn service(url: &str) -> Store {
    let store = Store::open(url, Migrations::NONE).await.unwrap();
    let config = FeedConfig::new(FEED, "lamp-svc").unwrap();
    store
        .create_feed(config.page_capacity(CAPACITY).unwrap())
        .await
        .unwrap();
    store
}

/// Appends events, and waits until they are in the feed.
pub(crate) async fn append(store: &Store, count: u32) {
    for number in 0..count {
        let appended: Result<(), AppendError> = store
            .write(async move |tx: &mut Tx<'_>| {
                let subject = Subject::new(format!("lamp-{}", number % 3)).expect("a subject");
                let event = NewEvent::json("Lit", &number).expect("an event");
                tx.append(FEED, &subject, Expected::Any, &[event]).await?;
                Ok(())
            })
            .await;
        appended.unwrap();
    }
    store.sequenced().await.unwrap();
}

/// A service that follows the feed, in a database of its own.
pub(crate) struct Follower(TempStore);

impl Follower {
    async fn new() -> Self {
        Follower(
            TempStore::new(Migrations {
                owner: "house",
                sqlite: &[(
                    "V1__seen",
                    "CREATE TABLE seen (position INTEGER NOT NULL, id TEXT NOT NULL) STRICT",
                )],
                postgres: &[],
            })
            .await,
        )
    }

    /// Follows the feed until there is nothing more, or it halts: what it says then.
    pub(crate) async fn follow(&self, served: &Served) -> Result<(), String> {
        let handler = async |tx: &mut Tx<'_>, event: &Event| {
            let position = i64::try_from(event.position.get()).expect("a small one");
            tx.execute(
                "INSERT INTO seen (position, id) VALUES ($1, $2)",
                &[position.into(), (&event.id.to_string()).into()],
            )
            .await?;
            Ok::<(), HandlerError>(())
        };
        let consumer = Consumer::new(&self.0, NAME, &served.url).unwrap();
        let mut consumer = consumer
            .handlers(Handlers::new().on("Lit", handler))
            // The next one need not wait for long until this one's has ended.
            .lease(Duration::from_millis(200));
        loop {
            match consumer.step().await {
                Ok(StepOutcome::CaughtUp) => break Ok(()),
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(ConsumerError::Halted(halt)) => break Err(halt.to_string()),
                Err(error) if error.is_transient() => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) async fn seen(&self) -> Vec<(i64, String)> {
        let sql = "SELECT position, id FROM seen ORDER BY rowid";
        self.0.query(sql, &[]).await.unwrap()
    }

    async fn position(&self) -> u64 {
        let handle = self.0.subscription(NAME).unwrap();
        let cursor = handle.status().await.unwrap().unwrap().cursor;
        cursor.map_or(0, |cursor| cursor.position.get())
    }
}

/// What is left when the database was put back.
pub(crate) struct Scene {
    /// Has read ten events, all of which are in the backup.
    pub(crate) before: Follower,
    /// Has read thirteen.
    pub(crate) beyond: Follower,
}

impl Scene {
    /// Fills a database, makes the backup, goes on, and lets the consumers read.
    pub(crate) async fn play(store: &Store, backup: impl AsyncFnOnce()) -> Self {
        let scene = Scene {
            before: Follower::new().await,
            beyond: Follower::new().await,
        };
        append(store, 10).await;
        let served = Served::start(store).await;
        scene.before.follow(&served).await.unwrap();
        backup().await;
        append(store, 3).await;
        scene.beyond.follow(&served).await.unwrap();
        assert_eq!(scene.before.seen().await.len(), 10);
        assert_eq!(scene.beyond.seen().await.len(), 13);
        scene
    }

    /// The service runs on what was restored, in a new epoch, and others get the positions of the events that are lost.
    pub(crate) async fn goes_on(&self, restored: &Store) {
        append(restored, 5).await;
        let state = restored.log(FEED).unwrap().state().await.unwrap();
        let epochs = state.history.epochs();
        assert_eq!(epochs.len(), 2, "{epochs:?}");
        assert_eq!(epochs[1].0, Position::new(11).unwrap());
        let served = Served::start(restored).await;
        self.before.follow(&served).await.unwrap();
        assert_eq!(self.before.position().await, 15);
        self.is_whole(&self.before, restored).await;
        let said = self.beyond_halts(&served).await;
        // Its epoch is known, and ended before the position that it has seen.
        assert!(said.contains("cursor-diverged"), "{said}");
        assert!(said.contains("feedctl sub reset"), "{said}");
    }

    /// The same when nobody has opened a new epoch: the running check notices.
    pub(crate) async fn is_noticed(&self, restored: &Store) {
        let served = Served::start(restored).await;
        let said = self.beyond_halts(&served).await;
        assert!(said.contains("cursor-beyond-head"), "{said}");
        // Others come to have the positions, up to that one and further.
        for more in [3, 2] {
            append(restored, more).await;
            let said = self.beyond_halts(&served).await;
            assert!(said.contains("cursor-diverged"), "{said}");
        }
        let state = restored.log(FEED).unwrap().state().await.unwrap();
        assert_eq!(state.history.epochs().len(), 1);
        self.before.follow(&served).await.unwrap();
        self.is_whole(&self.before, restored).await;
    }

    async fn beyond_halts(&self, served: &Served) -> String {
        let seen = self.beyond.seen().await;
        let said = self.beyond.follow(served).await.unwrap_err();
        assert_eq!(self.beyond.position().await, 13);
        assert_eq!(self.beyond.seen().await, seen);
        said
    }

    /// A follower has seen every event of the feed, once and in order.
    async fn is_whole(&self, follower: &Follower, store: &Store) {
        let window = feed_core::Window::After {
            after: Position::START,
            limit: 1_000,
        };
        let (_, events) = store.log(FEED).unwrap().read(window).await.unwrap();
        let told: Vec<(i64, String)> = events
            .iter()
            .map(|event| (event.position.get() as i64, event.id.to_string()))
            .collect();
        assert_eq!(follower.seen().await, told);
    }
}
