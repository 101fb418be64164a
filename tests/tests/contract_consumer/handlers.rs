//! Handlers that fail: nothing of the failed event is kept, and nothing behind it is applied (invariants I7, I8, I10).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use feed_core::{
    Consumer, ConsumerError, Event, Format, Halt, HandlerError, Handlers, Mode, OrderingKey,
    SubscriptionState, Tx,
};
use tokio_util::sync::CancellationToken;

use super::reader::{Reader, SUBSCRIPTION, catch_up, catch_up_patiently, failure, note};
use super::scripted::{LIT, ScriptedFeed, ScriptedServer};

const START: &str = "/feeds/lamps?after=start";
const LENGTH: u64 = 6;

/// A feed of six events in one document.
async fn scene() -> (ScriptedFeed, Reader, ScriptedServer) {
    let feed = ScriptedFeed::new(1, LENGTH);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on(START, [feed.tail(Format::Json, 1..=LENGTH)]);
    for position in 1..LENGTH {
        let rest = feed.tail(Format::Json, position + 1..=LENGTH);
        server.on(&feed.after(position), [rest]);
    }
    let end = feed.nothing_after(Format::Json, LENGTH);
    server.on(&feed.after(LENGTH), [end]);
    (feed, reader, server)
}

/// What a handler does instead of coming to its end.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Transient,
    Permanent,
    Panic,
    Timer,
    Channel,
}

/// The usual handler, which fails at `position` after it did all its work, so that there is something to undo.
fn failing(position: u64, fault: Fault, tries: Arc<AtomicU64>) -> Handlers {
    Handlers::new().on(LIT, async move |tx: &mut Tx<'_>, event: &Event| {
        note(tx, event).await?;
        if event.position.get() != position {
            return Ok(());
        }
        tries.fetch_add(1, Ordering::SeqCst);
        match fault {
            Fault::Transient => Err(HandlerError::transient("not yet")),
            Fault::Permanent => Err(HandlerError::permanent("the lamp is unknown")),
            Fault::Panic => panic!("the lamp exploded"),
            Fault::Timer => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            }
            Fault::Channel => {
                let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
                let received = receiver.await;
                drop(sender);
                received.map_err(HandlerError::permanent)
            }
        }
    })
}

fn consumer_failing(
    reader: &Reader,
    server: &ScriptedServer,
    position: u64,
    fault: Fault,
) -> (Consumer, Arc<AtomicU64>) {
    let tries = Arc::new(AtomicU64::new(0));
    let handlers = failing(position, fault, tries.clone());
    let consumer = reader.consumer_with(&server.feed_url(), handlers);
    (consumer.ordering(OrderingKey::Feed), tries)
}

#[tokio::test]
async fn i10_a_transient_error_is_retried_and_never_halts() {
    for position in 1..=LENGTH {
        let (feed, reader, server) = scene().await;
        let (mut consumer, tries) = consumer_failing(&reader, &server, position, Fault::Transient);
        for _ in 0..10 {
            let error = failure(&mut consumer).await;
            assert!(error.is_transient(), "{error}");
            assert!(matches!(error, ConsumerError::Handler { .. }), "{error:?}");
            for part in [feed.event(position).id.to_string().as_str(), "not yet"] {
                assert!(error.to_string().contains(part), "{part}: {error}");
            }
            // Those before it are done, and nothing of it is.
            reader.assert_applied(&feed, position - 1).await;
            assert_eq!(reader.halted().await, None);
        }
        assert!(tries.load(Ordering::SeqCst) >= 10);
        // The same process gets on when the handler does.
        let mut mended = consumer.handlers(Handlers::new().on(LIT, note));
        catch_up(&mut mended).await;
        reader.assert_applied(&feed, LENGTH).await;
    }
}

#[tokio::test]
async fn i10_a_permanent_error_halts_at_its_event_and_goes_on_when_mended() {
    for position in 1..=LENGTH {
        let (feed, reader, server) = scene().await;
        let (mut consumer, _) = consumer_failing(&reader, &server, position, Fault::Permanent);
        for restarted in [false, true, true] {
            if restarted {
                consumer = consumer_failing(&reader, &server, position, Fault::Permanent).0;
            }
            let error = failure(&mut consumer).await;
            assert!(!error.is_transient(), "{error}");
            let at = match &error {
                ConsumerError::Halted(Halt::Poisoned { event, .. }) => event.position.get(),
                other => panic!("{other:?}"),
            };
            assert_eq!(at, position);
            reader.assert_applied(&feed, position - 1).await;
            let reason = reader.halted().await.expect("the reason is saved");
            let id = feed.event(position).id.to_string();
            for part in [id.as_str(), "the lamp is unknown"] {
                assert!(reason.contains(part), "{part:?} is missing in {reason:?}");
            }
        }
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, LENGTH).await;
        assert_eq!(reader.halted().await, None);
    }
}

#[tokio::test]
async fn i10_data_that_cannot_be_decoded_halts() {
    #[derive(serde::Deserialize)]
    struct Unexpected {
        #[allow(dead_code, reason = "only whether it is there matters")]
        wattage: u32,
    }
    let (feed, reader, server) = scene().await;
    let handlers = Handlers::new().on(LIT, async |tx: &mut Tx<'_>, event: &Event| {
        note(tx, event).await?;
        if event.position.get() == 3 {
            event.decode::<Unexpected>()?;
        }
        Ok(())
    });
    let consumer = reader.consumer_with(&server.feed_url(), handlers);
    let error = failure(&mut consumer.ordering(OrderingKey::Feed)).await;
    assert!(
        matches!(error, ConsumerError::Halted(Halt::Poisoned { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("wattage"), "{error}");
    reader.assert_applied(&feed, 2).await;
}

#[tokio::test]
async fn i07_a_panic_in_a_handler_loses_nothing_and_leaves_the_store_working() {
    for position in 1..=LENGTH {
        let (feed, reader, server) = scene().await;
        let (mut consumer, _) = consumer_failing(&reader, &server, position, Fault::Panic);
        let error = failure(&mut consumer).await;
        assert!(!error.is_transient(), "{error}");
        assert!(error.to_string().contains("the lamp exploded"), "{error}");
        let applied = reader.applied_positions().await.len() as u64;
        assert!(applied < position, "{applied}");
        reader.assert_applied(&feed, applied).await;
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, LENGTH).await;
    }
}

#[tokio::test]
async fn i10_a_panic_halts_at_its_event_like_any_permanent_error() {
    halts_at_its_event(Fault::Panic, "the lamp exploded").await;
}

const FOREIGN_AWAIT: &str = "may wait for nothing but the transaction";

#[tokio::test]
async fn i07_a_handler_that_waits_for_a_timer_is_told_so_and_nothing_is_applied() {
    is_told_of_its_foreign_await(Fault::Timer).await;
}

#[tokio::test]
async fn i07_a_handler_that_waits_for_a_channel_is_told_so_and_nothing_is_applied() {
    is_told_of_its_foreign_await(Fault::Channel).await;
}

async fn is_told_of_its_foreign_await(fault: Fault) {
    for position in 1..=LENGTH {
        let (feed, reader, server) = scene().await;
        let (mut consumer, _) = consumer_failing(&reader, &server, position, fault);
        let error = failure(&mut consumer).await;
        assert!(!error.is_transient(), "{error}");
        assert!(error.to_string().contains(FOREIGN_AWAIT), "{error}");
        let applied = reader.applied_positions().await.len() as u64;
        assert!(applied < position, "{applied}");
        reader.assert_applied(&feed, applied).await;
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, LENGTH).await;
    }
}

#[tokio::test]
async fn i10_a_handler_that_waits_for_a_timer_halts_at_its_event() {
    halts_at_its_event(Fault::Timer, FOREIGN_AWAIT).await;
}

#[tokio::test]
async fn i10_a_handler_that_waits_for_a_channel_halts_at_its_event() {
    halts_at_its_event(Fault::Channel, FOREIGN_AWAIT).await;
}

/// What trying again cannot help halts the subscription at the event, whose name is in the reason; the events before
/// it are applied.
async fn halts_at_its_event(fault: Fault, reason_part: &str) {
    for position in [1, 3, LENGTH] {
        let (feed, reader, server) = scene().await;
        let (mut consumer, _) = consumer_failing(&reader, &server, position, fault);
        let error = failure(&mut consumer).await;
        let is_poisoned = matches!(
            &error,
            ConsumerError::Halted(Halt::Poisoned { event, .. }) if event.position.get() == position
        );
        assert!(is_poisoned, "{fault:?} at {position}: {error:?}");
        reader.assert_applied(&feed, position - 1).await;
        let reason = reader.halted().await.expect("the reason is saved");
        let id = feed.event(position).id.to_string();
        for part in [id.as_str(), reason_part] {
            assert!(reason.contains(part), "{part:?} is missing in {reason:?}");
        }
    }
}

#[tokio::test]
async fn i10_the_running_consumer_halts_and_goes_on_when_an_operator_resumes_it() {
    for fault in [Fault::Permanent, Fault::Panic, Fault::Timer, Fault::Channel] {
        let (feed, reader, server) = scene().await;
        let (consumer, tries) = consumer_failing(&reader, &server, 3, fault);
        let stop = CancellationToken::new();
        let running = consumer.spawn(stop.clone());
        reader.wait_until(|row| row.halted().is_some()).await;
        reader.assert_applied(&feed, 2).await;
        let tried = tries.load(Ordering::SeqCst);
        let handle = reader.store.subscription(SUBSCRIPTION).unwrap();
        let resumed = handle.resume(Mode::Do).await.unwrap();
        assert_eq!(resumed.after.state, SubscriptionState::Running);
        // Nothing was mended: it is tried again, and halts again.
        reader
            .wait_until(|row| row.halted().is_some() && tries.load(Ordering::SeqCst) > tried)
            .await;
        reader.assert_applied(&feed, 2).await;
        stop.cancel();
        running.await.unwrap().unwrap();
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, LENGTH).await;
    }
}

#[tokio::test]
async fn i07_an_error_of_the_database_in_a_handler_undoes_all_of_its_event() {
    let (feed, reader, server) = scene().await;
    let handlers = Handlers::new().on(LIT, async |tx: &mut Tx<'_>, event: &Event| {
        note(tx, event).await?;
        if event.position.get() == 4 {
            tx.execute("INSERT INTO no_such_table VALUES (1)", &[])
                .await?;
        }
        Ok(())
    });
    let consumer = reader.consumer_with(&server.feed_url(), handlers);
    let error = failure(&mut consumer.ordering(OrderingKey::Feed)).await;
    assert!(
        matches!(error, ConsumerError::Halted(Halt::Poisoned { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("no_such_table"), "{error}");
    reader.assert_applied(&feed, 3).await;
}

#[tokio::test]
async fn i07_errors_at_every_event_in_turn_still_apply_each_once() {
    let (feed, reader, server) = scene().await;
    let tries = Arc::new(AtomicU64::new(0));
    let counted = tries.clone();
    let handlers = Handlers::new().on(LIT, async move |tx: &mut Tx<'_>, event: &Event| {
        note(tx, event).await?;
        // Every second try fails, whatever the event.
        if counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Err(HandlerError::transient("every second time"));
        }
        Ok(())
    });
    catch_up_patiently(&mut reader.consumer_with(&server.feed_url(), handlers)).await;
    assert!(tries.load(Ordering::SeqCst) > LENGTH);
    reader.assert_applied(&feed, LENGTH).await;
}
