//! Replication, promotion, and what the network does to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use feedway_tests::postgres::{Cluster, Cut, Link, StandbyOptions};
use tokio::task::JoinSet;

use crate::{WAIT_MAX, add, all, cluster, numbers};

/// Commits that have been acknowledged when the primary is killed.
const ACKNOWLEDGED: usize = 200;
/// Sessions that commit at the same time.
const WRITERS: usize = 4;

#[tokio::test]
async fn a_standby_shows_what_its_primary_has() {
    let Some(primary) = cluster().await else {
        return;
    };
    let client = numbers(&primary).await;
    let options = StandbyOptions::new("second");
    let mut standby = Cluster::standby(&primary, &options).await.unwrap();
    add(&client, 1).await.unwrap();
    standby
        .wait_replayed(primary.lsn().await.unwrap())
        .await
        .unwrap();
    assert_eq!(all(&standby).await, [1]);
    let reader = standby.admin("postgres").await.unwrap();
    add(&reader, 2).await.unwrap_err();

    standby.pause_replay().await.unwrap();
    add(&client, 2).await.unwrap();
    assert_eq!(all(&standby).await, [1]);
    standby.resume_replay().await.unwrap();
    standby
        .wait_replayed(primary.lsn().await.unwrap())
        .await
        .unwrap();
    assert_eq!(all(&standby).await, [1, 2]);

    // It comes back where it was.
    standby.kill().unwrap();
    add(&client, 3).await.unwrap();
    standby.restart().await.unwrap();
    standby
        .wait_replayed(primary.lsn().await.unwrap())
        .await
        .unwrap();
    assert_eq!(all(&standby).await, [1, 2, 3]);
}

/// Commits numbers of its own until the primary is gone, and says which ones were acknowledged.
async fn write(primary: Arc<tokio_postgres::Client>, next: Arc<AtomicI64>) -> Vec<i64> {
    let mut acknowledged = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if add(&primary, number).await.is_err() {
            return acknowledged;
        }
        acknowledged.push(number);
    }
}

#[tokio::test]
async fn a_promoted_synchronous_standby_has_all_that_was_acknowledged() {
    let Some(mut primary) = cluster().await else {
        return;
    };
    numbers(&primary).await;
    let mut options = StandbyOptions::new("second");
    // It has received what it does not show yet.
    options.apply_delay = Duration::from_secs(3_600);
    let mut standby = Cluster::standby(&primary, &options).await.unwrap();
    primary
        .set_synchronous_standbys(Some("second"))
        .await
        .unwrap();

    let next = Arc::new(AtomicI64::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let client = Arc::new(primary.admin("postgres").await.unwrap());
        writers.spawn(write(client, Arc::clone(&next)));
    }
    let enough = i64::try_from(ACKNOWLEDGED + WRITERS).unwrap();
    let written = async {
        while next.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, written).await.unwrap();
    primary.kill().unwrap();
    let acknowledged: Vec<i64> = writers.join_all().await.into_iter().flatten().collect();
    assert!(acknowledged.len() >= ACKNOWLEDGED);

    standby.promote().await.unwrap();
    let kept = all(&standby).await;
    let lost: Vec<&i64> = acknowledged.iter().filter(|n| !kept.contains(n)).collect();
    assert!(lost.is_empty(), "lost {lost:?}");

    // The roles are exchanged, at the same addresses; a primary that is restarted stays one.
    let address = primary.address();
    primary
        .rejoin(&standby, &StandbyOptions::new("first"))
        .await
        .unwrap();
    assert_eq!(primary.address(), address);
    standby.restart().await.unwrap();
    let client = standby.admin("postgres").await.unwrap();
    add(&client, -1).await.unwrap();
    primary
        .wait_replayed(standby.lsn().await.unwrap())
        .await
        .unwrap();
    assert_eq!(all(&primary).await[0], -1);
}

#[tokio::test]
async fn commits_wait_for_a_synchronous_standby_behind_a_cut_line_and_not_for_another() {
    let Some(mut primary) = cluster().await else {
        return;
    };
    let client = numbers(&primary).await;
    let link = Link::start(primary.address()).await.unwrap();
    let mut options = StandbyOptions::new("second");
    options.through = Some(link.address());
    let mut standby = Cluster::standby(&primary, &options).await.unwrap();

    link.cut(Cut::Silent);
    add(&client, 1).await.unwrap();
    assert_eq!(all(&standby).await, [0; 0]);
    link.heal();
    standby
        .wait_replayed(primary.lsn().await.unwrap())
        .await
        .unwrap();
    assert_eq!(all(&standby).await, [1]);

    primary
        .set_synchronous_standbys(Some("second"))
        .await
        .unwrap();
    link.cut(Cut::Closed);
    {
        let mut second = std::pin::pin!(add(&client, 2));
        let soon = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
        soon.unwrap_err();
        link.heal();
        let healed = tokio::time::timeout(WAIT_MAX, second).await;
        healed.unwrap().unwrap();
    }
    link.cut(Cut::Closed);
    primary.set_synchronous_standbys(None).await.unwrap();
    add(&client, 3).await.unwrap();
    standby
        .follow(&primary, &StandbyOptions::new("third"))
        .await
        .unwrap();
    standby
        .wait_replayed(primary.lsn().await.unwrap())
        .await
        .unwrap();
    assert_eq!(all(&standby).await, [1, 2, 3]);
}
