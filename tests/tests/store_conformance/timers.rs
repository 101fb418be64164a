//! Timers: set, moved and cancelled with a transaction, fired once and in order, whoever else fires.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use feed_core::{
    AppendError, DueTimer, Event, EventId, Expected, HandlerError, Store, StoreError, Timer,
    Timers, TimersOutcome, Tx,
};
use tokio_util::sync::CancellationToken;

use super::{MIGRATIONS, event, note, notes, store, subject};

pub(super) const KIND: &str = "ring";

pub(super) fn timer(key: &str, due: DateTime<Utc>) -> Timer {
    Timer::new(KIND, key, due).unwrap()
}

pub(super) fn ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}

pub(super) async fn set(store: &Store, timers: Vec<Timer>) {
    let set: Result<(), StoreError> = store
        .write(async move |tx: &mut Tx<'_>| {
            for timer in &timers {
                tx.set_timer(timer).await?;
            }
            Ok(())
        })
        .await;
    set.unwrap();
}

/// Keeps the key of what fires as a note, which is refused a second time, and appends an event.
pub(super) async fn ring(tx: &mut Tx<'_>, timer: &DueTimer) -> Result<(), HandlerError> {
    note(tx, &timer.key).await?;
    tx.append("first", &subject(&timer.key), Expected::Any, &[event(1)])
        .await?;
    Ok(())
}

pub(super) fn ringing(store: &Store) -> Timers {
    Timers::new(store).on(KIND, ring)
}

/// Steps until nothing is due, and returns how many timers each step fired.
pub(super) async fn fire_all(timers: &mut Timers) -> Vec<usize> {
    let mut fired = Vec::new();
    while let TimersOutcome::Fired { timers, failure } = timers.step().await.unwrap() {
        assert_eq!(failure, None);
        fired.push(timers);
    }
    fired
}

async fn keys(store: &Store) -> Vec<String> {
    let timers = store.timers(10_000).await.unwrap();
    timers.into_iter().map(|timer| timer.key).collect()
}

async fn events_of(store: &Store, name: &str) -> Vec<Event> {
    let subject = subject(name);
    let events: Result<_, StoreError> = store
        .read(async move |tx: &mut Tx<'_>| tx.events_of(&subject).await)
        .await;
    events.unwrap()
}

#[tokio::test]
async fn i01_a_timer_is_set_and_cancelled_with_its_transaction_or_not_at_all() {
    let Some(store) = store().await else { return };
    set(&store, vec![timer("kept", ago(1))]).await;
    for keep in [false, true] {
        let worked: Result<(), AppendError> = store
            .write(async move |tx: &mut Tx<'_>| {
                tx.set_timer(&timer("set", ago(1))).await?;
                assert!(tx.cancel_timer(KIND, "kept").await?);
                assert!(!tx.cancel_timer("no such kind", "kept").await?);
                let name = subject("a");
                tx.append("first", &name, Expected::New, &[event(1)])
                    .await?;
                if keep {
                    Ok(())
                } else {
                    Err(StoreError::Closed.into())
                }
            })
            .await;
        assert_eq!(worked.is_ok(), keep);
        assert_eq!(keys(&store).await, [if keep { "set" } else { "kept" }]);
        assert_eq!(events_of(&store, "a").await.len(), usize::from(keep));
    }
    let only_reads: Result<(), StoreError> = store
        .read(async |tx: &mut Tx<'_>| tx.set_timer(&timer("a", ago(1))).await)
        .await;
    assert!(matches!(only_reads, Err(StoreError::ReadOnly)));
}

#[tokio::test]
async fn a_timer_fires_when_it_is_due_with_its_data_and_is_gone() {
    let Some(store) = store().await else { return };
    let later = Utc::now() + TimeDelta::days(1);
    let now = timer("now", ago(5)).with_data(&[7, 8]).unwrap();
    set(&store, vec![now, timer("later", later)]).await;
    let mut timers = Timers::new(&store).on(KIND, async |tx: &mut Tx<'_>, timer: &DueTimer| {
        assert_eq!(timer.decode::<Vec<u32>>()?, [7, 8]);
        assert!(timer.due < tx.now() && timer.attempts == 0);
        ring(tx, timer).await
    });
    assert_eq!(fire_all(&mut timers).await, [1]);
    assert_eq!(notes(&store).await, ["now"]);
    assert_eq!(keys(&store).await, ["later"]);
    let TimersOutcome::Waiting { until } = timers.step().await.unwrap() else {
        panic!("nothing is due");
    };
    let until = until.unwrap();
    assert_eq!(until.timestamp_micros(), later.timestamp_micros());
}

#[tokio::test]
async fn setting_a_timer_again_moves_it_with_all_that_is_known_of_it() {
    let Some(store) = store().await else { return };
    let first = timer("a", ago(1)).with_data(&1).unwrap();
    set(&store, vec![first]).await;
    set(&store, vec![timer("a", Utc::now() + TimeDelta::days(1))]).await;
    assert_eq!(fire_all(&mut ringing(&store)).await, [0; 0]);
    set(&store, vec![timer("a", ago(1)).with_data(&2).unwrap()]).await;
    let mut timers = Timers::new(&store).on(KIND, async |tx: &mut Tx<'_>, timer: &DueTimer| {
        assert_eq!(timer.decode::<u32>()?, 2);
        ring(tx, timer).await
    });
    assert_eq!(fire_all(&mut timers).await, [1]);
}

#[tokio::test]
async fn thousands_that_are_due_at_once_fire_in_bounded_batches_by_their_due_times() {
    let Some(store) = store().await else { return };
    let start = ago(10_000);
    // Not in the order in which they are set: 7 and 2,000 have no common factor.
    let shuffled = (0..2_000_i64).map(|number| number * 7 % 2_000);
    let due = |number: i64| start + TimeDelta::seconds(number);
    let all = shuffled.map(|number| timer(&format!("t-{number}"), due(number)));
    set(&store, all.collect()).await;
    let other = Timer::new("other", "o", due(1_500) + TimeDelta::milliseconds(500)).unwrap();
    set(&store, vec![other]).await;
    let append = async |tx: &mut Tx<'_>, timer: &DueTimer| {
        let name = subject(&timer.key);
        tx.append("first", &name, Expected::New, &[event(1)])
            .await?;
        Ok(())
    };
    let mut timers = Timers::new(&store).on(KIND, append).on("other", append);
    let fired = fire_all(&mut timers).await;
    assert_eq!(fired.iter().sum::<usize>(), 2_001);
    assert!(fired.len() > 20 && fired.iter().all(|fired| *fired <= 100));
    store.sequenced().await.unwrap();
    let log = store.log("first").unwrap();
    let window = feed_core::Window::Newest { limit: 3_000 };
    let (_, events) = log.read(window).await.unwrap();
    let mut wanted: Vec<String> = (0..2_000).map(|number| format!("t-{number}")).collect();
    wanted.insert(1_501, "o".to_owned());
    let subjects: Vec<&str> = events.iter().map(|event| event.subject.as_str()).collect();
    assert_eq!(subjects, wanted);
}

#[tokio::test]
async fn events_carry_on_where_the_timer_came_from() {
    let Some(store) = store().await else { return };
    let (cause, trace) = (
        EventId::now(),
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    let with = timer("with", ago(1))
        .caused_by_id(cause)
        .traced(trace)
        .unwrap();
    set(&store, vec![with, timer("without", ago(1))]).await;
    let mut timers = Timers::new(&store)
        .on(KIND, async |tx: &mut Tx<'_>, timer: &DueTimer| {
            let next = Timer::new("next", &timer.key, tx.now())?;
            tx.set_timer(&next).await?;
            Ok(())
        })
        .on("next", ring);
    fire_all(&mut timers).await;
    let events = events_of(&store, "with").await;
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(event.causationid, Some(cause));
    assert_eq!(event.correlationid, Some(cause.to_string()));
    assert_eq!(event.traceparent.as_deref(), Some(trace));
    let events = events_of(&store, "without").await;
    assert_eq!(
        (events[0].causationid, &events[0].correlationid),
        (None, &None)
    );
}

#[tokio::test]
async fn a_timer_may_set_itself_again_and_each_firing_has_its_own_events() {
    let Some(store) = store().await else { return };
    set(&store, vec![timer("a", ago(1)).with_data(&3).unwrap()]).await;
    let mut timers = Timers::new(&store).on(KIND, async |tx: &mut Tx<'_>, timer: &DueTimer| {
        tx.append("first", &subject("a"), Expected::Any, &[event(1)])
            .await?;
        let left: u32 = timer.decode()?;
        if left > 1 {
            let again = Timer::new(KIND, &timer.key, timer.due)?.with_data(&(left - 1))?;
            tx.set_timer(&again).await?;
        }
        Ok(())
    });
    assert_eq!(fire_all(&mut timers).await, [1, 1, 1]);
    assert_eq!(events_of(&store, "a").await.len(), 3);
}

#[tokio::test]
async fn i07_a_database_that_was_restored_repeats_the_same_events() {
    let Some(store) = store().await else { return };
    set(&store, vec![timer("a", ago(1)), timer("b", ago(1))]).await;
    let backup = store.copied().await;
    fire_all(&mut ringing(&store)).await;
    let restored = Store::open(&backup, MIGRATIONS).await.unwrap();
    fire_all(&mut ringing(&restored)).await;
    for name in ["a", "b"] {
        let (first, again) = (
            events_of(&store, name).await,
            events_of(&restored, name).await,
        );
        assert_eq!((first.len(), first[0].id), (1, again[0].id));
    }
    restored.close().await;
}

#[tokio::test]
async fn timers_outlive_the_process() {
    let Some(store) = store().await else { return };
    set(&store, vec![timer("a", ago(1))]).await;
    store.close().await;
    let again = Store::open(store.url(), MIGRATIONS).await.unwrap();
    assert_eq!(fire_all(&mut ringing(&again)).await, [1]);
    again.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i07_two_runners_on_one_database_fire_each_timer_once() {
    let Some(store) = store().await else { return };
    let other = Store::open(store.url(), MIGRATIONS).await.unwrap();
    let stop = CancellationToken::new();
    let runners = [ringing(&store), ringing(&other)].map(|timers| timers.spawn(stop.clone()));
    for round in 0..20 {
        let all = (0..50).map(|number| timer(&format!("t-{round}-{number}"), ago(number)));
        set(&store, all.collect()).await;
    }
    wait_until_rung(&store, 1_000).await;
    stop.cancel();
    for runner in runners {
        runner.await.unwrap();
    }
    assert_eq!(keys(&store).await, [""; 0]);
    store.sequenced().await.unwrap();
    let head = store.log("first").unwrap().state().await.unwrap().head;
    assert_eq!(head.position.get(), 1_000);
    other.close().await;
}

/// Steps are given up at any moment, as when a process dies: what was committed stays, nothing is done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i07_steps_that_are_given_up_lose_and_double_nothing() {
    let Some(store) = store().await else { return };
    let all = (0..1_000).map(|number| timer(&format!("t-{number}"), ago(number)));
    set(&store, all.collect()).await;
    let mut pause_us = 0;
    while !keys(&store).await.is_empty() {
        pause_us += 50;
        let mut timers = ringing(&store);
        let given_up = tokio::time::timeout(Duration::from_micros(pause_us), timers.step());
        let _ = given_up.await;
    }
    wait_until_rung(&store, 1_000).await;
    store.sequenced().await.unwrap();
    let head = store.log("first").unwrap().state().await.unwrap().head;
    assert_eq!(head.position.get(), 1_000);
}

#[tokio::test]
async fn a_runner_that_sleeps_is_woken_by_an_earlier_timer() {
    let Some(store) = store().await else { return };
    set(
        &store,
        vec![timer("later", Utc::now() + TimeDelta::days(1))],
    )
    .await;
    let stop = CancellationToken::new();
    let runner = ringing(&store).spawn(stop.clone());
    let due = Utc::now() + TimeDelta::milliseconds(50);
    set(&store, vec![timer("soon", due)]).await;
    wait_until_rung(&store, 1).await;
    assert!(Utc::now() >= due, "not too early");
    stop.cancel();
    runner.await.unwrap();
    assert_eq!(keys(&store).await, ["later"]);
}

async fn wait_until_rung(store: &Store, count: usize) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while notes(store).await.len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("all timers fire");
}
