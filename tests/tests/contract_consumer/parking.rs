//! Events that cannot be applied: parked, and later replayed in order (invariants I7, I8, I10).

use std::time::Duration;

use feed_core::{
    Chosen, ConsumerError, Event, EventState, Halt, HandlerError, HandlerErrorKind, Handlers, Mode,
    ParkingLimits, StepOutcome, SubscriptionState, Tx, limits,
};

use futures_util::FutureExt;

use super::live::{Live, operator, settle, step_until};
use super::reader::{failure, note};
use super::scripted::LIT;

const HOUR: Duration = Duration::from_secs(3_600);

/// An error with a cause.
#[derive(Debug)]
struct NotLit(std::num::ParseIntError);

impl std::fmt::Display for NotLit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the lamp was not lit")
    }
}

impl std::error::Error for NotLit {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn permanent() -> HandlerError {
    HandlerError::permanent("the lamp is unknown")
}

#[tokio::test]
async fn i10_a_parked_event_keeps_its_chain_of_causes_and_others_go_on() {
    let live = Live::new(&["a", "b", "a", "c", "a"]).await;
    let error = HandlerError::of(
        HandlerErrorKind::Permanent,
        &NotLit("x".parse::<u8>().unwrap_err()),
    );
    live.faults.set(1, error);
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    assert_eq!(live.applied().await, [2, 4]);
    use EventState::{Parked, Waiting};
    assert_eq!(
        live.states().await,
        [(1, Parked), (3, Waiting), (5, Waiting)]
    );
    let kept = live.kept().await;
    let error = kept[0].error.as_deref();
    assert_eq!(
        error,
        Some("the lamp was not lit: invalid digit found in string")
    );
    assert_eq!(kept[0].event, live.event(1).await);
    assert_eq!((kept[0].attempts, kept[1].attempts), (1, 0));
    assert_eq!(live.row().await.state, SubscriptionState::Running);
}

#[tokio::test]
async fn i10_replay_keeps_the_order_and_live_events_wait_behind() {
    let live = Live::new(&["a", "a", "b", "a"]).await;
    live.faults.set(1, permanent());
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    live.faults.mend(1);
    // The second one cannot be applied either, as is seen when it has its turn.
    live.faults.set(2, permanent());
    live.append(&["a", "b"]).await;
    live.handle().retry(Chosen::All, Mode::Do).await.unwrap();
    settle(&mut consumer).await;
    assert_eq!(live.applied().await, [3, 1, 6]);
    use EventState::{Parked, Waiting};
    assert_eq!(
        live.states().await,
        [(2, Parked), (4, Waiting), (5, Waiting)]
    );
    live.faults.mend(2);
    let id = live.event(2).await.id;
    let retried = live.handle().retry(Chosen::Event(id), Mode::Do).await;
    assert_eq!(retried.unwrap().events[0].state, EventState::Replaying);
    settle(&mut consumer).await;
    live.append(&["a"]).await;
    settle(&mut consumer).await;
    assert_eq!(live.applied().await, [3, 1, 6, 2, 4, 5, 7]);
    assert_eq!(live.states().await, []);
}

#[tokio::test]
async fn i10_a_replay_that_fails_again_is_tried_later_or_parked_again() {
    let live = Live::new(&["a", "a"]).await;
    live.faults.set(1, permanent());
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    for (error, state) in [
        (HandlerError::transient("not yet"), EventState::Replaying),
        (HandlerError::lasting("for a while"), EventState::Replaying),
        (permanent(), EventState::Parked),
    ] {
        let text = error.to_string();
        live.faults.set(1, error);
        let before = live.kept().await[0].attempts;
        let id = live.event(1).await.id;
        let retried = live.handle().retry(Chosen::Event(id), Mode::Do).await;
        retried.unwrap();
        let outcome = step_until(&mut consumer, |outcome| {
            matches!(outcome, StepOutcome::Replayed { .. })
        });
        assert_eq!(outcome.await, StepOutcome::Replayed { events: 0 });
        let kept = &live.kept().await[0];
        assert_eq!((kept.state, kept.attempts), (state, before + 1));
        assert_eq!(kept.error.as_deref(), Some(text.as_str()));
        let is_due = kept.next_try.is_some();
        assert_eq!(is_due, state == EventState::Replaying, "{text}");
        assert_eq!(live.applied().await, [] as [i64; 0]);
    }
}

#[tokio::test]
async fn i10_a_lasting_error_parks_after_so_many_tries_and_a_transient_one_never() {
    for (error, parks) in [
        (HandlerError::lasting("for a while"), true),
        (HandlerError::transient("not yet"), false),
    ] {
        let live = Live::new(&["a", "b"]).await;
        live.faults.set(1, error);
        let mut consumer = live.consumer();
        for attempt in 1..limits::LASTING_TRIES_MAX {
            let error = failure(&mut consumer).await;
            assert!(matches!(error, ConsumerError::Handler { .. }), "{error:?}");
            let kept = live.kept().await;
            assert_eq!(
                (kept[0].state, kept[0].attempts),
                (EventState::Retrying, attempt)
            );
            assert_eq!(live.row().await.cursor, None);
        }
        if parks {
            settle(&mut consumer).await;
            assert_eq!(live.states().await, [(1, EventState::Parked)]);
            assert_eq!(live.applied().await, [2]);
            continue;
        }
        for _ in 0..20 {
            assert!(failure(&mut consumer).await.is_transient());
        }
        assert_eq!(live.states().await, [(1, EventState::Retrying)]);
        live.faults.mend(1);
        settle(&mut consumer).await;
        assert_eq!(live.states().await, []);
        assert_eq!(live.applied().await, [1, 2]);
    }
}

#[tokio::test]
async fn i12_too_many_parked_keys_halt_and_it_goes_on_when_some_are_dropped() {
    let limits = ParkingLimits { keys: 2, events: 9 };
    halts_until_room_is_made(limits, &["a", "b", "c"], 3).await;
}

#[tokio::test]
async fn i12_too_many_waiting_events_halt_and_it_goes_on_when_some_are_dropped() {
    let limits = ParkingLimits { keys: 9, events: 3 };
    halts_until_room_is_made(limits, &["a", "b", "a", "b"], 4).await;
}

/// At `position` there is no room; when the first key is dropped there is.
async fn halts_until_room_is_made(limits: ParkingLimits, subjects: &[&'static str], position: u64) {
    let live = Live::new(subjects).await;
    for position in 1..=subjects.len() as u64 {
        live.faults.set(position, permanent());
    }
    let mut consumer = live.consumer().parking_limits(limits);
    let error = failure(&mut consumer).await;
    match &error {
        ConsumerError::Halted(Halt::TooMuchParked { event, .. }) => {
            assert_eq!(event.position.get(), position);
        }
        other => panic!("{other:?}"),
    }
    let row = live.row().await;
    assert_eq!(
        row.halted(),
        Some(error.to_string().trim_start_matches("halted: "))
    );
    let at = row.cursor.map_or(0, |cursor| cursor.position.get());
    assert_eq!(at, position - 1);
    assert_eq!(consumer.step().await.unwrap(), StepOutcome::Halted);
    let key = Chosen::Key("a".to_owned());
    let dropped = live.handle().drop_events(key, &operator(), Mode::Do).await;
    assert_eq!(dropped.unwrap().after.state, SubscriptionState::Halted);
    live.handle().resume(Mode::Do).await.unwrap();
    settle(&mut consumer).await;
    let last = live.row().await.cursor.unwrap().position.get();
    assert_eq!(last, subjects.len() as u64);
    assert_eq!(live.applied().await, [] as [i64; 0]);
}

#[tokio::test]
async fn i10_live_events_go_on_while_much_is_replayed() {
    let live = Live::new(&["a", "b", "c", "d", "e"]).await;
    for position in 1..=5 {
        live.faults.set(position, permanent());
    }
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    for position in 1..=5 {
        live.faults.mend(position);
    }
    live.append(&["f"]).await;
    live.handle().retry(Chosen::All, Mode::Do).await.unwrap();
    step_until(&mut consumer, |outcome| {
        matches!(outcome, StepOutcome::Applied { .. })
    })
    .await;
    let applied = live.applied().await;
    let live_one = applied.iter().position(|position| *position == 6);
    assert!(live_one < Some(3), "it waited for the others: {applied:?}");
    settle(&mut consumer).await;
    assert_eq!(live.applied().await.len(), 6);
}

#[tokio::test]
async fn i10_a_statement_that_failed_without_the_handler_minding_parks_its_event_alone() {
    let live = Live::new(&["a", "b", "c"]).await;
    let handlers = Handlers::new().on(LIT, async |tx: &mut Tx<'_>, event: &Event| {
        note(tx, event).await?;
        if event.position.get() == 2 {
            let _ = tx
                .execute("INSERT INTO no_such_table VALUES (1)", &[])
                .await;
        }
        Ok(())
    });
    let mut consumer = live.reader.consumer_with(&live.url(), handlers);
    settle(&mut consumer).await;
    assert_eq!(live.states().await, [(2, EventState::Parked)]);
    assert_eq!(live.applied().await, [1, 3]);
}

#[tokio::test]
async fn i07_work_that_takes_too_long_is_a_lasting_error() {
    let live = Live::new(&["a"]).await;
    let handlers = Handlers::new().on(LIT, async |tx: &mut Tx<'_>, event: &Event| {
        note(tx, event).await?;
        tx.query::<(i64,)>(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
            &[],
        )
        .await?;
        Ok(())
    });
    let mut consumer = live.reader.consumer_with(&live.url(), handlers);
    match failure(&mut consumer).await {
        ConsumerError::Handler { source, .. } => {
            assert_eq!(source.kind(), HandlerErrorKind::Lasting, "{source}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(live.states().await, [(1, EventState::Retrying)]);
    assert_eq!(live.applied().await, [] as [i64; 0]);
}

#[tokio::test]
async fn i07_a_replaying_step_that_is_dropped_leaves_nothing_to_wait_for_ever() {
    // How often the step is polled before it is dropped; its transaction may be committed all the same.
    for polls in 1..=5 {
        let live = Live::new(&["a", "b"]).await;
        live.faults.set(1, permanent());
        settle(&mut live.consumer()).await;
        live.faults.mend(1);
        live.handle().retry(Chosen::All, Mode::Do).await.unwrap();
        let mut consumer = live.consumer().lease(HOUR);
        assert_eq!(consumer.step().await.unwrap(), StepOutcome::Taken);
        {
            let mut step = Box::pin(consumer.step());
            for _ in 0..polls {
                // The writer has a thread of its own, and is given the time to commit.
                if (&mut step).now_or_never().is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
        live.append(&["a"]).await;
        settle(&mut consumer).await;
        assert_eq!(live.states().await, [], "{polls} polls");
        assert_eq!(live.applied().await, [2, 1, 3], "{polls} polls");
    }
}
