//! Several instances of one subscription: one holds it, the others stand by (invariant I9).

use std::time::{Duration, Instant};

use feed_core::{
    Chosen, Consumer, HandlerError, Mode, StepOutcome, Store, StoreError, SubscriptionState, Tx,
};
use tokio_util::sync::CancellationToken;

use super::live::{Live, operator, settle, step_until};
use super::reader::{MIGRATIONS, consumer};

const HOUR: Duration = Duration::from_secs(3_600);

/// How long is waited for what has to happen.
const WAIT_MAX: Duration = Duration::from_secs(30);

async fn change(store: &Store, sql: &'static str) {
    let changed: Result<u64, StoreError> = store
        .write(async move |tx: &mut Tx<'_>| tx.execute(sql, &[]).await)
        .await;
    assert_eq!(changed.unwrap(), 1, "{sql}");
}

async fn second_store(live: &Live) -> Store {
    Store::open(live.reader.store.url(), MIGRATIONS)
        .await
        .unwrap()
}

fn standby(outcome: &StepOutcome) -> Duration {
    match outcome {
        StepOutcome::Standby { left } => *left,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn i09_the_second_stands_by_until_the_lease_is_over() {
    let live = Live::new(&["a", "b"]).await;
    let other_store = second_store(&live).await;
    let mut first = live.consumer().lease(HOUR);
    let mut second = consumer(&other_store, &live.url()).handlers(live.faults.handlers());
    settle(&mut first).await;
    for _ in 0..3 {
        let left = standby(&second.step().await.unwrap());
        assert!(left <= HOUR && left > HOUR - WAIT_MAX, "{left:?}");
    }
    change(
        &live.reader.store,
        "UPDATE subscriptions SET lease_until_ms = 0",
    )
    .await;
    assert_eq!(second.step().await.unwrap(), StepOutcome::Taken);
    live.append(&["c"]).await;
    settle(&mut second).await;
    // Whoever held it before finds out, and commits nothing.
    let outcome = step_until(&mut first, |outcome| *outcome != StepOutcome::Fetched).await;
    assert_ne!(outcome, StepOutcome::Taken);
    assert_eq!(live.applied().await, [1, 2, 3]);
    other_store.close().await;
}

#[tokio::test]
async fn i09_a_lease_of_another_boot_is_over() {
    let live = Live::new(&["a"]).await;
    settle(&mut live.consumer().lease(HOUR)).await;
    standby(&live.consumer().step().await.unwrap());
    change(
        &live.reader.store,
        "UPDATE subscriptions SET lease_boot = 'another'",
    )
    .await;
    assert_eq!(live.consumer().step().await.unwrap(), StepOutcome::Taken);
}

#[tokio::test]
async fn i09_after_a_sudden_death_the_lease_is_waited_for_and_not_longer() {
    let live = Live::new(&["a"]).await;
    let lease = Duration::from_millis(1_500);
    let mut dead = live.consumer().lease(lease);
    settle(&mut dead).await;
    let began = Instant::now();
    let before = live.row().await;
    drop(dead);
    let stop = CancellationToken::new();
    let second = live.consumer().lease(HOUR).spawn(stop.clone());
    live.reader.wait_until(|row| row.fence > before.fence).await;
    let waited = began.elapsed();
    // What passed between the last commit and the drop is at most what the settling took.
    assert!(waited > lease / 2, "{waited:?}");
    assert!(waited < lease + Duration::from_secs(2), "{waited:?}");
    stop.cancel();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn i09_a_clean_stop_hands_over_at_once() {
    let live = Live::new(&["a"]).await;
    let other_store = second_store(&live).await;
    let (stop_first, stop_second) = (CancellationToken::new(), CancellationToken::new());
    let first = live.consumer().lease(HOUR).spawn(stop_first.clone());
    live.reader.wait_until(|row| row.events == 1).await;
    let holder = live.row().await.holder;
    let second = consumer(&other_store, &live.url())
        .handlers(live.faults.handlers())
        .lease(HOUR)
        .spawn(stop_second.clone());
    let began = Instant::now();
    stop_first.cancel();
    first.await.unwrap().unwrap();
    live.append(&["b"]).await;
    let row = live.reader.wait_until(|row| row.events == 2).await;
    assert_ne!(row.holder, holder);
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
    stop_second.cancel();
    second.await.unwrap().unwrap();
    assert_eq!(live.row().await.holder, None, "it was given back");
    assert_eq!(live.applied().await, [1, 2]);
    other_store.close().await;
}

/// What an instance is about to commit when it loses the subscription.
#[derive(Debug, Clone, Copy, PartialEq)]
enum About {
    Apply,
    Park,
    Retry,
    Halt,
    Replay,
    ReplayInVain,
}

#[tokio::test]
async fn i09_whoever_lost_the_fence_commits_nothing_whatever_it_is_about() {
    use About::{Apply, Halt, Park, Replay, ReplayInVain, Retry};
    for about in [Apply, Park, Retry, Halt, Replay, ReplayInVain] {
        let live = Live::new(&["a", "b", "a"]).await;
        let mut holder = about_to(&live, about).await;
        live.handle().pause(&operator(), Mode::Do).await.unwrap();
        let before = (live.row().await, live.kept().await, live.applied().await);
        let outcome = holder.step().await;
        assert!(
            matches!(outcome, Ok(StepOutcome::Superseded)),
            "{about:?}: {outcome:?}"
        );
        let after = (live.row().await, live.kept().await, live.applied().await);
        assert_eq!(before, after, "{about:?}");
        assert_eq!(holder.step().await.unwrap(), StepOutcome::Paused);
    }
}

async fn about_to(live: &Live, about: About) -> Consumer {
    let permanent = HandlerError::permanent("the lamp is unknown");
    let mut holder = live.consumer().lease(HOUR);
    match about {
        About::Apply => {}
        About::Retry => live.faults.set(1, HandlerError::transient("not yet")),
        About::Park | About::Halt | About::Replay | About::ReplayInVain => {
            live.faults.set(1, permanent);
        }
    }
    if about == About::Halt {
        // The third event has no room, when the second one is applied.
        let limits = feed_core::ParkingLimits { keys: 1, events: 1 };
        holder = holder.parking_limits(limits);
        let is_applied = |outcome: &StepOutcome| matches!(outcome, StepOutcome::Applied { .. });
        step_until(&mut holder, is_applied).await;
        return holder;
    }
    if matches!(about, About::Replay | About::ReplayInVain) {
        settle(&mut holder).await;
        live.handle().retry(Chosen::All, Mode::Do).await.unwrap();
        holder = live.consumer().lease(HOUR);
        step_until(&mut holder, |outcome| *outcome == StepOutcome::Taken).await;
        if about == About::Replay {
            live.faults.mend(1);
        }
    } else {
        step_until(&mut holder, |outcome| *outcome == StepOutcome::Fetched).await;
    }
    holder
}

#[tokio::test]
async fn i09_whoever_waits_for_news_notices_within_a_second_or_two_that_it_lost_the_fence() {
    let live = Live::new(&["a"]).await;
    let stop = CancellationToken::new();
    let running = live.consumer().lease(HOUR).spawn(stop.clone());
    live.reader.wait_until(|row| row.events == 1).await;
    let handle = live.handle();
    let paused = handle.pause(&operator(), Mode::Do).await.unwrap();
    assert_eq!(paused.after.state, SubscriptionState::Paused);
    live.append(&["b"]).await;
    let began = Instant::now();
    handle.resume(Mode::Do).await.unwrap();
    live.reader.wait_until(|row| row.events == 2).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{began:?}");
    assert_eq!(live.row().await.fence, paused.after.fence + 2);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn i09_a_lease_is_kept_while_there_is_nothing_to_do() {
    let live = Live::new(&["a"]).await;
    let stop = CancellationToken::new();
    let lease = Duration::from_millis(900);
    let running = live.consumer().lease(lease).spawn(stop.clone());
    let row = live.reader.wait_until(|row| row.events == 1).await;
    let mut other = live.consumer();
    let began = Instant::now();
    // Longer than the lease would last by itself.
    while began.elapsed() < lease * 3 {
        standby(&other.step().await.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(live.row().await.fence, row.fence);
    stop.cancel();
    running.await.unwrap().unwrap();
}
