use chrono::{TimeDelta, Utc};
use feed_core::testing::TempStore;
use feed_core::{Event, EventId, Migrations, TimersOutcome};
use std::time::Duration;

use super::*;
use crate::domain::{CustomerId, RequestedMbps, Status};
use crate::storage::{EXPIRY, MIGRATIONS, feed_config};

const EXPIRY_AFTER: Duration = Duration::from_secs(900);

async fn store() -> TempStore {
    let store = TempStore::new(MIGRATIONS).await;
    store.create_feed(feed_config().unwrap()).await.unwrap();
    store
}

fn create(order_id: &OrderId, created_at: chrono::DateTime<Utc>) -> OrderCommand {
    OrderCommand::Create {
        order_id: order_id.clone(),
        customer_id: CustomerId::try_from("c-1".to_owned()).unwrap(),
        requested_mbps: RequestedMbps::try_from(500).unwrap(),
        created_at,
    }
}

/// Places an order that is this old.
async fn place(store: &Store, age: TimeDelta, expiry: Duration) -> OrderId {
    let order_id = OrderId::now();
    let id = order_id.clone();
    let placed = store.write(async move |tx: &mut Tx<'_>| {
        storage::place(tx, &id, &create(&id, tx.now() - age), expiry).await
    });
    placed.await.unwrap();
    order_id
}

async fn carry_out(store: &Store, order_id: &OrderId, command: OrderCommand) {
    let id = order_id.clone();
    let done =
        store.write(async move |tx: &mut Tx<'_>| storage::carry_out(tx, &id, &command).await);
    done.await.unwrap();
}

async fn status(store: &Store, order_id: &OrderId) -> Status {
    let id = order_id.clone();
    let order: Result<_, StoreError> = store
        .read(async move |tx: &mut Tx<'_>| storage::order(tx, &id).await)
        .await;
    order.unwrap().unwrap().order.status
}

async fn events(store: &Store, order_id: &OrderId) -> Vec<Event> {
    let subject = order_id.subject().unwrap();
    let events: Result<_, StoreError> = store
        .read(async move |tx: &mut Tx<'_>| tx.events_of(&subject).await)
        .await;
    events.unwrap()
}

/// Fires all that is due, and returns how many timers that were.
async fn fire(store: &Store) -> usize {
    let mut timers = timers(store);
    let mut fired = 0;
    while let TimersOutcome::Fired { timers, failure } = timers.step().await.unwrap() {
        assert_eq!(failure, None);
        fired += timers;
    }
    fired
}

#[tokio::test]
async fn i01_orders_expire_when_their_time_is_over_and_no_others() {
    let store = store().await;
    let old = place(&store, TimeDelta::minutes(16), EXPIRY_AFTER).await;
    let young = place(&store, TimeDelta::minutes(14), EXPIRY_AFTER).await;
    let eternal = place(&store, TimeDelta::minutes(16), Duration::MAX).await;
    assert_eq!(fire(&store).await, 1);
    assert_eq!(status(&store, &old).await, Status::Expired);
    assert_eq!(status(&store, &young).await, Status::Update);
    assert_eq!(status(&store, &eternal).await, Status::Update);
    let events = events(&store, &old).await;
    let created = events[0].id;
    assert_eq!(events[1].event_type.as_str(), "OrderExpired");
    assert_eq!(events[1].causationid, Some(created));
    assert_eq!(events[1].correlationid, Some(created.to_string()));
    assert_eq!(fire(&store).await, 0, "once");
    let left = store.timers(9).await.unwrap();
    assert_eq!(left.len(), 1, "that of the young one");
}

#[tokio::test]
async fn an_order_that_is_settled_has_no_timer_any_more() {
    let store = store().await;
    let geo = || "berlin".to_owned();
    for command in [
        OrderCommand::Cancel,
        OrderCommand::Confirm { geo: geo() },
        OrderCommand::Reject {
            geo: None,
            reason: "unknown-customer".to_owned(),
        },
    ] {
        let order_id = place(&store, TimeDelta::zero(), EXPIRY_AFTER).await;
        assert_eq!(store.timers(9).await.unwrap()[0].key, order_id.as_str());
        carry_out(&store, &order_id, command).await;
        assert_eq!(store.timers(9).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_timer_of_an_order_that_is_settled_changes_nothing() {
    let store = store().await;
    let order_id = place(&store, TimeDelta::zero(), EXPIRY_AFTER).await;
    carry_out(&store, &order_id, OrderCommand::Cancel).await;
    let key = order_id.as_str().to_owned();
    let set: Result<(), StoreError> = store
        .write(async move |tx: &mut Tx<'_>| {
            let late = feed_core::Timer::new(EXPIRY, &key, tx.now());
            tx.set_timer(&late.unwrap()).await
        })
        .await;
    set.unwrap();
    assert_eq!(fire(&store).await, 1);
    assert_eq!(status(&store, &order_id).await, Status::Cancelled);
    assert_eq!(events(&store, &order_id).await.len(), 2);
}

#[tokio::test]
async fn orders_that_wait_since_before_there_were_timers_get_theirs() {
    let before = Migrations {
        sqlite: &MIGRATIONS.sqlite[..1],
        ..MIGRATIONS
    };
    let store = TempStore::new(before).await;
    store.create_feed(feed_config().unwrap()).await.unwrap();
    let old = OrderId::now();
    let young = OrderId::now();
    let settled = OrderId::now();
    let now = Utc::now();
    for (order_id, age_s) in [(&old, 901), (&young, 60), (&settled, 901)] {
        let created_at = now - TimeDelta::seconds(age_s);
        carry_out(&store, order_id, create(order_id, created_at)).await;
    }
    carry_out(&store, &settled, OrderCommand::Cancel).await;
    assert_eq!(store.timers(9).await.unwrap(), []);
    store.close().await;

    let path = store.path();
    let store = Store::open(&path.to_string_lossy(), MIGRATIONS)
        .await
        .unwrap();
    let timers = store.timers(9).await.unwrap();
    let keys: Vec<_> = timers.iter().map(|timer| timer.key.as_str()).collect();
    assert_eq!(keys, [old.as_str(), young.as_str()]);
    let until_due = timers[1].due - now;
    assert!(
        (839..=840).contains(&until_due.num_seconds()),
        "{until_due}"
    );
    assert_eq!(fire(&store).await, 1);
    assert_eq!(status(&store, &old).await, Status::Expired);
    let events = events(&store, &old).await;
    let created: EventId = events[0].id;
    assert_eq!(events[1].causationid, Some(created));
    assert_eq!(events[1].correlationid, Some(created.to_string()));
    store.close().await;
}
