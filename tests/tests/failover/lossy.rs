//! A standby is promoted that had not received everything: what was acknowledged is lost, and nobody skips.

use feed_core::{FeedState, Store};
use feedway_tests::postgres::{Cut, Link, StandbyOptions};

use crate::follower::Follower;
use crate::nodes::{DATABASE, Nodes};
use crate::served::Served;
use crate::{FEED, head_when, light, read_all, service};

/// Events that both servers have.
const KEPT: u32 = 25;
/// Events that only the primary had.
const LOST: u32 = 12;

/// The service, what it serves, and two that follow it: one that has read what is lost, and one that has not.
struct Forked {
    nodes: Nodes,
    store: Store,
    served: Served,
    beyond: Follower,
    before: Follower,
    /// The feed as the one that is beyond knew it.
    lost: FeedState,
}

/// Up to the moment before the promotion: the primary is dead, and its standby lacks the newest events.
async fn forked() -> Option<Forked> {
    let mut nodes = Nodes::start().await?;
    let link = Link::start(nodes.primary.address()).await.unwrap();
    let mut options = StandbyOptions::new("third");
    options.through = Some(link.address());
    nodes.add_standby(options).await;
    let store = service(&nodes.writing_url()).await;
    let served = Served::start(&store, &[FEED]).await;
    let feed = served.url("/feeds/lamps");
    let mut before = Follower::start(&feed).await;
    let beyond = Follower::start(&feed).await;
    light(&store, KEPT).await;
    let kept = head_when(&store, "placed", |state| {
        state.head.position.get() == u64::from(KEPT)
    })
    .await;
    nodes.shown_by(0).await;
    before.reaches(kept.head).await;
    before.pause().await;
    link.cut(Cut::Silent);
    light(&store, LOST).await;
    let lost = store.log(FEED).unwrap().state().await.unwrap();
    beyond.reaches(lost.head).await;
    nodes.primary.kill().unwrap();
    Some(Forked {
        nodes,
        store,
        served,
        beyond,
        before,
        lost,
    })
}

/// It says what happened and what is to be done.
#[track_caller]
fn assert_clear(reason: &str) {
    for word in ["lost", "feedctl sub reset"] {
        assert!(reason.contains(word), "{word}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i11_who_has_read_what_a_promotion_lost_halts_and_all_others_go_on() {
    let Some(mut forked) = forked().await else {
        return;
    };
    forked.nodes.standbys[0].promote().await.unwrap();
    let state = head_when(&forked.store, "a new epoch", |state| {
        state.history.epochs().len() == 2
    })
    .await;
    assert_eq!(state.head.position.get(), u64::from(KEPT));
    assert_eq!(state.history.epochs()[1].0.get(), u64::from(KEPT) + 1);

    // Its cursor is beyond the head. It is asked for anew at once, and not after a long poll.
    forked.beyond.pause().await;
    forked.beyond.go_on();
    let reason = forked.beyond.halts().await;
    assert_clear(&reason);
    assert!(reason.contains(&forked.lost.head.to_string()), "{reason}");

    // Other events take the places of those that were lost.
    light(&forked.store, 2 * LOST).await;
    let (state, events) = read_all(&forked.store).await;
    assert_eq!(state.head.position.get(), u64::from(KEPT + 2 * LOST));
    forked.before.go_on();
    forked.before.reaches(state.head).await;
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(forked.before.applied().await, ids);

    let applied = forked.beyond.applied().await;
    forked.beyond.resume().await;
    let reason = forked.beyond.halts().await;
    assert_clear(&reason);
    assert_eq!(forked.beyond.applied().await, applied);
    let row = forked.beyond.row().await.unwrap();
    assert_eq!(row.cursor, Some(forked.lost.head));
    forked.store.close().await;
}

/// As after a copy of the database's files that nobody noticed: the checks tell all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i11_who_has_read_what_was_lost_halts_even_when_no_epoch_was_opened() {
    let Some(mut forked) = forked().await else {
        return;
    };
    forked.store.close().await;
    forked.nodes.standbys[0].promote().await.unwrap();
    // Nobody remembers in which timeline the last batch was.
    let admin = forked.nodes.standbys[0].admin(DATABASE).await.unwrap();
    let forget = "UPDATE sequencer_batches SET timeline =
        ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint";
    admin.batch_execute(forget).await.unwrap();
    let store = service(&forked.nodes.standbys[0].url(DATABASE)).await;
    light(&store, 2 * LOST).await;
    let (state, events) = read_all(&store).await;
    assert_eq!(state.history.epochs().len(), 1);

    let served = Served::start(&store, &[FEED]).await;
    let feed = served.url("/feeds/lamps");
    forked.beyond.pause().await;
    let applied = forked.beyond.applied().await;
    forked.beyond.moves_to(&feed);
    assert_clear(&forked.beyond.halts().await);
    assert_eq!(forked.beyond.applied().await, applied);
    forked.before.moves_to(&feed);
    forked.before.reaches(state.head).await;
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(forked.before.applied().await, ids);
    drop(forked.served);
    store.close().await;
}
