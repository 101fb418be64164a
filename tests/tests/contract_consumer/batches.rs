//! Handlers of several events at once, of typed data, several of one type, and types without any.

use std::sync::{Arc, Mutex};

use feed_core::{
    Event, EventId, EventState, Expected, HandlerError, Handlers, NewEvent, OrderingKey, Subject,
    Tx, UnknownTypes,
};

use super::live::{Live, settle};
use super::reader::{ANSWERS, SUBSCRIPTION, note};
use super::scripted::LIT;

/// The runs that a handler was given, by positions.
type Runs = Arc<Mutex<Vec<Vec<u64>>>>;

/// Notes all events of a run, saying which one it is about, and fails where it is told to.
fn noting(live: &Live, runs: &Runs) -> Handlers {
    let (faults, runs) = (live.faults.clone(), runs.clone());
    Handlers::new().on_batch(LIT, async move |tx: &mut Tx<'_>, events: &[Event]| {
        let positions = events.iter().map(|event| event.position.get()).collect();
        runs.lock().unwrap().push(positions);
        for event in events {
            tx.follow(event);
            note(tx, event).await?;
        }
        events.iter().try_for_each(|event| faults.check(event))
    })
}

#[tokio::test]
async fn i07_a_run_is_handled_at_once_and_each_follow_up_derives_from_its_cause() {
    let live = Live::new(&["a", "b", "c"]).await;
    live.append_type("Dimmed", &["a"]).await;
    live.append(&["a", "b"]).await;
    let runs = Runs::default();
    let mut consumer = live.reader.consumer_with(&live.url(), noting(&live, &runs));
    settle(&mut consumer).await;
    assert_eq!(*runs.lock().unwrap(), [vec![1, 2, 3], vec![5, 6]]);
    assert_eq!(live.applied().await, [1, 2, 3, 5, 6]);
    let mut derived = Vec::new();
    for position in [1, 2, 3, 5, 6] {
        let cause = live.event(position).await.id;
        derived.push(EventId::follow_up(SUBSCRIPTION, cause, 0));
    }
    assert_eq!(live.reader.follow_ups().await, derived);
    let row = live.row().await;
    assert_eq!((row.events, row.unhandled), (6, 1));
}

#[tokio::test]
async fn i10_the_one_at_fault_is_found_and_parked_alone() {
    for culprit in 1..=4 {
        let live = Live::new(&["a", "b", "c", "d"]).await;
        let unknown = HandlerError::permanent("the lamp is unknown");
        live.faults.set(culprit, unknown);
        let runs = Runs::default();
        let mut consumer = live.reader.consumer_with(&live.url(), noting(&live, &runs));
        settle(&mut consumer).await;
        let others: Vec<i64> = (1..=4).filter(|at| *at != culprit as i64).collect();
        assert_eq!(live.applied().await, others, "{culprit}");
        assert_eq!(live.states().await, [(culprit, EventState::Parked)]);
        let kept = &live.kept().await[0];
        assert_eq!(kept.error.as_deref(), Some("the lamp is unknown"));
    }
}

#[tokio::test]
async fn i07_what_follows_from_none_of_the_events_is_refused() {
    let live = Live::new(&["a", "b"]).await;
    let handlers = Handlers::new().on_batch(LIT, async |tx: &mut Tx<'_>, events: &[Event]| {
        note(tx, &events[0]).await
    });
    let mut consumer = live.reader.consumer_with(&live.url(), handlers);
    settle(&mut consumer).await;
    use EventState::Parked;
    assert_eq!(live.states().await, [(1, Parked), (2, Parked)]);
    assert_eq!(live.applied().await, [] as [i64; 0]);
    assert_eq!(live.reader.follow_ups().await, []);
}

#[tokio::test]
async fn i07_several_handlers_of_one_type_run_in_their_order_and_fail_together() {
    let live = Live::new(&["a", "b"]).await;
    let faults = live.faults.clone();
    let typed = async move |tx: &mut Tx<'_>, event: &Event, data: String| {
        assert_eq!(data, event.subject.as_str());
        let subject = Subject::new(format!("second-{}", event.subject))?;
        let follow_up = NewEvent::json("Seen", &data)?;
        tx.append(ANSWERS, &subject, Expected::Any, &[follow_up])
            .await?;
        faults.check(event)
    };
    live.faults.set(2, HandlerError::permanent("no"));
    let handlers = Handlers::new().on(LIT, note).on_data(LIT, typed);
    let mut consumer = live.reader.consumer_with(&live.url(), handlers);
    settle(&mut consumer).await;
    assert_eq!(live.applied().await, [1]);
    assert_eq!(live.states().await, [(2, EventState::Parked)]);
    let cause = live.event(1).await.id;
    let derived = [0, 1].map(|index| EventId::follow_up(SUBSCRIPTION, cause, index));
    assert_eq!(live.reader.follow_ups().await, derived);
}

#[tokio::test]
async fn i10_data_of_another_shape_parks_its_event() {
    let live = Live::new(&["a"]).await;
    let handlers = Handlers::new().on_data(LIT, async |tx: &mut Tx<'_>, event: &Event, _: u32| {
        note(tx, event).await
    });
    settle(&mut live.reader.consumer_with(&live.url(), handlers)).await;
    let kept = live.kept().await;
    assert_eq!(kept[0].state, EventState::Parked);
    let error = kept[0].error.clone().unwrap();
    assert!(error.contains("u32"), "{error}");
}

#[tokio::test]
async fn i08_types_without_a_handler_are_passed_and_counted_also_where_they_waited() {
    let live = Live::new(&["a"]).await;
    live.append_type("Dimmed", &["a", "b"]).await;
    live.faults.set(1, HandlerError::permanent("no"));
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    assert_eq!(live.row().await.unhandled, 1);
    live.faults.mend(1);
    let all = feed_core::Chosen::All;
    let retried = live.handle().retry(all, feed_core::Mode::Do).await;
    retried.unwrap();
    settle(&mut live.consumer()).await;
    assert_eq!(live.states().await, []);
    let row = live.row().await;
    assert_eq!((row.events, row.unhandled), (3, 2));
}

#[tokio::test]
async fn i10_types_without_a_handler_are_parked_where_they_are_refused() {
    let live = Live::new(&["a"]).await;
    live.append_type("Dimmed", &["a", "b"]).await;
    let handlers = live.faults.handlers().unknown_types(UnknownTypes::Refuse);
    settle(&mut live.reader.consumer_with(&live.url(), handlers)).await;
    use EventState::Parked;
    assert_eq!(live.states().await, [(2, Parked), (3, Parked)]);
    let error = live.kept().await[0].error.clone().unwrap();
    assert!(error.contains("Dimmed"), "{error}");
    assert_eq!(live.row().await.unhandled, 0);
}

#[tokio::test]
async fn i10_a_computed_key_decides_what_waits_and_one_that_panics_is_the_subject() {
    let live = Live::new(&["odd-1", "even-2", "odd-3", "even-4", "lost-5", "lost-5"]).await;
    live.faults.set(1, HandlerError::permanent("no"));
    live.faults.set(5, HandlerError::permanent("no"));
    let key = OrderingKey::by(|event| {
        let (kind, _) = event.subject.as_str().split_once('-').unwrap();
        assert_ne!(kind, "lost", "there is no key");
        kind.to_owned()
    });
    settle(&mut live.consumer().ordering(key)).await;
    assert_eq!(live.applied().await, [2, 4]);
    let kept = live.kept().await.into_iter();
    let keys: Vec<_> = kept.map(|kept| kept.ordering_key).collect();
    assert_eq!(keys, ["odd", "odd", "lost-5", "lost-5"]);
}
