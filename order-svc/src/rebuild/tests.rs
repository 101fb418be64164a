use std::collections::BTreeMap;

use feed_core::client::AllowedAddresses;
use feed_core::testing::TempStore;
use feed_core::{Migrations, Mode, Operator};
use serde_json::json;

use super::*;
use crate::housekeeping;
use crate::reactions::tests::{World, tell};
use crate::storage::MIGRATIONS;

/// More than one page, and more than one batch.
const CUSTOMERS: usize = 250;
/// A feed that nobody serves.
const NOBODY: &str = "http://127.0.0.1:9/feeds/customers";

/// Name, geo and speed of each customer.
type Rows = BTreeMap<String, (String, String, u32)>;

fn followed(url: &str) -> FollowedFeed {
    FollowedFeed {
        url: url.to_owned(),
        token_file: None,
        addresses: AllowedAddresses::Any,
    }
}

async fn generation(store: &Store, generation: i64) -> Rows {
    let rows: Vec<(String, String, String, u32)> = store
        .query(
            "SELECT customer_id, name, geo, current_mbps FROM customers WHERE generation = $1",
            &[generation.into()],
        )
        .await
        .unwrap();
    rows.into_iter()
        .map(|(id, name, geo, mbps)| (id, (name, geo, mbps)))
        .collect()
}

fn stated(number: usize, current_mbps: u32) -> serde_json::Value {
    let geo = ["berlin", "paris", "rome"][number % 3];
    json!({ "customer_id": format!("c-{number}"), "name": format!("Customer {number}"), "geo": geo,
            "from_geo": "x", "current_mbps": current_mbps })
}

fn activated(number: usize, current_mbps: u32) -> serde_json::Value {
    json!({ "order_id": format!("o-{number}"), "customer_id": format!("c-{number}"), "geo": "berlin",
            "current_mbps": current_mbps, "previous_mbps": 1, "reserved_geo": "berlin", "difference_mbps": 1 })
}

/// A world whose customers were all told of, and read.
async fn world() -> World {
    let mut world = World::new().await;
    for number in 0..CUSTOMERS {
        tell(&world.customers, "CustomerRegistered", stated(number, 100)).await;
    }
    for number in (0..CUSTOMERS).step_by(3) {
        tell(&world.customers, "CustomerMoved", stated(number + 1, 200)).await;
        tell(&world.customers, "SpeedActivated", activated(number, 500)).await;
    }
    world.read_all().await;
    world
}

async fn execute(store: &Store, sql: &'static str) {
    let done = store.write(async move |tx: &mut Tx<'_>| tx.execute(sql, &[]).await);
    done.await.unwrap();
}

async fn rebuild_of(world: &World) -> Result<Rebuilt, RebuildError> {
    rebuild(
        &world.store,
        &followed(&world.url),
        &CancellationToken::new(),
    )
    .await
}

#[tokio::test]
async fn the_new_generation_is_what_the_old_one_was() {
    let world = world().await;
    let store = &world.store;
    let mut consumer = consumer(store, &followed(&world.url)).unwrap();
    let progress = Progress::new(store).unwrap();
    fill(&mut consumer, &progress, &CancellationToken::new())
        .await
        .unwrap();
    let (old, new) = (generation(store, 1).await, generation(store, 2).await);
    assert_eq!(old.len(), CUSTOMERS + 1);
    assert_eq!(old, new);
    // Who is killed before the end leaves the rest to housekeeping.
    assert_eq!(
        housekeeping::step(store).await.unwrap(),
        housekeeping::Round::Done(old.len() as u64)
    );
    assert_eq!(generation(store, 1).await.len(), 0);
    assert_eq!(generation(store, 2).await, new);
    let subscriptions = store.subscriptions().await.unwrap();
    assert_eq!(subscriptions.len(), 1, "the rebuild's is taken away");
}

#[tokio::test]
async fn a_spoiled_read_model_is_right_after_it() {
    let mut world = world().await;
    let good = generation(&world.store, 1).await;
    execute(
        &world.store,
        "DELETE FROM customers WHERE customer_id < 'c-2'",
    )
    .await;
    execute(
        &world.store,
        "UPDATE customers SET current_mbps = 7, name = 'nobody'",
    )
    .await;
    execute(
        &world.store,
        "INSERT INTO customers (generation, customer_id, name, geo, current_mbps, updated_us)
         VALUES (1, 'invented', 'x', 'x', 1, 1)",
    )
    .await;
    let spoiled = generation(&world.store, 1).await.len() as u64;
    let rebuilt = rebuild_of(&world).await.unwrap();
    assert_eq!(rebuilt.generation, 2);
    assert_eq!(rebuilt.customers, good.len() as i64);
    assert_eq!(rebuilt.deleted, spoiled);
    assert_eq!(generation(&world.store, 2).await, good);
    assert_eq!(generation(&world.store, 1).await.len(), 0);
    // The live subscription goes on in it, and so does the next rebuild.
    world.told("CustomerChanged", stated(0, 900)).await;
    let changed = generation(&world.store, 2).await;
    assert_eq!(changed["c-0"].2, 900);
    assert_eq!(rebuild_of(&world).await.unwrap().generation, 3);
    assert_eq!(generation(&world.store, 3).await, changed);
}

#[tokio::test]
async fn i03_i07_events_that_come_meanwhile_are_in_it_and_no_read_sees_half_of_it() {
    let mut world = world().await;
    let known = world.place("c-1").await;
    // The one that has the lease goes on by itself.
    let spare = Consumer::new(&world.store, SUBSCRIPTION, &world.url).unwrap();
    let live = std::mem::replace(&mut world.consumer, spare);
    let (store, customers) = (&world.store, &world.customers);
    let stop = CancellationToken::new();
    let following = tokio::spawn(live.run(stop.clone()));
    let telling = async {
        for number in 0..CUSTOMERS {
            tell(customers, "CustomerChanged", stated(number, 300)).await;
        }
    };
    let reading = async {
        // What is read is whole in every moment, before, at and after the switch.
        while !stop.is_cancelled() {
            let order = world.order(&known).await;
            assert!(order.customer.is_some());
            let counted: Result<i64, StoreError> = store
                .read(async |tx: &mut Tx<'_>| storage::count_customers(tx).await)
                .await;
            assert!(counted.unwrap() > CUSTOMERS as i64);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let rebuilding = async {
        for expected in 2..5 {
            let rebuilt = rebuild_of(&world).await.unwrap();
            assert_eq!(rebuilt.generation, expected);
        }
    };
    let ending = async {
        tokio::join!(telling, rebuilding);
        let progress = Progress::new(store).unwrap();
        let told = customers
            .log("customers")
            .unwrap()
            .stats()
            .await
            .unwrap()
            .events;
        while progress.live().await.unwrap() < told {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    tokio::join!(ending, reading);
    following.await.unwrap().unwrap();
    let rows = generation(store, 4).await;
    assert_eq!(rows.len(), CUSTOMERS + 1);
    for number in 0..CUSTOMERS {
        assert_eq!(rows[&format!("c-{number}")].2, 300, "c-{number}");
    }
}

#[tokio::test]
async fn i07_one_that_was_interrupted_goes_on_where_it_was() {
    let world = world().await;
    let good = generation(&world.store, 1).await;
    let mut first = consumer(&world.store, &followed(&world.url)).unwrap();
    while !matches!(first.step().await.unwrap(), StepOutcome::Applied { .. }) {}
    let stopped = CancellationToken::new();
    stopped.cancel();
    first.run(stopped).await.unwrap();
    let handle = world.store.subscription(REBUILD).unwrap();
    let stands = handle.status().await.unwrap().unwrap();
    assert!(stands.cursor.is_some() && stands.events < CUSTOMERS as u64);
    let half = generation(&world.store, 2).await;
    assert!(!half.is_empty() && half.len() < good.len());
    // What is there already is not written again.
    execute(
        &world.store,
        "UPDATE customers SET name = 'kept' WHERE generation = 2 AND customer_id = 'c-2'",
    )
    .await;
    assert_eq!(rebuild_of(&world).await.unwrap().generation, 2);
    let mut rows = generation(&world.store, 2).await;
    assert_eq!(rows["c-2"].0, "kept");
    rows.insert("c-2".into(), good["c-2"].clone());
    assert_eq!(rows, good);
}

#[tokio::test]
async fn i09_one_works_at_a_time() {
    let world = world().await;
    // Holds the lease and gets nowhere.
    let other = Consumer::new(&world.store, REBUILD, NOBODY)
        .unwrap()
        .lease(Duration::from_millis(400));
    let stop = CancellationToken::new();
    let other = tokio::spawn(other.run(stop.clone()));
    let handle = world.store.subscription(REBUILD).unwrap();
    let holder = async || {
        handle
            .status()
            .await
            .unwrap()
            .and_then(|status| status.holder)
    };
    while holder().await.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = rebuild_of(&world).await.unwrap_err();
    assert!(matches!(error, RebuildError::AtWork), "{error}");
    stop.cancel();
    other.await.unwrap().unwrap();
    assert_eq!(rebuild_of(&world).await.unwrap().generation, 2);
}

#[tokio::test]
async fn an_event_that_cannot_be_applied_halts_it_and_the_old_one_is_read_on() {
    let mut world = world().await;
    let good = generation(&world.store, 1).await;
    tell(
        &world.customers,
        "CustomerChanged",
        json!({ "customer_id": 7 }),
    )
    .await;
    world.read_all().await;
    let error = rebuild_of(&world).await.unwrap_err().to_string();
    assert!(
        error.contains("CustomerChanged") && error.contains("halted"),
        "{error}"
    );
    // Tried again, it is the same; where it is skipped, there is no switch while the live one has it parked.
    assert!(rebuild_of(&world).await.is_err());
    let handle = world.store.subscription(REBUILD).unwrap();
    let operator = Operator::new("a test", "").unwrap();
    handle.skip(&operator, Mode::Do).await.unwrap();
    let stop = CancellationToken::new();
    let feed = followed(&world.url);
    let waiting = rebuild(&world.store, &feed, &stop);
    let stopping = async {
        while handle.status().await.unwrap().unwrap().holder.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    let (stopped, ()) = tokio::join!(waiting, stopping);
    assert!(matches!(stopped, Err(RebuildError::Stopped)), "{stopped:?}");
    assert_eq!(generation(&world.store, 1).await, good);
    let live = world.store.subscription(SUBSCRIPTION).unwrap();
    live.drop_events(feed_core::Chosen::All, &operator, Mode::Do)
        .await
        .unwrap();
    assert_eq!(
        rebuild_of(&world).await.unwrap().customers,
        good.len() as i64
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_created_and_not_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("none.db");
    let settings = RebuildSettings {
        database: database.display().to_string(),
        followed: followed(NOBODY),
    };
    let error = run(settings, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, RebuildError::Store(_)), "{error}");
    assert!(!database.exists());
    let world = World::new().await;
    let error = rebuild_of(&world).await.unwrap_err();
    assert!(matches!(error, RebuildError::NothingRead), "{error}");
}

#[tokio::test]
async fn customers_from_before_generations_become_the_first() {
    let before = Migrations {
        owner: MIGRATIONS.owner,
        sqlite: &MIGRATIONS.sqlite[..2],
        postgres: &[],
    };
    let store = TempStore::new(before).await;
    execute(
        &store,
        "INSERT INTO customers (customer_id, name, geo, current_mbps, updated_us)
         VALUES ('c-1', 'Ada', 'berlin', 100, 7)",
    )
    .await;
    let path = store.path();
    let store = Store::open(&path.to_string_lossy(), MIGRATIONS)
        .await
        .unwrap();
    let rows = generation(&store, 1).await;
    assert_eq!(rows["c-1"], ("Ada".into(), "berlin".into(), 100));
    let live: Result<i64, StoreError> = store
        .read(async |tx: &mut Tx<'_>| storage::live_generation(tx).await)
        .await;
    assert_eq!(live.unwrap(), 1);
    store.close().await;
}
