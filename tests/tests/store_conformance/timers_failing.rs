//! Timers that do not fire: put off, kept as failed, or nobody's.

use chrono::{TimeDelta, Utc};
use feed_core::{
    DueTimer, HandlerError, StoreError, Timer, TimerFailure, TimerState, Timers, TimersOutcome, Tx,
};

use super::timers::{KIND, ago, fire_all, ring, ringing, set, timer};
use super::{note, notes, store};

/// A runner whose handler rings, and fails as `how` says when the key begins with `bad`.
fn failing(
    store: &feed_core::Store,
    how: impl AsyncFn(&mut Tx<'_>) -> Result<(), HandlerError> + Send + Sync + 'static,
) -> Timers {
    Timers::new(store).on(KIND, async move |tx: &mut Tx<'_>, timer: &DueTimer| {
        ring(tx, timer).await?;
        if timer.key.starts_with("bad") {
            how(tx).await?;
        }
        Ok(())
    })
}

/// Steps until nothing is due, and returns what failed.
async fn failures(timers: &mut Timers) -> Vec<TimerFailure> {
    let mut failures = Vec::new();
    while let TimersOutcome::Fired { failure, .. } = timers.step().await.unwrap() {
        failures.extend(failure);
    }
    failures
}

async fn state(store: &feed_core::Store, key: &str) -> TimerState {
    let timers = store.timers(100).await.unwrap();
    timers.into_iter().find(|timer| timer.key == key).unwrap()
}

async fn good_and_bad(store: &feed_core::Store) {
    let timers = ["a", "bad", "c", "bad-too", "e"];
    let timers = timers.iter().zip(0..);
    let timers = timers.map(|(key, age)| timer(key, ago(100 - age)));
    set(store, timers.collect()).await;
}

#[tokio::test]
async fn one_that_fails_for_now_is_put_off_and_the_others_go_on() {
    let Some(store) = store().await else { return };
    good_and_bad(&store).await;
    let mut timers = failing(&store, async |_: &mut Tx<'_>| {
        Err(StoreError::Unavailable("the moon is down".into()).into())
    });
    let first = timers.step().await.unwrap();
    let TimersOutcome::Fired {
        timers: 1,
        failure: Some(failure),
    } = first
    else {
        panic!("{first:?}");
    };
    assert_eq!((failure.key.as_str(), failure.attempts), ("bad", 1));
    assert!(failure.error.contains("the moon is down"), "{failure:?}");
    assert!(failure.next_try.is_some());
    while notes(&store).await.len() < 3 {
        timers.step().await.unwrap();
    }
    assert_eq!(
        notes(&store).await,
        ["a", "c", "e"],
        "nothing of what failed is kept"
    );
    let bad = state(&store, "bad").await;
    assert!(bad.attempts > 0 && !bad.failed && bad.error.is_some());
    assert!(bad.next_try > bad.due, "later than it was due");
    assert!(store.retry_timer(KIND, "bad").await.unwrap());
    assert!(store.retry_timer(KIND, "bad-too").await.unwrap());
    fire_all(&mut ringing(&store)).await;
    assert_eq!(notes(&store).await, ["a", "bad", "bad-too", "c", "e"]);
}

/// Each way to fail for good, with what the error has to say.
#[tokio::test]
async fn one_that_fails_for_good_is_kept_until_somebody_decides() {
    type How = fn(&mut Tx<'_>) -> HandlerError;
    let ways: [(How, &str); 2] = [
        (
            |_| StoreError::Corrupt("no such order".into()).into(),
            "no such order",
        ),
        (
            |_| panic!("the handler's own fault"),
            "the handler's own fault",
        ),
    ];
    for (how, said) in ways {
        let Some(store) = store().await else { return };
        good_and_bad(&store).await;
        let mut timers = failing(&store, async move |tx: &mut Tx<'_>| Err(how(tx)));
        let failures = failures(&mut timers).await;
        assert_eq!(failures.len(), 2);
        assert!(failures.iter().all(|failure| failure.next_try.is_none()));
        assert_eq!(notes(&store).await, ["a", "c", "e"]);
        let bad = state(&store, "bad").await;
        assert!(
            bad.failed && bad.error.as_deref().unwrap().contains(said),
            "{bad:?}"
        );
        assert_eq!(
            fire_all(&mut ringing(&store)).await,
            [0; 0],
            "not by itself"
        );

        assert!(store.drop_timer(KIND, "bad-too").await.unwrap());
        assert!(!store.drop_timer(KIND, "bad-too").await.unwrap());
        assert!(store.retry_timer(KIND, "bad").await.unwrap());
        assert_eq!(fire_all(&mut ringing(&store)).await, [1]);
        assert_eq!(notes(&store).await, ["a", "bad", "c", "e"]);
        assert!(!store.retry_timer(KIND, "bad").await.unwrap());
    }
}

#[tokio::test]
async fn awaiting_something_else_and_going_on_after_an_error_are_told_as_what_they_are() {
    for (waits, said) in [(true, "may wait for nothing"), (false, "a statement")] {
        let Some(store) = store().await else { return };
        good_and_bad(&store).await;
        let mut timers = failing(&store, async move |tx: &mut Tx<'_>| {
            if waits {
                tokio::task::yield_now().await;
            } else {
                let refused = note(tx, "a").await;
                assert!(refused.is_err());
            }
            Ok(())
        });
        let failures = failures(&mut timers).await;
        assert_eq!(failures.len(), 2);
        assert!(failures[0].error.contains(said), "{failures:?}");
        assert!(failures[0].next_try.is_none());
        assert_eq!(notes(&store).await, ["a", "c", "e"]);
    }
}

#[tokio::test]
async fn a_commit_that_is_refused_is_put_down_to_its_timer() {
    let Some(store) = store().await else { return };
    let table =
        "CREATE TABLE owned (owner TEXT REFERENCES notes (note) DEFERRABLE INITIALLY DEFERRED)";
    store.run(table).await;
    good_and_bad(&store).await;
    let mut timers = failing(&store, async |tx: &mut Tx<'_>| {
        tx.execute("INSERT INTO owned (owner) VALUES ('nobody')", &[])
            .await?;
        Ok(())
    });
    let failures = failures(&mut timers).await;
    let keys: Vec<_> = failures
        .iter()
        .map(|failure| failure.key.as_str())
        .collect();
    assert_eq!(keys, ["bad", "bad-too"]);
    assert_eq!(notes(&store).await, ["a", "c", "e"]);
}

#[tokio::test]
async fn a_failed_timer_that_is_set_again_fires_again() {
    let Some(store) = store().await else { return };
    set(&store, vec![timer("bad", ago(1))]).await;
    let mut timers = failing(&store, async |_: &mut Tx<'_>| {
        Err(StoreError::Corrupt("bad".into()).into())
    });
    assert_eq!(failures(&mut timers).await.len(), 1);
    set(&store, vec![timer("bad", ago(1))]).await;
    assert_eq!(state(&store, "bad").await.error, None);
    assert_eq!(fire_all(&mut ringing(&store)).await, [1]);
}

#[tokio::test]
async fn timers_without_a_handler_stay_and_do_not_stand_in_the_way() {
    let Some(store) = store().await else { return };
    let other = |number| Timer::new("other", &format!("o-{number}"), ago(1_000)).unwrap();
    set(&store, (0..300).map(other).collect()).await;
    let later = Timer::new("later", "l", Utc::now() + TimeDelta::days(1)).unwrap();
    set(&store, vec![timer("a", ago(1)), later]).await;
    let mut timers = ringing(&store);
    assert_eq!(fire_all(&mut timers).await, [1]);
    assert_eq!(
        timers.unhandled().await.unwrap(),
        [("other".to_owned(), 300)]
    );
    let waiting = timers.step().await.unwrap();
    assert_eq!(waiting, TimersOutcome::Waiting { until: None });
    assert_eq!(store.timers(1_000).await.unwrap().len(), 301);
    assert_eq!(
        store.timers(10).await.unwrap().len(),
        10,
        "as many as asked for"
    );
}
