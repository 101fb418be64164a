//! Split subscriptions whose rows are in PostgreSQL, where partitions are applied at the same time (invariants I7, I9, I13).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "other tests look closer at what is served")]
mod served;

use std::collections::BTreeMap;
use std::time::Duration;

use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Chosen, Consumer, Event, Expected, FeedConfig, HandlerError, Handlers, Migrations,
    Mode, NewEvent, Operator, Store, Subject, Subscription, SubscriptionHandle, Tx, partition_of,
};
use feedway_tests::postgres::Database;
use served::Served;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const NAME: &str = "answers/lamps";
const WAIT_MAX: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_millis(2_000);

const MIGRATIONS: Migrations = Migrations {
    owner: "lamp",
    sqlite: &[],
    // No unique column: what is applied twice is to be seen twice.
    postgres: &[(
        "V1__applied",
        "CREATE TABLE applied (row BIGSERIAL PRIMARY KEY, position BIGINT NOT NULL, subject TEXT NOT NULL)",
    )],
};

struct Scene {
    feed: TempStore,
    served: Served,
    store: Store,
    database: Database,
    appended: usize,
}

/// An instance at work, as in a process of its own.
struct Running {
    store: Store,
    stop: CancellationToken,
    task: JoinHandle<Result<(), feed_core::ConsumerError>>,
}

impl Scene {
    /// None where PostgreSQL is missing.
    async fn new() -> Option<Self> {
        let database = Database::for_test("partitions").await.unwrap()?;
        let feed = TempStore::new(Migrations::NONE).await;
        let config = FeedConfig::new("lamps", "lamp-svc").unwrap();
        feed.create_feed(config).await.unwrap();
        Some(Scene {
            served: Served::start(&feed, &["lamps"]).await,
            feed,
            store: Store::open(database.url(), MIGRATIONS).await.unwrap(),
            database,
            appended: 0,
        })
    }

    /// So many events more, about twenty subjects in turn.
    async fn append(&mut self, events: usize) {
        let from = self.appended;
        self.appended += events;
        let appended: Result<(), AppendError> = self
            .feed
            .write(async move |tx: &mut Tx<'_>| {
                for number in from..from + events {
                    let subject = Subject::new(format!("lamp-{}", number % 20)).unwrap();
                    let event = NewEvent::json("Lit", &number).unwrap();
                    tx.append("lamps", &subject, Expected::Any, &[event])
                        .await?;
                }
                Ok(())
            })
            .await;
        appended.unwrap();
    }

    fn handle(&self) -> SubscriptionHandle {
        self.store.subscription(NAME).unwrap()
    }

    async fn rows(&self) -> Vec<Subscription> {
        self.handle().partitions().await.unwrap()
    }

    async fn start(&self, partitions: u32) -> Running {
        let store = Store::open(self.database.url(), MIGRATIONS).await.unwrap();
        let stop = CancellationToken::new();
        // What is parked is applied from the second time on.
        let handlers = Handlers::new().on("Lit", async |tx: &mut Tx<'_>, event: &Event| {
            let position = event.position.get() as i64;
            if position % 37 == 0 {
                let sql = "SELECT position FROM subscription_events WHERE position = $1";
                let kept: Option<(i64,)> = tx.query_first(sql, &[position.into()]).await?;
                if kept.is_none() {
                    return Err(HandlerError::permanent("the lamp is unknown"));
                }
            }
            let sql = "INSERT INTO applied (position, subject) VALUES ($1, $2)";
            let subject = event.subject.as_str().into();
            tx.execute(sql, &[position.into(), subject]).await?;
            Ok(())
        });
        let consumer = Consumer::new(&store, NAME, self.served.url("/feeds/lamps").as_str())
            .unwrap()
            .handlers(handlers)
            .partitions(partitions)
            .unwrap()
            .lease(LEASE);
        Running {
            task: consumer.spawn(stop.clone()),
            store,
            stop,
        }
    }

    #[track_caller]
    fn eventually<'a>(
        &'a self,
        is: impl Fn(&[Subscription]) -> bool + 'a,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let waited = tokio::time::timeout(WAIT_MAX, async {
                while !is(&self.rows().await) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            if waited.await.is_err() {
                panic!("seen from {caller}: {:#?}", self.rows().await);
            }
        }
    }

    /// So many partitions, which have passed all events and are shared so.
    #[track_caller]
    fn settled<'a>(
        &'a self,
        partitions: usize,
        shares: &'a [usize],
    ) -> impl Future<Output = ()> + 'a {
        let end = self.appended as u64;
        self.eventually(move |rows| {
            let at_end = |row: &Subscription| row.cursor.is_some_and(|at| at.position.get() == end);
            rows.len() == partitions && rows.iter().all(at_end) && shares_of(rows) == shares
        })
    }

    /// Each was applied once, those of a subject in their order.
    async fn assert_applied(&self) {
        let sql = "SELECT position, subject FROM applied ORDER BY row";
        let applied: Vec<(i64, String)> = self.store.query(sql, &[]).await.unwrap();
        let mut sorted: Vec<i64> = applied.iter().map(|(position, _)| *position).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=self.appended as i64).collect::<Vec<i64>>());
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for (position, subject) in &applied {
            let before = last.insert(subject, *position);
            assert!(
                before < Some(*position),
                "{subject}: {before:?} before {position}"
            );
        }
        let rows = self.rows().await;
        let passed: u64 = rows.iter().map(|row| row.events).sum();
        assert_eq!(passed, self.appended as u64);
    }
}

impl Running {
    async fn leave(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.store.close().await;
    }

    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        self.store.close().await;
    }
}

fn shares_of(rows: &[Subscription]) -> Vec<usize> {
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    for holder in rows.iter().filter_map(|row| row.holder.as_deref()) {
        *shares.entry(holder).or_default() += 1;
    }
    let mut shares: Vec<usize> = shares.into_values().collect();
    shares.sort_unstable();
    shares
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i07_i09_i13_instances_share_split_die_and_lose_nothing() {
    let Some(mut scene) = Scene::new().await else {
        return;
    };
    scene.append(300).await;
    let a = scene.start(4).await;
    let b = scene.start(2).await;
    let there = scene.eventually(|rows| !rows.is_empty());
    there.await;
    let partitions = scene.rows().await.len();
    assert!(
        partitions == 4 || partitions == 2,
        "whoever comes first decides"
    );
    let handle = scene.handle();
    if partitions == 2 {
        handle.set_partitions(4, Mode::Do).await.unwrap();
    }
    scene.settled(4, &[2, 2]).await;

    // The number is changed while events come and instances come and go.
    let c = scene.start(4).await;
    for to in [5, 1, 3, 2, 4] {
        scene.append(120).await;
        handle.set_partitions(to, Mode::Do).await.unwrap();
        scene.append(60).await;
        let done = scene.eventually(move |rows| {
            rows.len() == to as usize && rows.iter().all(|row| row.resizing.is_none())
        });
        done.await;
    }
    scene.settled(4, &[1, 1, 2]).await;
    a.kill().await;
    scene.append(100).await;
    scene.settled(4, &[2, 2]).await;
    b.leave().await;
    scene.settled(4, &[4]).await;

    let operator = Operator::new("kim", "it is time").unwrap();
    let number = partition_of("lamp-1", 4);
    let one = handle.partition(number);
    one.pause(&operator, Mode::Do).await.unwrap();
    scene.append(40).await;
    let end = scene.appended as u64;
    let others = scene.eventually(move |rows| {
        let at_end = |row: &Subscription| row.cursor.is_some_and(|at| at.position.get() == end);
        rows.iter().filter(|row| at_end(row)).count() == 3
    });
    others.await;
    one.resume(Mode::Do).await.unwrap();
    scene.settled(4, &[4]).await;

    // What is parked has gone with its key all the while.
    let kept = handle.events(None, 0, 10_000).await.unwrap();
    assert!(!kept.is_empty());
    handle.retry(Chosen::All, Mode::Do).await.unwrap();
    let waited = tokio::time::timeout(WAIT_MAX, async {
        while !handle.counts().await.unwrap().is_empty() {
            // What waits behind a parked event may have to be retried itself.
            let _ = handle.retry(Chosen::All, Mode::Do).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    waited.await.expect("all are applied");
    c.leave().await;
    scene.assert_applied().await;
    scene.store.close().await;
}
