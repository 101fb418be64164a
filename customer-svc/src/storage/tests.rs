use feed_core::testing::TempStore;
use feed_core::{Event, Store, Window};

use super::*;
use crate::domain::{CapacityMbps, CurrentMbps, MaxMbps, Name};

async fn put(store: &Store, geo: &'static str, current_mbps: i64) {
    let slug = GeoSlug::try_from(geo.to_owned()).unwrap();
    let name = Name::try_from("Name".to_owned()).unwrap();
    let geo = Geo {
        geo: slug.clone(),
        name: name.clone(),
        max_mbps: MaxMbps::try_from(1_000).unwrap(),
        capacity_mbps: CapacityMbps::try_from(current_mbps).unwrap(),
    };
    let customer = Customer {
        customer_id: CustomerId::try_from("c-1".to_owned()).unwrap(),
        name,
        geo: slug,
        current_mbps: CurrentMbps::try_from(current_mbps).unwrap(),
    };
    let done = store.write(async move |tx: &mut Tx<'_>| {
        put_geo(tx, &geo).await?;
        put_customer(tx, &customer).await
    });
    done.await.unwrap();
}

/// The ids of the last events of `c-1` and of Berlin, as their rows have them.
async fn last_events(store: &Store) -> (EventId, EventId) {
    let customers: Vec<(EventId,)> = store
        .query("SELECT last_event_id FROM customers", &[])
        .await
        .unwrap();
    let geos: Vec<(EventId,)> = store
        .query("SELECT last_event_id FROM geos WHERE geo = 'berlin'", &[])
        .await
        .unwrap();
    (customers[0].0, geos[0].0)
}

#[tokio::test]
async fn rows_from_before_last_events_get_theirs() {
    let store = TempStore::new(MIGRATIONS).await;
    store.create_feed(feed_config().unwrap()).await.unwrap();
    put(&store, "berlin", 100).await;
    put(&store, "berlin", 200).await;
    let expected = last_events(&store).await;
    let log = store.log(FEED).unwrap();
    let (_, events) = log.read(Window::Newest { limit: 9 }).await.unwrap();
    let ids: Vec<EventId> = events.iter().map(|event: &Event| event.id).collect();
    assert_eq!((ids[3], ids[2]), expected);

    // The same rows as the first version of the schema had them.
    let (_, migration) = MIGRATIONS.sqlite[1];
    let forgotten = store.write(async |tx: &mut Tx<'_>| {
        tx.execute("UPDATE customers SET last_event_id = NULL", &[])
            .await?;
        tx.execute("UPDATE geos SET last_event_id = NULL", &[])
            .await?;
        for update in migration.split(';').filter(|sql| sql.contains("UPDATE")) {
            tx.execute(update, &[]).await?;
        }
        Ok::<_, StoreError>(())
    });
    forgotten.await.unwrap();
    assert_eq!(last_events(&store).await, expected);
}
