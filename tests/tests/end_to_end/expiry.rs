//! Orders expire by timers in the database: `kill -9` before, while and after they fire.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::KILLS;
use crate::databases::number;
use crate::running::{Running, Setup};
use crate::witness::assert_no_timers;

/// Orders that are placed before each kill, so that some are always about to expire.
const ORDERS_A_KILL: usize = 20;
const CONNECTIONS: usize = 4;
/// The service lives this long at most before it is killed again, in milliseconds.
const LIFE_MS_MAX: u64 = 120;
/// How long is waited for the last order to expire.
const WAIT_MAX: Duration = Duration::from_secs(30);

#[tokio::test]
async fn i01_i07_every_order_expires_once_whenever_the_service_is_killed() {
    let seed = std::env::var("FEEDWAY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("FEEDWAY_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut running = Running::start(Setup {
        order_expiry_s: Some(1),
        ..Setup::default()
    })
    .await;
    // Nobody answers.
    running.customer.kill9().unwrap();
    let mut placed = 0;
    for _ in 0..KILLS * 3 / 5 {
        placed += running
            .orders
            .place_next(ORDERS_A_KILL, CONNECTIONS)
            .await
            .len();
        // Not a wait for something: the moment of the kill is the random input of this test.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..LIFE_MS_MAX))).await;
        running.order.kill9().unwrap();
        running.order.restart().await.unwrap();
    }
    let database = &running.databases.order;
    let count =
        async |sql: &'static str| -> usize { number(database, sql).await.try_into().unwrap() };
    let waited_since = Instant::now();
    while count("SELECT count(*) FROM orders WHERE status = 'UPDATE'").await > 0 {
        assert!(waited_since.elapsed() < WAIT_MAX, "some never expire");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Some of the sample's orders are cancelled by those who place them.
    let expired = count("SELECT count(*) FROM orders WHERE status = 'EXPIRED'").await;
    let cancelled = count("SELECT count(*) FROM orders WHERE status = 'CANCELLED'").await;
    assert_eq!(expired + cancelled, placed);
    assert!(expired > placed / 2, "{expired} of {placed}");
    let events = "SELECT count(*) FROM outbox WHERE type = 'OrderExpired'";
    let subjects = "SELECT count(DISTINCT subject) FROM outbox WHERE type = 'OrderExpired'";
    assert_eq!(
        (count(events).await, count(subjects).await),
        (expired, expired)
    );
    assert_no_timers(database).await;
}
