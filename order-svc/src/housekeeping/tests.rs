use chrono::{DateTime, Utc};
use feed_core::testing::TempStore;

use super::*;
use crate::storage::MIGRATIONS;

#[tokio::test]
async fn old_keys_are_deleted_in_bounded_rounds() {
    let store = TempStore::new(MIGRATIONS).await;
    let old = Utc::now() - TimeDelta::hours(25);
    let young = Utc::now() - TimeDelta::hours(23);
    insert_keys(&store, "old", KEYS_PER_ROUND_MAX + 1, old).await;
    insert_keys(&store, "young", 1, young).await;
    assert_eq!(step(&store).await.unwrap(), Round::Full(500));
    assert_eq!(step(&store).await.unwrap(), Round::Done(1));
    let left: Vec<(String,)> = store
        .query("SELECT key FROM idempotency_keys", &[])
        .await
        .unwrap();
    assert_eq!(left, [("young-0".to_owned(),)]);
}

async fn insert_keys(store: &TempStore, name: &'static str, keys: u32, created: DateTime<Utc>) {
    let inserted: Result<(), StoreError> = store
        .write(async move |tx: &mut Tx<'_>| {
            for number in 0..keys {
                tx.execute(
                    "INSERT INTO idempotency_keys (key, request_sha256, order_id, answer, created_us)
                     VALUES ($1, $2, 'x', '', $3)",
                    &[
                        (&format!("{name}-{number}")).into(),
                        [0; 32].as_slice().into(),
                        created.into(),
                    ],
                )
                .await?;
            }
            Ok(())
        })
        .await;
    inserted.unwrap();
}
