//! What operators change, and what they are refused (invariant I9).

use std::time::{Duration, Instant};

use feed_core::{Chosen, EventId, EventState, HandlerError, Mode, OperateError, SubscriptionState};
use tokio_util::sync::CancellationToken;

use super::live::{Live, operator, settle, step_until};
use super::reader::failure;

fn permanent() -> HandlerError {
    HandlerError::permanent("the lamp is unknown")
}

/// Event 1 is parked, 2 waits behind it, 3 was applied, 4 is retried.
async fn scene() -> Live {
    let live = Live::new(&["a", "a", "b", "c"]).await;
    live.faults.set(1, permanent());
    live.faults.set(4, HandlerError::transient("not yet"));
    let mut consumer = live.consumer();
    assert!(failure(&mut consumer).await.is_transient());
    use EventState::{Parked, Retrying, Waiting};
    assert_eq!(
        live.states().await,
        [(1, Parked), (2, Waiting), (4, Retrying)]
    );
    live
}

#[tokio::test]
async fn i09_a_change_of_what_is_not_there_is_refused() {
    let live = scene().await;
    let before = live.row().await;
    let (handle, kim) = (live.handle(), operator());
    let nobody = live.reader.store.subscription("nobody").unwrap();
    let refused = nobody.pause(&kim, Mode::Do).await.unwrap_err();
    assert!(matches!(refused, OperateError::UnknownSubscription(name) if name == "nobody"));
    let refused = handle.resume(Mode::Do).await.unwrap_err();
    assert!(matches!(refused, OperateError::Running(_)), "{refused}");
    let applied = live.event(3).await.id;
    for id in [applied, EventId::now()] {
        let chosen = Chosen::Event(id);
        let refused = [
            handle.retry(chosen.clone(), Mode::Do).await.unwrap_err(),
            handle
                .drop_events(chosen, &kim, Mode::Do)
                .await
                .unwrap_err(),
        ];
        for refused in refused {
            assert!(matches!(refused, OperateError::UnknownEvent(found, _) if found == id));
        }
    }
    for key in ["b", "c", "nothing"] {
        let chosen = Chosen::Key(key.to_owned());
        let refused = [
            handle.retry(chosen.clone(), Mode::Do).await.unwrap_err(),
            handle
                .drop_events(chosen, &kim, Mode::Do)
                .await
                .unwrap_err(),
        ];
        for refused in refused {
            assert!(matches!(refused, OperateError::UnknownKey(found, _) if found == key));
        }
    }
    assert_eq!(live.row().await, before);
}

#[tokio::test]
async fn i10_a_change_that_is_not_for_an_events_state_is_refused_and_says_what_is() {
    let live = scene().await;
    let (handle, kim) = (live.handle(), operator());
    let chosen = async |position| Chosen::Event(live.event(position).await.id);
    let state = |refused: OperateError| match refused {
        OperateError::State { state, help, .. } => (state, help),
        other => panic!("{other}"),
    };
    let first = live.event(1).await.id.to_string();
    let refused = handle.retry(chosen(2).await, Mode::Do).await.unwrap_err();
    let (waiting, help) = state(refused);
    assert_eq!(waiting, EventState::Waiting);
    assert!(help.contains(&first), "{help}");
    let refused = handle.retry(chosen(4).await, Mode::Do).await.unwrap_err();
    assert_eq!(state(refused).0, EventState::Retrying);
    let refused = handle.drop_events(chosen(4).await, &kim, Mode::Do).await;
    let (retrying, help) = state(refused.unwrap_err());
    assert_eq!(retrying, EventState::Retrying);
    assert!(help.contains("skip"), "{help}");
    let dropped = handle.drop_events(chosen(1).await, &kim, Mode::Do).await;
    dropped.unwrap();
    for refused in [
        handle.retry(chosen(1).await, Mode::Do).await,
        handle.drop_events(chosen(1).await, &kim, Mode::Do).await,
    ] {
        assert_eq!(state(refused.unwrap_err()).0, EventState::Dropped);
    }
    // It is stuck at the fourth event only as long as that is not passed.
    let skipped = handle.skip(&kim, Mode::Do).await.unwrap();
    assert_eq!(skipped.events[0].event.position.get(), 4);
    let refused = handle.skip(&kim, Mode::Do).await.unwrap_err();
    assert!(matches!(refused, OperateError::NotStuck(_)), "{refused}");
}

#[tokio::test]
async fn i09_a_dry_run_says_what_would_happen_and_changes_nothing() {
    let live = scene().await;
    let (handle, kim, dry) = (live.handle(), operator(), Mode::DryRun);
    let before = (live.row().await, live.kept().await);
    let tried = [
        handle.pause(&kim, dry).await.unwrap(),
        handle.retry(Chosen::All, dry).await.unwrap(),
        handle.drop_events(Chosen::All, &kim, dry).await.unwrap(),
        handle.skip(&kim, dry).await.unwrap(),
        handle.reset(None, dry).await.unwrap(),
    ];
    for changed in &tried {
        assert_eq!(changed.before, before.0);
        assert_eq!(changed.after.fence, before.0.fence + 1);
        assert_eq!(changed.after.holder, None);
    }
    assert_eq!(tried[0].after.state, SubscriptionState::Paused);
    let touched = |number: usize| -> Vec<(u64, EventState)> {
        let events = tried[number].events.iter();
        events
            .map(|kept| (kept.event.position.get(), kept.state))
            .collect()
    };
    use EventState::{Dropped, Replaying};
    assert_eq!(touched(1), [(1, Replaying)]);
    assert_eq!(touched(2), [(1, Dropped), (2, Dropped)]);
    assert_eq!(touched(3), [(4, Dropped)]);
    assert_eq!((tried[4].after.cursor, tried[4].forgotten), (None, 3));
    assert_eq!((live.row().await, live.kept().await), before);
}

#[tokio::test]
async fn i09_every_change_takes_the_next_fence_and_says_by_whom_and_why() {
    let live = scene().await;
    let (handle, kim) = (live.handle(), operator());
    let fence = live.row().await.fence;
    let paused = handle.pause(&kim, Mode::Do).await.unwrap().after;
    assert_eq!(paused.reason.as_deref(), Some("by kim: it is time"));
    let retried = handle.retry(Chosen::All, Mode::Do).await.unwrap().after;
    assert_eq!(retried.state, SubscriptionState::Paused, "it stays so");
    assert_eq!(retried.reason, paused.reason);
    let dropped = handle.drop_events(Chosen::Key("a".into()), &kim, Mode::Do);
    for kept in dropped.await.unwrap().events {
        let by = (kept.dropped_by.as_deref(), kept.dropped_why.as_deref());
        assert_eq!(by, (Some("kim"), Some("it is time")));
    }
    handle.skip(&kim, Mode::Do).await.unwrap();
    let reset = handle.reset(None, Mode::Do).await.unwrap().after;
    assert_eq!(reset.state, SubscriptionState::Paused);
    let resumed = handle.resume(Mode::Do).await.unwrap().after;
    assert_eq!(resumed.state, SubscriptionState::Running);
    assert_eq!((resumed.fence, resumed.reason), (fence + 6, None));
}

#[tokio::test]
async fn i08_a_reset_past_an_event_that_is_retried_leaves_nothing_of_it_behind() {
    let live = scene().await;
    let cursor = live.event(4).await.cursor();
    let reset = live.handle().reset(Some(cursor), Mode::Do).await.unwrap();
    assert_eq!(reset.forgotten, 1);
    use EventState::{Parked, Waiting};
    assert_eq!(live.states().await, [(1, Parked), (2, Waiting)]);
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    assert_eq!(live.states().await, [(1, Parked), (2, Waiting)]);
    assert_eq!(live.applied().await, [3]);
}

#[tokio::test]
async fn i07_a_reset_backwards_makes_forget_what_comes_again() {
    let live = scene().await;
    live.faults.mend(1);
    live.faults.mend(4);
    let cursor = live.event(1).await.cursor();
    let reset = live.handle().reset(Some(cursor), Mode::Do).await.unwrap();
    assert_eq!(reset.forgotten, 2, "the parked one lies before it");
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    use EventState::{Parked, Waiting};
    assert_eq!(live.states().await, [(1, Parked), (2, Waiting)]);
    assert_eq!(live.applied().await, [3, 3, 4]);
    live.handle().reset(None, Mode::Do).await.unwrap();
    settle(&mut live.consumer()).await;
    assert_eq!(live.states().await, []);
    assert_eq!(live.applied().await, [3, 3, 4, 1, 2, 3, 4]);
}

#[tokio::test]
async fn i10_what_waited_behind_a_dropped_event_has_its_turn() {
    let live = scene().await;
    live.faults.mend(4);
    let first = Chosen::Event(live.event(1).await.id);
    let dropped = live
        .handle()
        .drop_events(first, &operator(), Mode::Do)
        .await;
    dropped.unwrap();
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    step_until(&mut consumer, |_| true).await;
    let mut applied = live.applied().await;
    applied.sort_unstable();
    assert_eq!(applied, [2, 3, 4]);
    assert_eq!(live.states().await, [(1, EventState::Dropped)]);
}

#[tokio::test]
async fn i09_a_running_consumer_does_what_an_operator_says_within_a_second_or_two() {
    let live = Live::new(&["a", "a", "b"]).await;
    live.faults.set(1, permanent());
    let stop = CancellationToken::new();
    let consumer = live.consumer().lease(Duration::from_secs(3_600));
    let running = consumer.spawn(stop.clone());
    live.reader.wait_until(|row| row.events == 3).await;
    let (handle, began) = (live.handle(), Instant::now());
    handle.pause(&operator(), Mode::Do).await.unwrap();
    live.append(&["b"]).await;
    handle.retry(Chosen::All, Mode::Do).await.unwrap();
    live.faults.mend(1);
    // Nothing is to be seen of a paused one: it is given the time in which one that is not would have gone on.
    let fourth = live.event(4).await.cursor();
    let goes_on = handle.wait_until(fourth, Duration::from_millis(1_500));
    assert!(!goes_on.await.unwrap());
    assert_eq!(live.applied().await, [3]);
    handle.resume(Mode::Do).await.unwrap();
    live.reader.wait_until(|row| row.events == 4).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
    let replayed = tokio::time::timeout(Duration::from_secs(10), async {
        while live.applied().await.len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    replayed.await.expect("it is replayed");
    stop.cancel();
    running.await.unwrap().unwrap();
}
