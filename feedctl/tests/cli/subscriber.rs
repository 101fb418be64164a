//! A service that follows a feed of lamps, and cannot apply what is about dimming until it is mended.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use feed_core::testing::TempStore;
use feed_core::{Consumer, Event, HandlerError, Handlers, Migrations, Store, Tx};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::feed::Feed;
use super::process::{Ran, feedctl, feedctl_with};

pub(crate) const NAME: &str = "house/lamps";

const MIGRATIONS: Migrations = Migrations {
    owner: "house",
    sqlite: &[(
        "V1__applied",
        "CREATE TABLE applied (position INTEGER NOT NULL) STRICT",
    )],
    postgres: &[],
};

/// Of its feed's six events, 2, 4 and 6 are about dimming; 5 is about the subject of 2.
pub(crate) struct Subscriber {
    pub(crate) feed: Feed,
    pub(crate) store: TempStore,
    pub(crate) mended: Arc<AtomicBool>,
}

impl Subscriber {
    pub(crate) async fn new() -> Self {
        Subscriber {
            feed: Feed::new(4, 6).await,
            store: TempStore::new(MIGRATIONS).await,
            mended: Arc::default(),
        }
    }

    /// One that has read all of its feed: three events are parked, and one waits.
    pub(crate) async fn with_parked_events() -> Self {
        let subscriber = Subscriber::new().await;
        subscriber.reads_all().await;
        subscriber
    }

    /// Follows its feed of six events to the end.
    pub(crate) async fn reads_all(&self) {
        let subscriber = self;
        let stop = CancellationToken::new();
        let running = subscriber.consumer().spawn(stop.clone());
        let handle = subscriber.store.subscription(NAME).unwrap();
        eventually(async || {
            let status = handle.status().await.unwrap();
            let cursor = status.and_then(|status| status.cursor);
            cursor.is_some_and(|cursor| cursor.position.get() == 6)
        })
        .await;
        stop.cancel();
        running.await.unwrap().unwrap();
    }

    pub(crate) fn consumer(&self) -> Consumer {
        self.consumer_in(&self.store)
    }

    /// The same with its tables elsewhere.
    pub(crate) fn consumer_in(&self, store: &Store) -> Consumer {
        let mended = self.mended.clone();
        let handlers = Handlers::new().on("Lit", applied).on(
            "Dimmed",
            async move |tx: &mut Tx<'_>, event: &Event| {
                if mended.load(Ordering::SeqCst) {
                    applied(tx, event).await
                } else {
                    Err(HandlerError::permanent("the dimmer is broken"))
                }
            },
        );
        let consumer = Consumer::new(store, NAME, &self.feed.url()).unwrap();
        consumer
            .handlers(handlers)
            .poll_interval(Duration::from_millis(20))
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.store.path()
    }

    /// Runs `feedctl sub` on its database.
    pub(crate) async fn sub(&self, arguments: &[&str]) -> Ran {
        let path = self.database();
        let path = path.to_str().unwrap();
        feedctl(&[&["sub"], arguments, &["--database", path]].concat()).await
    }

    /// The same, as somebody.
    pub(crate) async fn sub_as(&self, by: &str, arguments: &[&str]) -> Ran {
        let path = self.database();
        let path = path.to_str().unwrap();
        feedctl_with(
            &[&["sub"], arguments].concat(),
            &[("DATABASE_URL", path), ("USER", by)],
        )
        .await
    }

    /// What `sub show` says, without what changes by itself.
    pub(crate) async fn shown(&self) -> Value {
        let mut shown = json(&self.sub(&["show", NAME, "-o", "json"]).await);
        shown["lag_seconds"] = Value::Null;
        shown
    }

    /// The same, or nothing as long as the consumer has not begun.
    pub(crate) async fn shown_if_there(&self) -> Value {
        let ran = self.sub(&["show", NAME, "-o", "json"]).await;
        serde_json::from_str(&ran.stdout).unwrap_or_default()
    }

    /// The positions that were applied, in that order.
    pub(crate) async fn applied(&self) -> Vec<i64> {
        let rows: Vec<(i64,)> = self
            .store
            .query("SELECT position FROM applied ORDER BY rowid", &[])
            .await
            .unwrap();
        rows.into_iter().map(|(position,)| position).collect()
    }
}

async fn applied(tx: &mut Tx<'_>, event: &Event) -> Result<(), HandlerError> {
    let position = i64::try_from(event.position.get()).expect("a small one");
    tx.execute(
        "INSERT INTO applied (position) VALUES ($1)",
        &[position.into()],
    )
    .await?;
    Ok(())
}

/// The JSON that a run has printed, which went well.
#[track_caller]
pub(crate) fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Waits until `holds`.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it takes too long"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
