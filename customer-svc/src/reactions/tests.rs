//! The books balance, whatever comes in whatever order.

use std::collections::HashMap;

use feed_core::StoreError;
use feed_core::testing::TempStore;
use proptest::prelude::*;

use super::*;
use crate::domain::{
    CapacityMbps, CurrentMbps, Customer, Geo, GeoSlug, MaxMbps, Name, Reservation, Status,
};
use crate::storage::{MIGRATIONS, ReservationRow, feed_config};

/// What may happen to the service. Few of each, so that they meet.
#[derive(Debug, Clone)]
enum Happening {
    Geo {
        geo: u8,
        max_mbps: i64,
        capacity_mbps: i64,
    },
    Customer {
        customer: u8,
        geo: u8,
        current_mbps: i64,
    },
    Created {
        order: u8,
        customer: u8,
        requested_mbps: u32,
    },
    Confirmed {
        order: u8,
    },
    Ended {
        order: u8,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    let speed = prop_oneof![Just(0_i64), Just(50), Just(100), Just(250), Just(500)];
    prop_oneof![
        1 => (0..3_u8, 100..600_i64, 0..1500_i64).prop_map(|(geo, max_mbps, capacity_mbps)| {
            Happening::Geo { geo, max_mbps, capacity_mbps }
        }),
        2 => (0..4_u8, 0..3_u8, speed).prop_map(|(customer, geo, current_mbps)| {
            Happening::Customer { customer, geo, current_mbps }
        }),
        5 => (0..20_u8, 0..5_u8, 1..600_u32).prop_map(|(order, customer, requested_mbps)| {
            Happening::Created { order, customer, requested_mbps }
        }),
        2 => (0..20_u8).prop_map(|order| Happening::Confirmed { order }),
        2 => (0..20_u8).prop_map(|order| Happening::Ended { order }),
    ]
}

fn text<T: TryFrom<String>>(kind: &str, number: u8) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(format!("{kind}-{number}")).unwrap()
}

async fn happen(tx: &mut Tx<'_>, happening: &Happening) -> Result<(), ChangeError> {
    match *happening {
        Happening::Geo {
            geo,
            max_mbps,
            capacity_mbps,
        } => {
            let stated = Geo {
                geo: text("geo", geo),
                name: text::<Name>("Geo", geo),
                max_mbps: MaxMbps::try_from(max_mbps).unwrap(),
                capacity_mbps: CapacityMbps::try_from(capacity_mbps).unwrap(),
            };
            storage::put_geo(tx, &stated).await.map(drop)
        }
        Happening::Customer {
            customer,
            geo,
            current_mbps,
        } => {
            let stated = Customer {
                customer_id: text("c", customer),
                name: text::<Name>("Customer", customer),
                geo: text::<GeoSlug>("geo", geo),
                current_mbps: CurrentMbps::try_from(current_mbps).unwrap(),
            };
            storage::put_customer(tx, &stated).await.map(drop)
        }
        Happening::Created {
            order,
            customer,
            requested_mbps,
        } => {
            let created = OrderCreated {
                order_id: text("o", order),
                customer_id: text("c", customer),
                requested_mbps,
            };
            order_created(tx, created).await
        }
        Happening::Confirmed { order } => {
            let order_id = text("o", order);
            order_confirmed(tx, OrderSettled { order_id }).await
        }
        Happening::Ended { order } => {
            let order_id = text("o", order);
            order_ended(tx, OrderSettled { order_id }).await
        }
    }
}

/// In use and reserved of a geo, counted from the customers and the reservations.
type Sums = HashMap<String, (i64, i64)>;

async fn sums(store: &TempStore) -> Sums {
    let customers: Vec<(String, i64)> = store
        .query("SELECT geo, current_mbps FROM customers", &[])
        .await
        .unwrap();
    let open: Vec<(String, i64)> = store
        .query(
            "SELECT geo, difference_mbps FROM reservations WHERE status = 'RESERVED'",
            &[],
        )
        .await
        .unwrap();
    let mut sums = Sums::new();
    for (geo, mbps) in customers {
        sums.entry(geo).or_default().0 += mbps;
    }
    for (geo, mbps) in open {
        sums.entry(geo).or_default().1 += mbps;
    }
    sums
}

/// Geo, capacity, in use, reserved, as the ledger says.
async fn ledger(store: &TempStore) -> Vec<(String, Option<i64>, i64, i64)> {
    store
        .query(
            "SELECT geo, capacity_mbps, in_use_mbps, reserved_mbps FROM geos",
            &[],
        )
        .await
        .unwrap()
}

async fn balanced(store: &TempStore) {
    let sums = sums(store).await;
    let ledger = ledger(store).await;
    for (geo, _, in_use_mbps, reserved_mbps) in &ledger {
        let counted = sums.get(geo).copied().unwrap_or_default();
        assert_eq!((*in_use_mbps, *reserved_mbps), counted, "{geo}");
    }
    let booked = |geo: &String| ledger.iter().any(|(known, ..)| known == geo);
    assert!(sums.keys().all(booked), "a geo without a ledger row");
    let open: Vec<(String, i64)> = store
        .query(
            "SELECT customer_id, COUNT(*) FROM reservations WHERE status = 'RESERVED' GROUP BY customer_id",
            &[],
        )
        .await
        .unwrap();
    assert!(open.iter().all(|(_, count)| *count == 1), "{open:?}");
}

async fn row(store: &TempStore, order: u8) -> Option<ReservationRow> {
    let order_id: OrderId = text("o", order);
    let row: Result<_, StoreError> = store
        .read(async move |tx: &mut Tx<'_>| storage::reservation(tx, &order_id).await)
        .await;
    row.unwrap()
}

/// What was just reserved was free, by a count that does not ask the ledger.
fn not_oversold(reserved: &ReservationRow, capacity: &[(String, i64)], before: &Sums) {
    let geo = reserved.geo.clone().unwrap();
    let capacity_mbps = capacity.iter().find(|(known, _)| *known == geo).unwrap().1;
    let (in_use_mbps, reserved_mbps) = before.get(&geo).copied().unwrap_or_default();
    let free_mbps = capacity_mbps - in_use_mbps - reserved_mbps;
    assert_eq!(reserved.free_before_mbps, Some(free_mbps));
    assert!(reserved.difference_mbps.unwrap() <= free_mbps);
}

async fn play(happenings: Vec<Happening>) {
    let store = TempStore::new(MIGRATIONS).await;
    store.create_feed(feed_config().unwrap()).await.unwrap();
    for happening in happenings {
        let before = sums(&store).await;
        let capacity: Vec<(String, i64)> = ledger(&store)
            .await
            .into_iter()
            .filter_map(|(geo, capacity_mbps, ..)| Some((geo, capacity_mbps?)))
            .collect();
        let new = match happening {
            Happening::Created { order, .. } if row(&store, order).await.is_none() => Some(order),
            _ => None,
        };
        let happens = happening.clone();
        let happened = store
            .write(async move |tx: &mut Tx<'_>| happen(tx, &happens).await)
            .await;
        assert!(
            matches!(happened, Ok(()) | Err(ChangeError::NoReservation(_))),
            "{happening:?}: {happened:?}"
        );
        balanced(&store).await;
        if let Some(order) = new {
            let answer = row(&store, order).await.unwrap();
            if answer.status == Status::Reserved {
                not_oversold(&answer, &capacity, &before);
            }
        }
    }
    rows_are_what_the_events_say(&store).await;
}

async fn rows_are_what_the_events_say(store: &TempStore) {
    for order in 0..20 {
        let order_id: OrderId = text("o", order);
        let subject = order_id.subject().unwrap();
        let loaded: Result<_, StoreError> = store
            .read(async move |tx: &mut Tx<'_>| tx.load::<Reservation>(&subject).await)
            .await;
        let loaded = loaded.unwrap();
        let row = row(store, order).await;
        assert_eq!(
            loaded.state.answered().map(|answered| answered.status),
            row.as_ref().map(|row| row.status)
        );
        assert_eq!(
            loaded.version.get(),
            row.as_ref().map_or(0, |row| row.version)
        );
        assert_eq!(loaded.last_event, row.map(|row| row.last_event_id));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_books_balance_whatever_happens(happenings in prop::collection::vec(happening(), 1..60)) {
        runtime().block_on(play(happenings));
    }
}

/// The whole way of one order, and of a second one that is cancelled.
#[test]
fn speed_is_reserved_activated_and_released() {
    let create = |order| Happening::Created {
        order,
        customer: 0,
        requested_mbps: 500,
    };
    runtime().block_on(async {
        let store = TempStore::new(MIGRATIONS).await;
        store.create_feed(feed_config().unwrap()).await.unwrap();
        // The customer comes first, so the geo begins with the speed in use.
        let steps = [
            (
                Happening::Customer {
                    customer: 0,
                    geo: 0,
                    current_mbps: 100,
                },
                (100, 0),
            ),
            (
                Happening::Geo {
                    geo: 0,
                    max_mbps: 1000,
                    capacity_mbps: 1000,
                },
                (100, 0),
            ),
            (create(1), (100, 400)),
            (create(2), (100, 400)),
            (Happening::Confirmed { order: 1 }, (500, 0)),
            (Happening::Confirmed { order: 1 }, (500, 0)),
            (Happening::Ended { order: 1 }, (500, 0)),
            (
                Happening::Created {
                    order: 3,
                    customer: 0,
                    requested_mbps: 600,
                },
                (500, 100),
            ),
            (Happening::Ended { order: 3 }, (500, 0)),
            (Happening::Confirmed { order: 3 }, (500, 0)),
        ];
        for (happening, books) in steps {
            let happens = happening.clone();
            let happened = store
                .write(async move |tx: &mut Tx<'_>| happen(tx, &happens).await)
                .await;
            happened.unwrap();
            let (_, _, in_use_mbps, reserved_mbps) = ledger(&store).await[0];
            assert_eq!((in_use_mbps, reserved_mbps), books, "{happening:?}");
        }
        let ends = [Status::Activated, Status::Rejected, Status::Released];
        for (order, end) in (1..=3).zip(ends) {
            assert_eq!(row(&store, order).await.unwrap().status, end);
        }
    });
}

/// Two processes on one database, as `serve` and `poll` are: the guards hold between them too.
#[test]
fn two_writers_at_the_same_time_oversell_nothing() {
    runtime().block_on(async {
        let first = TempStore::new(MIGRATIONS).await;
        first.create_feed(feed_config().unwrap()).await.unwrap();
        let path = first.path().display().to_string();
        let second = feed_core::Store::open(&path, MIGRATIONS).await.unwrap();
        let geo = Happening::Geo {
            geo: 0,
            max_mbps: 500,
            capacity_mbps: 1000,
        };
        let customers = (0..40).map(|customer| Happening::Customer {
            customer,
            geo: 0,
            current_mbps: 0,
        });
        for happening in std::iter::once(geo).chain(customers) {
            let happened = first.write(async move |tx: &mut Tx<'_>| happen(tx, &happening).await);
            happened.await.unwrap();
        }
        let mut writers = tokio::task::JoinSet::new();
        for order in 0..80 {
            let store = if order % 2 == 0 {
                (*first).clone()
            } else {
                second.clone()
            };
            // Every customer orders twice, through either writer.
            let created = Happening::Created {
                order,
                customer: order / 2,
                requested_mbps: 100,
            };
            writers.spawn(async move {
                store
                    .write(async move |tx: &mut Tx<'_>| happen(tx, &created).await)
                    .await
            });
        }
        while let Some(written) = writers.join_next().await {
            written.unwrap().unwrap();
        }
        balanced(&first).await;
        let (_, _, in_use_mbps, reserved_mbps) = ledger(&first).await[0];
        assert_eq!((in_use_mbps, reserved_mbps), (0, 1000));
    });
}
