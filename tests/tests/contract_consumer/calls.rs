//! Handlers that call another system first: outside of the transaction, with the event's id as idempotency key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use feed_core::{Call, Chosen, Event, EventState, HandlerError, Handlers, Mode, StepOutcome, Tx};

use super::live::{Faults, Live, operator, settle, step_until};
use super::reader::{failure, note};
use super::scripted::LIT;

/// What another system was asked, by the keys.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A call that is answered with its key, unless `refusals` says otherwise, and a handler that checks that.
fn handlers(asked: &Asked, refusals: &Faults, faults: &Faults) -> Handlers {
    let (asked, refusals, faults) = (asked.clone(), refusals.clone(), faults.clone());
    let call = move |call: Call| {
        let refused = refusals.check(call.event());
        let key = call.idempotency_key();
        let header = format!("\"{key}\"");
        assert_eq!(call.headers()["idempotency-key"], header.as_str());
        asked.0.lock().unwrap().push(key.clone());
        async move {
            // It may wait, other than a handler.
            tokio::time::sleep(Duration::from_millis(1)).await;
            refused.map(|()| key)
        }
    };
    Handlers::new().on_call(
        LIT,
        call,
        async move |tx: &mut Tx<'_>, event: &Event, answer: &String| {
            note(tx, event).await?;
            assert_eq!(*answer, event.id.to_string());
            faults.check(event)
        },
    )
}

#[tokio::test]
async fn i07_a_call_is_made_again_with_the_same_key_when_it_or_its_handler_failed() {
    let live = Live::new(&["a", "b"]).await;
    let (asked, refusals) = (Asked::default(), Faults::default());
    refusals.set(2, HandlerError::transient("busy"));
    let handlers = handlers(&asked, &refusals, &live.faults);
    let mut consumer = live.reader.consumer_with(&live.url(), handlers);
    let error = failure(&mut consumer).await;
    assert!(error.is_transient() && error.to_string().contains("busy"));
    // The one before it was committed when the call was made.
    assert_eq!(live.applied().await, [1]);
    refusals.mend(2);
    live.faults.set(2, HandlerError::transient("not yet"));
    assert!(failure(&mut consumer).await.to_string().contains("not yet"));
    assert_eq!(live.states().await, [(2, EventState::Retrying)]);
    assert_eq!(live.kept().await[0].attempts, 2);
    live.faults.mend(2);
    settle(&mut consumer).await;
    assert_eq!(live.applied().await, [1, 2]);
    let ids = [live.event(1).await.id, live.event(2).await.id].map(|id| id.to_string());
    let [first, second] = ids.clone();
    assert_eq!(asked.all(), [first, second.clone(), second.clone(), second]);
}

#[tokio::test]
async fn i10_a_refused_call_parks_its_event_and_is_made_again_when_that_is_replayed() {
    let live = Live::new(&["a", "a", "b"]).await;
    let (asked, refusals) = (Asked::default(), Faults::default());
    refusals.set(1, HandlerError::permanent("no such customer"));
    let handlers = handlers(&asked, &refusals, &live.faults);
    let mut consumer = live.reader.consumer_with(&live.url(), handlers);
    settle(&mut consumer).await;
    use EventState::{Parked, Waiting};
    assert_eq!(live.states().await, [(1, Parked), (2, Waiting)]);
    assert_eq!(live.applied().await, [3]);
    // No call was made for the one that only waits.
    assert_eq!(asked.all().len(), 2);
    refusals.mend(1);
    live.handle().retry(Chosen::All, Mode::Do).await.unwrap();
    step_until(&mut consumer, |outcome| {
        matches!(outcome, StepOutcome::Replayed { events: 1 })
    })
    .await;
    settle(&mut consumer).await;
    assert_eq!(live.applied().await, [3, 1, 2]);
    assert_eq!(asked.all().len(), 4);
}

#[tokio::test]
async fn i10_a_call_that_panics_parks_its_event() {
    let live = Live::new(&["a", "b"]).await;
    for begins in [true, false] {
        let reader = super::reader::Reader::new().await;
        let call = move |call: Call| {
            let is_bad = call.event().subject.as_str() == "a";
            assert!(!(is_bad && begins), "the line is dead");
            async move {
                assert!(!is_bad, "the line is dead");
                Ok(())
            }
        };
        let handlers = Handlers::new().on_call(
            LIT,
            call,
            async |tx: &mut Tx<'_>, event: &Event, (): &()| note(tx, event).await,
        );
        let mut consumer = reader.consumer_with(&live.url(), handlers);
        settle(&mut consumer).await;
        assert_eq!(reader.applied_positions().await, [2]);
        let handle = reader.store.subscription(super::reader::SUBSCRIPTION);
        let kept = handle.unwrap().events(None, 0, 9).await.unwrap();
        assert_eq!((kept.len(), kept[0].state), (1, EventState::Parked));
        let error = kept[0].error.clone().unwrap();
        assert!(error.contains("the line is dead"), "{error}");
    }
}

/// A call that takes so long, and a count of those that came to their end.
fn slow(takes: Duration) -> (Handlers, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (begun.clone(), ended.clone());
    let call = move |_: Call| {
        let (begun, ended) = counts.clone();
        async move {
            begun.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(takes).await;
            ended.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let handlers = Handlers::new().on_call(
        LIT,
        call,
        async |tx: &mut Tx<'_>, event: &Event, (): &()| note(tx, event).await,
    );
    (handlers, begun, ended)
}

#[tokio::test]
async fn i09_the_lease_is_kept_during_a_call() {
    let live = Live::new(&["a"]).await;
    let lease = Duration::from_millis(900);
    let (handlers, ..) = slow(lease * 3);
    let consumer = live.reader.consumer_with(&live.url(), handlers);
    let mut consumer = consumer.lease(lease);
    step_until(&mut consumer, |outcome| *outcome == StepOutcome::Fetched).await;
    let mut other = live.consumer();
    let looks = async {
        let mut step = Box::pin(consumer.step());
        loop {
            tokio::select! {
                stepped = &mut step => return stepped,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
            let outcome = other.step().await.unwrap();
            assert!(
                matches!(outcome, StepOutcome::Standby { .. }),
                "{outcome:?}"
            );
        }
    };
    let outcome = looks.await.unwrap();
    assert!(
        matches!(outcome, StepOutcome::Applied { .. }),
        "{outcome:?}"
    );
    assert_eq!(live.applied().await, [1]);
}

#[tokio::test]
async fn i09_a_call_is_given_up_when_the_subscription_is_lost() {
    let live = Live::new(&["a"]).await;
    let hour = Duration::from_secs(3_600);
    let (handlers, begun, ended) = slow(Duration::from_secs(9));
    let consumer = live.reader.consumer_with(&live.url(), handlers);
    let mut consumer = consumer.lease(hour);
    step_until(&mut consumer, |outcome| *outcome == StepOutcome::Fetched).await;
    let handle = live.handle();
    let began = Instant::now();
    let kim = operator();
    let pause = async {
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        handle.pause(&kim, Mode::Do).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(consumer.step(), pause);
    assert_eq!(outcome.unwrap(), StepOutcome::Superseded);
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    assert_eq!(live.applied().await, [] as [i64; 0]);
}
