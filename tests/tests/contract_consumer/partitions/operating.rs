//! What operators and readers see and do, of a whole subscription and of one partition.

use std::time::Duration;

use feed_core::client::{ClientOptions, FeedClient};
use feed_core::{
    Chosen, EventState, HandlerError, Mode, OperateError, Reached, StepOutcome, SubscriptionState,
};

use super::scene::{
    SUBJECTS, assert_all_applied, expire, feed_of, instance, of, operator, positions, rows, settle,
};
use crate::live::Live;

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn one_partition_is_paused_and_the_others_go_on() {
    let live = feed_of(20).await;
    let mut consumer = instance(&live, 3);
    settle(&mut consumer).await;
    let handle = live.handle();
    let one = handle.partition(1);
    let paused = one.pause(&operator(), Mode::Do).await.unwrap();
    assert_eq!(paused.after.state, SubscriptionState::Paused);
    let whole = live.row().await;
    assert_eq!(whole.state, SubscriptionState::Paused);
    let reason = whole.reason.as_deref();
    assert_eq!(reason, Some("partition 1: by kim: it is time"));
    live.append(&SUBJECTS).await;
    expire(&live).await;
    let mut consumer = instance(&live, 3);
    settle(&mut consumer).await;
    assert_eq!(positions(&live).await, [30, 20, 30]);
    assert_eq!(live.row().await.cursor, rows(&live).await[1].cursor);
    // All that is not running is resumed.
    handle.resume(Mode::Do).await.unwrap();
    let refused = handle.resume(Mode::Do).await.unwrap_err();
    assert!(matches!(refused, OperateError::Running(_)));
    settle(&mut consumer).await;
    assert_all_applied(&live).await;
}

#[tokio::test]
async fn a_pause_of_all_stops_all() {
    let live = feed_of(20).await;
    let mut consumer = instance(&live, 3);
    settle(&mut consumer).await;
    let handle = live.handle();
    handle.pause(&operator(), Mode::Do).await.unwrap();
    live.append(&SUBJECTS).await;
    for _ in 0..40 {
        let _ = consumer.step().await;
    }
    assert_eq!(live.applied().await.len(), 20);
    // None of them is worked on, and that is no failure.
    let left = consumer.step().await.unwrap();
    assert!(matches!(left, StepOutcome::Standby { .. }), "{left:?}");
    handle.resume(Mode::Do).await.unwrap();
    settle(&mut consumer).await;
    assert_all_applied(&live).await;
}

#[tokio::test]
async fn i09_i11_a_reset_is_one_of_all_partitions() {
    let live = feed_of(20).await;
    settle(&mut instance(&live, 3)).await;
    let handle = live.handle();
    let to = live.event(10).await.cursor();
    let refused = handle.partition(1).reset(Some(to), Mode::Do).await;
    assert!(matches!(refused, Err(OperateError::AllPartitions(_))));
    let reset = handle.reset(Some(to), Mode::Do).await.unwrap();
    assert_eq!(reset.after.cursor, Some(to));
    assert_eq!(positions(&live).await, [10, 10, 10]);
    expire(&live).await;
    settle(&mut instance(&live, 3)).await;
    let mut applied = live.applied().await;
    applied.sort_unstable();
    let mut twice: Vec<i64> = (1..=20).chain(11..=20).collect();
    twice.sort_unstable();
    assert_eq!(applied, twice);
}

#[tokio::test]
async fn i08_a_partition_that_is_stuck_is_skipped_and_it_is_said_which() {
    let live = feed_of(20).await;
    let (a, d) = (of("a", 4), of("d", 4));
    assert_ne!(a, d);
    for failing in [1, 4] {
        live.faults.set(failing, HandlerError::transient("not yet"));
    }
    let mut consumer = instance(&live, 4);
    for _ in 0..200 {
        let _ = consumer.step().await;
    }
    let handle = live.handle();
    let refused = handle.skip(&operator(), Mode::Do).await.unwrap_err();
    assert!(refused.to_string().contains("--partition"), "{refused}");
    let skipped = handle.partition(d as u32).skip(&operator(), Mode::Do).await;
    let skipped = skipped.unwrap();
    assert_eq!(skipped.events[0].event.position.get(), 4);
    assert_eq!(skipped.events[0].state, EventState::Dropped);
    // Only one is left, so it needs no saying.
    let skipped = handle.skip(&operator(), Mode::Do).await.unwrap();
    assert_eq!(skipped.events[0].event.position.get(), 1);
    let refused = handle.skip(&operator(), Mode::Do).await.unwrap_err();
    assert!(matches!(refused, OperateError::NotStuck(_)));
    expire(&live).await;
    settle(&mut instance(&live, 4)).await;
    assert_eq!(live.applied().await.len(), 18);
    assert_eq!(live.row().await.events, 20);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let live = feed_of(5).await;
    let handle = live.handle();
    let refused = handle.partition(1).pause(&operator(), Mode::Do).await;
    assert!(matches!(refused, Err(OperateError::UnknownSubscription(_))));
    settle(&mut instance(&live, 2)).await;
    let refused = handle.partition(2).pause(&operator(), Mode::Do).await;
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("no partition 2"), "{refused}");
    assert_eq!(handle.partition(2).status().await.unwrap(), None);
}

/// The operator's changes of events leave the states of the partitions as they are.
#[tokio::test]
async fn i10_events_are_retried_and_dropped_whichever_partition_they_belong_to() {
    let live = feed_of(20).await;
    for failing in [1, 4, 7] {
        live.faults
            .set(failing, HandlerError::permanent("the lamp is unknown"));
    }
    let mut consumer = instance(&live, 4);
    settle(&mut consumer).await;
    let handle = live.handle();
    let paused = handle.partition(of("g", 4) as u32);
    paused.pause(&operator(), Mode::Do).await.unwrap();
    for mended in [1, 4, 7] {
        live.faults.mend(mended);
    }
    let key = Chosen::Key("d".into());
    handle
        .drop_events(key, &operator(), Mode::Do)
        .await
        .unwrap();
    let retried = handle.retry(Chosen::All, Mode::Do).await.unwrap();
    assert_eq!(retried.events.len(), 2);
    let states: Vec<_> = rows(&live).await.iter().map(|row| row.state).collect();
    let are_paused = states
        .iter()
        .filter(|state| **state == SubscriptionState::Paused);
    assert_eq!(are_paused.count(), 1, "{states:?}");
    handle.resume(Mode::Do).await.unwrap();
    expire(&live).await;
    settle(&mut instance(&live, 4)).await;
    let states = live.states().await;
    assert_eq!(
        states,
        [(4, EventState::Dropped), (14, EventState::Dropped)]
    );
    assert_eq!(live.applied().await.len(), 18);
}

/// A reader that waits for an event reads what its handler wrote, whichever partition is how far.
#[tokio::test]
async fn i08_whoever_waits_for_an_event_waits_for_its_partition() {
    let live = Live::new(&SUBJECTS).await;
    live.faults.set(1, HandlerError::transient("not yet"));
    let mut consumer = instance(&live, 4);
    for _ in 0..200 {
        let _ = consumer.step().await;
    }
    let handle = live.handle();
    let client = FeedClient::new(&live.url(), ClientOptions::default()).unwrap();
    let first = live.event(1).await;
    let wait = Duration::from_millis(50);
    // Others have passed it, but it is not applied.
    assert!(!handle.wait_until(first.cursor(), wait).await.unwrap());
    let reached = handle.wait_until_event(&client, first.id, wait).await;
    assert!(matches!(reached.unwrap(), Reached::NotYet { .. }));
    // One of another partition is applied, which is known by its subject, and so by the event alone.
    let fourth = live.event(4).await;
    assert_ne!(of("a", 4), of("d", 4));
    let reached = handle.wait_until_event(&client, fourth.id, LONG).await;
    assert_eq!(reached.unwrap(), Reached::Yes);
    assert!(live.applied().await.contains(&4));
    assert!(!handle.wait_until(fourth.cursor(), wait).await.unwrap());
    live.faults.mend(1);
    settle(&mut consumer).await;
    assert!(handle.wait_until(first.cursor(), LONG).await.unwrap());
    let reached = handle.wait_until_event(&client, first.id, LONG).await;
    assert_eq!(reached.unwrap(), Reached::Yes);
    let last = live.event(10).await;
    assert!(handle.wait_until(last.cursor(), LONG).await.unwrap());
}

/// A cursor that is not of the feed's history halts what reads it; the operator's reset brings all back.
#[tokio::test]
async fn i11_a_partition_that_halts_is_seen_and_the_others_are_not_in_doubt() {
    let live = feed_of(20).await;
    settle(&mut instance(&live, 3)).await;
    let wrong = "0000000000000000.7.000000000000";
    let changed: Result<u64, feed_core::StoreError> = live
        .reader
        .store
        .write(async move |tx: &mut feed_core::Tx<'_>| {
            let sql = "UPDATE subscriptions SET cursor = $1 WHERE partition = 2";
            tx.execute(sql, &[wrong.into()]).await
        })
        .await;
    assert_eq!(changed.unwrap(), 1);
    live.append(&SUBJECTS).await;
    expire(&live).await;
    let mut consumer = instance(&live, 3);
    for _ in 0..100 {
        let _ = consumer.step().await;
    }
    assert_eq!(positions(&live).await, [30, 30, 7]);
    let whole = live.row().await;
    assert_eq!(whole.state, SubscriptionState::Halted);
    let reason = whole.halted().unwrap();
    assert!(
        reason.starts_with("partition 2: the feed refuses"),
        "{reason}"
    );
    // A change waits for it.
    let handle = live.handle();
    super::scene::split(&handle, 2).await;
    let waits = handle.resizing_waits_for().await.unwrap();
    assert_eq!(waits.as_deref(), Some("partition 2, which halts"));
}
