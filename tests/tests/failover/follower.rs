//! A consumer in a database of its own, which follows a feed by itself.

use std::time::Duration;

use feed_core::testing::TempStore;
use feed_core::{
    Consumer, Cursor, Event, EventId, HandlerError, Handlers, Migrations, Mode, Subscription, Tx,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::wait_for;

const MIGRATIONS: Migrations = Migrations {
    owner: "follower",
    // No unique column: what is applied twice is to be seen twice.
    sqlite: &[(
        "V1__applied",
        "CREATE TABLE applied (row INTEGER PRIMARY KEY, event_id BLOB NOT NULL) STRICT",
    )],
    postgres: &[],
};
const SUBSCRIPTION: &str = "follower/lamps";

async fn note(tx: &mut Tx<'_>, event: &Event) -> Result<(), HandlerError> {
    let insert = "INSERT INTO applied (event_id) VALUES ($1)";
    tx.execute(insert, &[(&event.id).into()]).await?;
    Ok(())
}

/// It stops when this is dropped.
pub(crate) struct Follower {
    store: TempStore,
    url: Url,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<Result<(), feed_core::ConsumerError>>>,
}

impl Follower {
    /// One that follows the feed at this URL, from its beginning on.
    pub(crate) async fn start(url: &Url) -> Self {
        let mut follower = Follower {
            store: TempStore::new(MIGRATIONS).await,
            url: url.clone(),
            stop: CancellationToken::new(),
            task: None,
        };
        follower.go_on();
        follower
    }

    /// Starts it again after [`pause`](Self::pause).
    pub(crate) fn go_on(&mut self) {
        self.stop = CancellationToken::new();
        let consumer = Consumer::new(&self.store, SUBSCRIPTION, self.url.as_str()).unwrap();
        let consumer = consumer
            .handlers(Handlers::new().on("Lit", note))
            .backoff_max(Duration::from_millis(500));
        self.task = Some(consumer.spawn(self.stop.clone()));
    }

    /// Starts it again at another server of the same feed.
    pub(crate) fn moves_to(&mut self, url: &Url) {
        self.url = url.clone();
        self.go_on();
    }

    /// Stops it where it is.
    pub(crate) async fn pause(&mut self) {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap().unwrap();
    }

    /// As an operator does who has mended something.
    pub(crate) async fn resume(&self) {
        let handle = self.store.subscription(SUBSCRIPTION).unwrap();
        handle.resume(Mode::Do).await.unwrap();
    }

    pub(crate) async fn row(&self) -> Option<Subscription> {
        self.store.subscriptions().await.unwrap().into_iter().next()
    }

    /// Waits until it has applied all up to there.
    pub(crate) async fn reaches(&self, cursor: Cursor) {
        wait_for("the follower gets there", async || {
            let row = self.row().await?;
            assert_eq!(row.halted(), None);
            (row.cursor == Some(cursor)).then_some(())
        })
        .await;
    }

    /// Waits until it halts, and why.
    pub(crate) async fn halts(&self) -> String {
        wait_for("the follower halts", async || {
            self.row().await?.halted().map(str::to_owned)
        })
        .await
    }

    /// The ids of what it applied, in the order in which it did.
    pub(crate) async fn applied(&self) -> Vec<EventId> {
        let sql = "SELECT event_id FROM applied ORDER BY row";
        let rows = self.store.query::<(EventId,)>(sql, &[]).await.unwrap();
        rows.into_iter().map(|(id,)| id).collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
