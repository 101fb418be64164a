//! How a running consumer asks: long polls where the server waits, plain ones elsewhere, one document ahead, and an end at
//! any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use feed_core::{Chosen, Format, HandlerError, Mode, StepOutcome, SubscriptionState};
use tokio_util::sync::CancellationToken;
use wiremock::ResponseTemplate;

use super::live::{Live, operator};
use super::reader::{Reader, SUBSCRIPTION, catch_up};
use super::scripted::{ScriptedFeed, ScriptedServer, header, target};

const START: &str = "/feeds/lamps?after=start";

const HOUR: Duration = Duration::from_secs(3_600);

/// Waits until the server has been asked for so many documents.
pub(crate) async fn asked(server: &ScriptedServer, count: usize) {
    let asked = tokio::time::timeout(Duration::from_secs(30), async {
        while server.requests().await.len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    asked.await.expect("it asks");
}

#[tokio::test]
async fn i13_a_new_event_comes_long_before_the_next_poll_would() {
    let live = Live::new(&["a"]).await;
    let stop = CancellationToken::new();
    let running = live.consumer().poll_interval(HOUR).spawn(stop.clone());
    live.reader.wait_until(|row| row.events == 1).await;
    let began = Instant::now();
    for count in 2..6 {
        live.append(&["a"]).await;
        live.reader.wait_until(|row| row.events == count).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{began:?}");
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(live.applied().await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn i13_the_server_is_asked_to_wait_only_behind_the_last_event() {
    let feed = ScriptedFeed::new(1, 4);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on(START, [feed.tail(Format::Json, 1..=2)]);
    server.on(&feed.after(2), [feed.tail(Format::Json, 3..=4)]);
    server.on(&feed.after(4), [feed.nothing_after(Format::Json, 4)]);
    let consumer = reader.consumer(&server.feed_url());
    let stop = CancellationToken::new();
    let running = consumer
        .poll_interval(Duration::from_millis(10))
        .spawn(stop.clone());
    asked(&server, 6).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    for request in server.requests().await {
        let asked = header(&request, "prefer");
        let is_behind = target(&request) == feed.after(4);
        assert_eq!(asked.is_some(), is_behind, "{request:?}");
        assert!(asked.is_none_or(|asked| asked == "wait=20"), "{asked:?}");
    }
    reader.assert_applied(&feed, 4).await;
}

#[tokio::test]
async fn i13_a_server_without_room_for_one_more_who_waits_is_polled_plainly() {
    let feed = ScriptedFeed::new(1, 2);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on(START, [feed.tail(Format::Json, 1..=2)]);
    let full = ResponseTemplate::new(503).insert_header("retry-after", "60");
    let nothing = feed.nothing_after(Format::Json, 2);
    server.on(&feed.after(2), [full, nothing]);
    let stop = CancellationToken::new();
    let running = reader
        .consumer(&server.feed_url())
        .poll_interval(Duration::from_millis(10))
        .spawn(stop.clone());
    asked(&server, 6).await;
    let row = reader.subscription().await.unwrap();
    assert_eq!(row.state, SubscriptionState::Running);
    stop.cancel();
    running.await.unwrap().unwrap();
    let requests = server.requests().await;
    let asked: Vec<bool> = requests
        .iter()
        .map(|request| header(request, "prefer").is_some())
        .collect();
    assert_eq!(asked[..3], [false, true, false], "{asked:?}");
    assert!(!asked[3..].contains(&true), "{asked:?}");
}

#[tokio::test]
async fn i09_an_operator_is_heard_within_a_second_by_one_who_polls_plainly() {
    let feed = ScriptedFeed::new(1, 2);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on(START, [feed.tail(Format::Json, 1..=2)]);
    for position in 1..=2 {
        let nothing = feed.nothing_after(Format::Json, 2);
        server.on(&feed.after(position), [nothing]);
    }
    let is_bad = Arc::new(AtomicBool::new(true));
    let bad = is_bad.clone();
    let handlers = feed_core::Handlers::new().on(
        super::scripted::LIT,
        async move |tx: &mut feed_core::Tx<'_>, event: &feed_core::Event| {
            super::reader::note(tx, event).await?;
            let fails = event.position.get() == 1 && bad.load(Ordering::SeqCst);
            if fails {
                return Err(HandlerError::permanent("the lamp is unknown"));
            }
            Ok(())
        },
    );
    let stop = CancellationToken::new();
    let running = reader
        .consumer_with(&server.feed_url(), handlers)
        .lease(HOUR)
        .poll_interval(Duration::from_millis(20))
        .spawn(stop.clone());
    reader.wait_until(|row| row.events == 2).await;
    asked(&server, 6).await;
    is_bad.store(false, Ordering::SeqCst);
    let handle = reader.store.subscription(SUBSCRIPTION).unwrap();
    let began = Instant::now();
    handle.retry(Chosen::All, Mode::Do).await.unwrap();
    let replayed = tokio::time::timeout(Duration::from_secs(10), async {
        while reader.applied_positions().await != [2, 1] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    replayed.await.expect("it is replayed");
    assert!(began.elapsed() < Duration::from_millis(2_500), "{began:?}");
    handle.pause(&operator(), Mode::Do).await.unwrap();
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn i13_the_next_document_is_fetched_while_the_present_one_is_applied() {
    let feed = ScriptedFeed::new(1, 4);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on(START, [feed.tail(Format::Json, 1..=2)]);
    server.on(&feed.after(2), [feed.tail(Format::Json, 3..=4)]);
    server.on(&feed.after(4), [feed.nothing_after(Format::Json, 4)]);
    let mut consumer = reader.consumer(&server.feed_url());
    assert_eq!(consumer.step().await.unwrap(), StepOutcome::Taken);
    assert_eq!(consumer.step().await.unwrap(), StepOutcome::Fetched);
    // Nothing is applied yet, and nobody steps.
    asked(&server, 2).await;
    assert_eq!(server.targets().await[1], feed.after(2));
    reader.assert_applied(&feed, 0).await;
    catch_up(&mut consumer).await;
    reader.assert_applied(&feed, 4).await;
    // What was fetched ahead was not asked for again.
    let asked = server.targets().await;
    assert_eq!(
        asked
            .iter()
            .filter(|asked| **asked == feed.after(2))
            .count(),
        1
    );
}

#[tokio::test]
async fn i09_what_was_fetched_ahead_is_not_used_once_the_lease_is_lost() {
    let feed = ScriptedFeed::new(1, 4);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on(START, [feed.tail(Format::Json, 1..=2)]);
    let slow = feed.tail(Format::Json, 3..=4).set_delay(HOUR);
    server.on(&feed.after(2), [slow, feed.tail(Format::Json, 3..=4)]);
    server.on(&feed.after(4), [feed.nothing_after(Format::Json, 4)]);
    let mut consumer = reader.consumer(&server.feed_url()).lease(HOUR);
    for _ in 0..2 {
        consumer.step().await.unwrap();
    }
    asked(&server, 2).await;
    let handle = reader.store.subscription(SUBSCRIPTION).unwrap();
    handle.reset(None, Mode::Do).await.unwrap();
    assert_eq!(consumer.step().await.unwrap(), StepOutcome::Superseded);
    // The one fetched ahead would never come.
    let caught_up = tokio::time::timeout(Duration::from_secs(20), catch_up(&mut consumer));
    caught_up.await.expect("it asks anew");
    reader.assert_applied(&feed, 4).await;
}

#[tokio::test]
async fn i07_a_stop_interrupts_whatever_is_waited_for() {
    let feed = ScriptedFeed::new(1, 2);
    let slow = || feed.nothing_after(Format::Json, 2).set_delay(HOUR);
    let busy = || ResponseTemplate::new(503).insert_header("retry-after", "60");
    let broken = || ResponseTemplate::new(404);
    for (what, answer) in [
        ("an answer", slow()),
        ("a retry", busy()),
        ("an error", broken()),
    ] {
        let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
        server.on(START, [feed.tail(Format::Json, 1..=2)]);
        server.on(&feed.after(2), [answer]);
        let stop = CancellationToken::new();
        let consumer = reader.consumer(&server.feed_url()).lease(HOUR);
        let running = consumer.spawn(stop.clone());
        reader.wait_until(|row| row.events == 2).await;
        asked(&server, 2).await;
        let began = Instant::now();
        stop.cancel();
        running.await.unwrap().unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{what}: {began:?}"
        );
        reader.assert_applied(&feed, 2).await;
        let row = reader.subscription().await.unwrap();
        assert_eq!(row.holder, None, "{what}");
    }
}
