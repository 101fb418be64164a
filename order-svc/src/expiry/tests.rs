use chrono::{DateTime, Utc};
use feed_core::StoreError;
use feed_core::testing::TempStore;

use super::*;
use crate::domain::{CustomerId, OrderId, RequestedMbps, Status};
use crate::storage::{MIGRATIONS, OrderFilter, feed_config};

const NEVER: Duration = Duration::MAX;

async fn store() -> TempStore {
    let store = TempStore::new(MIGRATIONS).await;
    store.create_feed(feed_config().unwrap()).await.unwrap();
    store
}

/// Places orders that are this old.
async fn place(store: &TempStore, orders: u32, age: TimeDelta) {
    let placed = store.write(async move |tx: &mut Tx<'_>| {
        for _ in 0..orders {
            let order_id = OrderId::now();
            let create = OrderCommand::Create {
                order_id: order_id.clone(),
                customer_id: CustomerId::try_from("c-1".to_owned()).unwrap(),
                requested_mbps: RequestedMbps::try_from(500).unwrap(),
                created_at: tx.now() - age,
            };
            storage::carry_out(tx, &order_id, &create).await?;
        }
        Ok::<(), DecideError<OrderError>>(())
    });
    placed.await.unwrap();
}

async fn count(store: &TempStore, status: Status) -> usize {
    let filter = OrderFilter {
        status: Some(status),
        ..OrderFilter::default()
    };
    let orders: Result<_, StoreError> = store
        .read(async move |tx: &mut Tx<'_>| storage::orders(tx, &filter, 1_000).await)
        .await;
    orders.unwrap().len()
}

#[tokio::test]
async fn orders_expire_by_their_age_and_no_others() {
    let store = store().await;
    place(&store, 2, TimeDelta::minutes(16)).await;
    place(&store, 3, TimeDelta::minutes(14)).await;
    let swept = step(&store, Duration::from_secs(900)).await.unwrap();
    assert_eq!((swept.orders, swept.more), (2, false));
    assert_eq!(count(&store, Status::Expired).await, 2);
    assert_eq!(count(&store, Status::Update).await, 3);
    let again = step(&store, Duration::from_secs(900)).await.unwrap();
    assert_eq!(again.orders, 0);
    assert_eq!(step(&store, NEVER).await.unwrap().orders, 0);
}

#[tokio::test]
async fn a_sweep_is_bounded_and_says_that_there_is_more() {
    let store = store().await;
    place(&store, EXPIRED_PER_SWEEP_MAX + 1, TimeDelta::zero()).await;
    let first = step(&store, Duration::ZERO).await.unwrap();
    assert_eq!((first.orders, first.more), (EXPIRED_PER_SWEEP_MAX, true));
    let second = step(&store, Duration::ZERO).await.unwrap();
    assert_eq!((second.orders, second.more), (1, false));
}

#[tokio::test]
async fn old_keys_are_deleted() {
    let store = store().await;
    let now = Utc::now();
    for (key, created) in [
        ("old", now - TimeDelta::hours(25)),
        ("young", now - TimeDelta::hours(23)),
    ] {
        insert_key(&store, key, created).await;
    }
    let swept = step(&store, NEVER).await.unwrap();
    assert_eq!((swept.keys, swept.more), (1, false));
    let left: Vec<(String,)> = store
        .query("SELECT key FROM idempotency_keys", &[])
        .await
        .unwrap();
    assert_eq!(left, [("young".to_owned(),)]);
}

async fn insert_key(store: &TempStore, key: &'static str, created: DateTime<Utc>) {
    let inserted: Result<u64, StoreError> = store
        .write(async move |tx: &mut Tx<'_>| {
            tx.execute(
                "INSERT INTO idempotency_keys (key, request_sha256, order_id, answer, created_us)
                 VALUES ($1, $2, 'x', '', $3)",
                &[key.into(), [0; 32].as_slice().into(), created.into()],
            )
            .await
        })
        .await;
    inserted.unwrap();
}
