//! `kill -9` of either service at random moments while orders flow.

use std::time::Duration;

use feedway_tests::service::Service;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Semaphore;

use crate::KILLS;
use crate::running::{Running, Setup, Stores};
use crate::witness::{Witness, assert_applied_once, assert_no_timers};

/// Orders that are placed in one go; more follow until the last kill.
const ORDERS_IN_ONE_GO: u32 = 20;
/// Orders that may be placed between one kill and the next.
const ORDERS_A_KILL: usize = 120;
const CONNECTIONS: usize = 4;
/// A service lives this long at most before one of them is killed, in milliseconds.
const LIFE_MS_MAX: u64 = 150;

#[tokio::test]
async fn i01_i03_i04_i05_i07_i08_kills_lose_and_repeat_nothing() {
    lose_and_repeat_nothing(crate::USUAL).await;
}

pub(crate) async fn lose_and_repeat_nothing(stores: Stores) {
    let seed = std::env::var("FEEDWAY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("FEEDWAY_SEED={seed}");
    let mut running = Running::start(Setup {
        stores: Some(stores),
        ..Setup::default()
    })
    .await;
    let mut orders_feed = Witness::new(&running.order.base_url(), "orders");
    let mut customers_feed = Witness::new(&running.customer.base_url(), "customers");

    // Each kill lets more orders come, so that they flow until the last one and the sample is not used up before.
    let allowed = Semaphore::new(0);
    let killing = async {
        let mut random = SmallRng::seed_from_u64(seed);
        for _ in 0..KILLS {
            allowed.add_permits(ORDERS_A_KILL);
            // Not a wait for something: the moment of the kill is the random input of this test.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..LIFE_MS_MAX))).await;
            let victim: &mut Service = if random.random() {
                &mut running.order
            } else {
                &mut running.customer
            };
            victim.kill9().unwrap();
            victim.restart().await.unwrap();
            orders_feed.look().await;
            customers_feed.look().await;
        }
        allowed.close();
    };
    let placing = async {
        let mut placed = Vec::new();
        while let Ok(permits) = allowed.acquire_many(ORDERS_IN_ONE_GO).await {
            permits.forget();
            let orders = running
                .orders
                .place_next(ORDERS_IN_ONE_GO as usize, CONNECTIONS);
            placed.extend(orders.await);
        }
        placed
    };
    let ((), placed) = tokio::join!(killing, placing);

    let verdict = running.settle_and_check(&placed).await;
    assert!(verdict.is_good(), "{verdict}\n{:#?}", verdict.differences);
    let pages = orders_feed.compare_all().await + customers_feed.compare_all().await;
    println!(
        "{KILLS} kills, {} orders, {pages} sealed documents compared",
        placed.len()
    );
    assert!(pages > 0);

    assert!(
        running.order.terminate().await.unwrap().success(),
        "SIGTERM ends with exit code 0"
    );
    assert!(
        running.customer.terminate().await.unwrap().success(),
        "SIGTERM ends with exit code 0"
    );
    let databases = &running.databases;
    assert_no_timers(&databases.order).await;
    let (orders, customers) = (orders_feed.ids.len(), customers_feed.ids.len());
    assert_applied_once(&databases.order, "orders/customers", customers).await;
    assert_applied_once(&databases.customer, "customers/orders", orders).await;
}
