//! The primary dies under load and its synchronous standby is promoted.

use std::collections::HashSet;
use std::time::Instant;

use feed_core::Format;
use feedway_tests::postgres::{Cut, Link};

use crate::appenders::Appenders;
use crate::follower::Follower;
use crate::nodes::{DATABASE, Nodes};
use crate::served::{PREFIX, Served};
use crate::{CAPACITY, FEED, head_when, read_all, service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i02_i03_i13_nothing_acknowledged_is_lost_by_a_promotion_under_load() {
    let Some(mut nodes) = Nodes::three().await else {
        return;
    };
    let url = nodes.writing_url();
    let (one, two) = (service(&url).await, service(&url).await);
    let served = Served::start(&one, &[FEED]).await;
    let feed = served.url("/feeds/lamps");
    let follower = Follower::start(&feed).await;
    let appenders = Appenders::start(&[&one, &two]);
    appenders.wait(200).await;
    let old = head_when(&one, "two pages are full", |state| {
        state.head.position.get() > 2 * u64::from(CAPACITY)
    })
    .await;
    let mut start = feed.clone();
    start.set_query(Some("after=start"));
    let sealed = served.document(&start, Format::Atom).await;
    assert!(sealed.url.path().contains("/archive/"), "{sealed:?}");

    let begun = Instant::now();
    nodes.primary.kill().unwrap();
    let known = appenders.acknowledged();
    nodes.standbys[0].promote().await.unwrap();
    let promoted = begun.elapsed();
    appenders.wait(1).await;
    let taken = begun.elapsed();
    appenders.wait(200).await;
    let (acknowledged, failed) = appenders.stop().await;
    assert!(acknowledged.len() as u64 > known);
    one.sequenced().await.unwrap();

    let (state, events) = read_all(&two).await;
    follower.reaches(state.head).await;
    eprintln!(
        "promoted after {promoted:?}, the first append {taken:?} after the primary's death; {failed} attempts failed, {} events",
        events.len()
    );
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let found: HashSet<_> = ids.iter().copied().collect();
    assert_eq!(found.len(), ids.len(), "an event has one place");
    // Each was repeated until it was acknowledged, so nothing else is there.
    assert_eq!(found, acknowledged.iter().copied().collect());
    assert_eq!(follower.applied().await, ids);

    // The sequencer saw the fork: what follows on it is of another stretch.
    let epochs = state.history.epochs();
    assert_eq!(epochs.len(), 2, "{epochs:?}");
    assert!(epochs[1].0 > old.head.position);
    assert_eq!(state.head.epoch, epochs[1].1);
    let reason = one
        .query::<(String,)>(
            "SELECT reason FROM epochs ORDER BY first_position DESC LIMIT 1",
            &[],
        )
        .await
        .unwrap();
    assert!(reason[0].0.contains("timeline 2"), "{reason:?}");

    // What was read before is what is read now, from any instance.
    let fresh = service(&nodes.standbys[0].url(DATABASE)).await;
    let anew = Served::start(&fresh, &[FEED]).await;
    let path = sealed.url.path().trim_start_matches(PREFIX);
    let again = anew.document(&anew.url(path), Format::Atom).await;
    assert_eq!(again.body, sealed.body);
    assert_eq!(again.header("etag"), sealed.header("etag"));
    let mut behind = anew.url("/feeds/lamps");
    behind.set_query(Some(&format!("after={}", old.head)));
    let next = anew.document(&behind, Format::Json).await;
    assert_eq!(next.positions()[0], old.head.position.get() + 1);
    for store in [one, two, fresh] {
        store.close().await;
    }
}

/// As when the machine is gone with all its processes: nobody refuses a connection or breaks one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_a_primary_that_falls_silent_is_left_for_the_one_that_was_promoted() {
    let Some(mut nodes) = Nodes::start().await else {
        return;
    };
    nodes.add_synchronous().await;
    let link = Link::start(nodes.primary.address()).await.unwrap();
    let url = format!(
        "postgres://feedway@{},{}/{DATABASE}?target_session_attrs=read-write",
        link.address(),
        nodes.standbys[0].address()
    );
    let store = service(&url).await;
    let served = Served::start(&store, &[FEED]).await;
    let follower = Follower::start(&served.url("/feeds/lamps")).await;
    let appenders = Appenders::start(&[&store]);
    appenders.wait(50).await;

    link.cut(Cut::Silent);
    let begun = Instant::now();
    nodes.primary.kill().unwrap();
    nodes.standbys[0].promote().await.unwrap();
    appenders.wait(1).await;
    let taken = begun.elapsed();
    appenders.wait(50).await;
    let (acknowledged, failed) = appenders.stop().await;
    let state = head_when(&store, "all have places", |state| {
        state.head.position.get() >= acknowledged.len() as u64
    })
    .await;
    follower.reaches(state.head).await;
    eprintln!(
        "the first append {taken:?} after the primary fell silent, all read after {:?}; {failed} attempts failed",
        begun.elapsed()
    );
    let (_, events) = read_all(&store).await;
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(
        ids.iter().copied().collect::<HashSet<_>>(),
        acknowledged.iter().copied().collect()
    );
    assert_eq!(ids.len(), acknowledged.len());
    assert_eq!(follower.applied().await, ids);
    store.close().await;
}
