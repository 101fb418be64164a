//! Instances share the partitions, and hand over on joining, leaving and dying (invariants I9, I13).

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::scene::{
    HOUR, SUBJECTS, assert_all_applied, feed_of, instance_of, other_store, rows, shares, wait_for,
    wait_for_shares,
};
use crate::live::Live;

/// An instance at work.
struct Running {
    store: feed_core::Store,
    stop: CancellationToken,
    task: JoinHandle<Result<(), feed_core::ConsumerError>>,
}

impl Running {
    async fn start(live: &Live, partitions: u32, lease: Duration) -> Self {
        let store = other_store(live).await;
        let stop = CancellationToken::new();
        let consumer = instance_of(&store, live, partitions).lease(lease);
        Running {
            task: consumer.spawn(stop.clone()),
            store,
            stop,
        }
    }

    async fn leave(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.store.close().await;
    }

    /// As if its process were gone: it gives nothing back.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        self.store.close().await;
    }
}

#[tokio::test]
async fn i13_partitions_are_shared_evenly_whoever_joins_and_leaves() {
    let live = feed_of(40).await;
    let a = Running::start(&live, 5, HOUR).await;
    wait_for_shares(&live, &[5]).await;
    let b = Running::start(&live, 5, HOUR).await;
    wait_for_shares(&live, &[2, 3]).await;
    let c = Running::start(&live, 5, HOUR).await;
    wait_for_shares(&live, &[1, 2, 2]).await;
    live.append(&SUBJECTS).await;
    wait_for(&live, 5, 50).await;
    // Leases last an hour: what is handed over is given back.
    let began = Instant::now();
    a.leave().await;
    wait_for_shares(&live, &[2, 3]).await;
    b.leave().await;
    wait_for_shares(&live, &[5]).await;
    assert!(began.elapsed() < Duration::from_secs(60), "{began:?}");
    live.append(&SUBJECTS).await;
    wait_for(&live, 5, 60).await;
    c.leave().await;
    assert_all_applied(&live).await;
    assert_eq!(shares(&live).await, [0_usize; 0]);
    let sql = "SELECT CAST(count(*) AS BIGINT) FROM subscription_members";
    let members = live.reader.store.query::<(i64,)>(sql, &[]).await.unwrap();
    assert_eq!(members, [(0,)], "all have left");
}

#[tokio::test]
async fn i09_i13_the_partitions_of_a_dead_instance_are_taken_over_within_its_lease() {
    let live = feed_of(40).await;
    let lease = Duration::from_millis(1_500);
    let a = Running::start(&live, 4, lease).await;
    let b = Running::start(&live, 4, lease).await;
    wait_for_shares(&live, &[2, 2]).await;
    let began = Instant::now();
    a.kill().await;
    live.append(&SUBJECTS).await;
    wait_for_shares(&live, &[4]).await;
    let waited = began.elapsed();
    assert!(waited < lease + Duration::from_secs(15), "{waited:?}");
    wait_for(&live, 4, 50).await;
    b.leave().await;
    assert_all_applied(&live).await;
}

/// Once all have their share, nothing changes hands any more.
#[tokio::test]
async fn i13_what_is_shared_stays_with_whom_it_is() {
    let live = feed_of(10).await;
    // Long enough not to end on a machine that is busy with other things.
    let lease = Duration::from_millis(10_000);
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(Running::start(&live, 4, lease).await);
    }
    wait_for_shares(&live, &[1, 1, 2]).await;
    let fences = async || -> Vec<i64> { rows(&live).await.iter().map(|row| row.fence).collect() };
    let before = fences().await;
    // Longer than the leases would last by themselves.
    tokio::time::sleep(lease + lease / 2).await;
    assert_eq!(fences().await, before);
    for running in all {
        running.leave().await;
    }
}

#[tokio::test]
async fn more_instances_than_partitions_stand_by() {
    let live = feed_of(10).await;
    let a = Running::start(&live, 2, HOUR).await;
    wait_for_shares(&live, &[2]).await;
    let b = Running::start(&live, 2, HOUR).await;
    let c = Running::start(&live, 2, HOUR).await;
    wait_for_shares(&live, &[1, 1]).await;
    for (one, other) in [(a, [1, 1].as_slice()), (b, [2].as_slice())] {
        one.leave().await;
        wait_for_shares(&live, other).await;
    }
    wait_for(&live, 2, 10).await;
    c.leave().await;
    assert_all_applied(&live).await;
}
