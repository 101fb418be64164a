//! Waiting for a subscription, and how far it says that it is behind.

use std::time::Duration;

use chrono::Utc;
use feed_core::client::{ClientOptions, FeedClient};
use feed_core::{EventId, EventState, HandlerError, Mode, Reached, StartAt, SubscriptionState};
use tokio_util::sync::CancellationToken;

use super::live::{Live, operator, settle};
use super::reader::failure;

const SHORT: Duration = Duration::from_millis(300);

const LONG: Duration = Duration::from_secs(30);

fn client(live: &Live) -> FeedClient {
    FeedClient::new(&live.url(), ClientOptions::default()).unwrap()
}

#[tokio::test]
async fn i07_whoever_waits_sees_the_effects_and_otherwise_is_told_so() {
    let live = Live::new(&["a", "b"]).await;
    let (handle, client) = (live.handle(), client(&live));
    let (first, second) = (live.event(1).await, live.event(2).await);
    assert!(!handle.wait_until(first.cursor(), SHORT).await.unwrap());
    let not_yet = handle.wait_until_event(&client, second.id, SHORT);
    assert_eq!(not_yet.await.unwrap(), Reached::NotYet { cursor: None });
    let stop = CancellationToken::new();
    let running = live.consumer().spawn(stop.clone());
    assert!(handle.wait_until(second.cursor(), LONG).await.unwrap());
    assert_eq!(live.applied().await, [1, 2]);
    live.append(&["c"]).await;
    let third = live.event(3).await.id;
    let reached = handle.wait_until_event(&client, third, LONG).await;
    assert_eq!(reached.unwrap(), Reached::Yes);
    assert_eq!(live.applied().await, [1, 2, 3]);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn i08_whoever_waits_for_an_event_that_is_kept_is_told_how_it_is_doing() {
    let live = Live::new(&["a", "a", "b"]).await;
    live.faults
        .set(1, HandlerError::permanent("the lamp is unknown"));
    settle(&mut live.consumer()).await;
    let (handle, client) = (live.handle(), client(&live));
    let reached = async |position| {
        let id = live.event(position).await.id;
        handle.wait_until_event(&client, id, LONG).await.unwrap()
    };
    assert_eq!(reached(1).await, Reached::Kept(EventState::Parked));
    assert_eq!(reached(2).await, Reached::Kept(EventState::Waiting));
    assert_eq!(reached(3).await, Reached::Yes);
    let key = feed_core::Chosen::Key("a".into());
    let dropped = handle.drop_events(key, &operator(), Mode::Do).await;
    dropped.unwrap();
    assert_eq!(reached(1).await, Reached::Kept(EventState::Dropped));
}

#[tokio::test]
async fn i08_an_event_that_is_retried_is_waited_for() {
    let live = Live::new(&["a"]).await;
    live.faults.set(1, HandlerError::transient("not yet"));
    let mut consumer = live.consumer();
    failure(&mut consumer).await;
    let (handle, client, id) = (live.handle(), client(&live), live.event(1).await.id);
    let not_yet = handle.wait_until_event(&client, id, SHORT).await.unwrap();
    assert_eq!(not_yet, Reached::NotYet { cursor: None });
    live.faults.mend(1);
    let waits = handle.wait_until_event(&client, id, LONG);
    let (reached, ()) = tokio::join!(waits, settle(&mut consumer));
    assert_eq!(reached.unwrap(), Reached::Yes);
}

#[tokio::test]
async fn i08_an_event_that_the_feed_does_not_know_is_unknown() {
    let live = Live::new(&["a"]).await;
    settle(&mut live.consumer()).await;
    let (handle, client) = (live.handle(), client(&live));
    let unknown = handle.wait_until_event(&client, EventId::now(), SHORT);
    assert_eq!(unknown.await.unwrap(), Reached::Unknown);
    live.served.stop();
}

#[tokio::test]
async fn i13_lag_is_what_is_behind_the_cursor_also_while_it_is_stuck() {
    let live = Live::new(&["a", "b"]).await;
    let mut consumer = live.consumer();
    settle(&mut consumer).await;
    let lag = live.row().await.lag(Utc::now());
    assert_eq!((lag.events, lag.time), (Some(0), Some(Duration::ZERO)));
    live.append(&["c", "d", "e"]).await;
    live.faults.set(3, HandlerError::transient("not yet"));
    let stop = CancellationToken::new();
    let running = consumer.spawn(stop.clone());
    let waits = |row: &feed_core::Subscription| row.state == SubscriptionState::Waiting;
    let row = live.reader.wait_until(waits).await;
    let lag = row.lag(Utc::now());
    assert_eq!(lag.events, Some(3), "{row:?}");
    assert!(lag.time > Some(Duration::ZERO), "{lag:?}");
    live.faults.mend(3);
    live.reader.wait_until(|row| row.events == 5).await;
    assert_eq!(live.row().await.lag(Utc::now()).events, Some(0));
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn i13_lag_is_known_where_nothing_was_passed_yet() {
    let live = Live::new(&["a", "b"]).await;
    settle(&mut live.consumer().start_at(StartAt::NOW)).await;
    assert_eq!(live.row().await.lag(Utc::now()).events, Some(0));
    let first = live.event(1).await.cursor();
    live.handle().reset(Some(first), Mode::Do).await.unwrap();
    assert_eq!(live.row().await.lag(Utc::now()).events, None);
    let second = live.event(2).await.cursor();
    live.handle().reset(Some(second), Mode::Do).await.unwrap();
    settle(&mut live.consumer()).await;
    assert_eq!(live.row().await.lag(Utc::now()).events, Some(0));
}
