//! Who follows the feed, and how far behind: learnt from what readers ask who say who they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use feed_core::limits::CONSUMERS_SEEN_MAX;
use serde_json::Value;

use super::lamps::{LAMPS, Scene, append};
use super::problems::assert_problem;
use super::served::{Reply, Served};

const NAME: &str = "rooms/lamps";
const OURS: (&str, &str) = ("feed-subscription", NAME);
const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");
const LIST: &str = "/feeds/lamps/consumers";
/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(10);

async fn list(served: &Served) -> Value {
    let reply = served.get(&served.url(LIST), &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let consumers = list["consumers"].as_array().unwrap().iter();
    consumers
        .map(|one| one["subscription"].as_str().unwrap())
        .collect()
}

/// What is told of [`NAME`].
async fn ours(served: &Served) -> Value {
    let list = list(served).await;
    let mut consumers = list["consumers"].as_array().unwrap().iter();
    let found = consumers.find(|one| one["subscription"] == NAME);
    found.unwrap_or_else(|| panic!("{list}")).clone()
}

/// Asks until what is told of [`NAME`] is as it should be.
async fn until(served: &Served, is: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let found = ours(served).await;
        if is(&found) {
            return found;
        }
        assert!(begun.elapsed() < SOON, "{found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask(served: &Served, path: &str, headers: &[(&str, &str)]) -> Reply {
    let headers: Vec<_> = [JSON].into_iter().chain(headers.iter().copied()).collect();
    served.get(&served.url(path), &headers).await
}

#[tokio::test]
async fn a_consumer_is_shown_where_it_asked_last() {
    // Positions 1 to 3 and 4 to 6 are sealed pages.
    let scene = Scene::new(3, 8).await;
    let (served, events) = (&scene.served, scene.events().await);
    assert_eq!(names(&list(served).await), [""; 0]);
    let cursor = |position: usize| events[position - 1].cursor().to_string();
    let epoch = events[0].epoch;
    let tag = ask(served, &format!("/feeds/lamps?after={}", cursor(7)), &[]).await;
    let tag = tag.header("etag").to_owned();
    let asked: [(String, u16, u64); 11] = [
        ("/feeds/lamps?after=start".into(), 307, 0),
        (format!("/feeds/lamps?after={}", cursor(2)), 200, 2),
        (format!("/feeds/lamps?after={}", cursor(3)), 307, 3),
        (format!("/feeds/lamps/archive/{epoch}/2.r1.json"), 200, 3),
        // From the bytes that are kept by now, and compressed.
        (format!("/feeds/lamps/archive/{epoch}/2.r1.json"), 200, 3),
        (format!("/feeds/lamps/archive/{epoch}/1.r1.json"), 200, 0),
        (format!("/feeds/lamps?after={}", cursor(7)), 304, 7),
        (format!("/feeds/lamps?after={}", events[4].id), 200, 5),
        ("/feeds/lamps?after=6&type=Absent&limit=1".into(), 200, 6),
        (format!("/feeds/lamps?since={}", "2001-01-01"), 200, 0),
        ("/feeds/lamps?after=now".into(), 200, 8),
    ];
    for (path, status, position) in asked {
        let known = ("if-none-match", tag.as_str());
        let coded = ("accept-encoding", "gzip");
        let before = Utc::now();
        let reply = ask(served, &path, &[OURS, known, coded]).await;
        assert_eq!(reply.status, status, "{path}");
        let found = ours(served).await;
        assert_eq!(found["position"], position, "{path}");
        assert_eq!(found["lag_events"], 8 - position, "{path}");
        assert_eq!(found["waiting"], false, "{path}");
        let lag = found["lag_seconds"].as_f64().unwrap();
        assert_eq!(lag == 0.0, position == 8, "{path}: {found}");
        let seen: DateTime<Utc> = found["seen"].as_str().unwrap().parse().unwrap();
        let off = (seen - before).num_milliseconds();
        assert!((-100..10_000).contains(&off), "{path}: {found}");
    }
    // What is refused was never seen, and the head is no place.
    for (path, status) in [
        ("/feeds/lamps?after=9", 409),
        ("/feeds/lamps?after=x", 400),
        ("/feeds/lamps", 200),
    ] {
        assert_eq!(ask(served, path, &[OURS]).await.status, status, "{path}");
        assert_eq!(ours(served).await["position"], 8, "{path}");
    }
    // The names stand in their order, and the head is where the feed is.
    for name in ["z", "a/b", "rooms"] {
        ask(
            served,
            "/feeds/lamps?after=1",
            &[("feed-subscription", name)],
        )
        .await;
    }
    let list = list(served).await;
    assert_eq!(names(&list), ["a/b", "rooms", NAME, "z"]);
    assert_eq!(
        (&list["feed"], &list["head"]),
        (&LAMPS.into(), &cursor(8).into())
    );
    append(&scene.store, 2).await;
    assert_eq!(ours(served).await["lag_events"], 2);
}

#[tokio::test]
async fn a_name_changes_no_answer_and_what_is_none_is_passed_over() {
    let scene = Scene::new(3, 8).await;
    let (served, epoch) = (&scene.served, scene.events().await[0].epoch);
    let long = "n".repeat(129);
    for path in [
        "/feeds/lamps".to_owned(),
        "/feeds/lamps?after=4".to_owned(),
        "/feeds/lamps?after=start".to_owned(),
        "/feeds/lamps?after=nonsense".to_owned(),
        format!("/feeds/lamps/archive/{epoch}/1.r1.json"),
    ] {
        let without = ask(served, &path, &[]).await;
        for name in [NAME, "", "Rooms", "a b", "a,b", "lämpchen", &long] {
            let with = ask(served, &path, &[("feed-subscription", name)]).await;
            assert_eq!(with.status, without.status, "{path} {name}");
            assert_eq!(with.body, without.body, "{path} {name}");
            for header in ["etag", "cache-control", "vary", "link", "location"] {
                let (found, expected) = (with.headers.get(header), without.headers.get(header));
                assert_eq!(found, expected, "{path} {name}: {header}");
            }
        }
    }
    assert_eq!(names(&list(served).await), [NAME]);
}

#[tokio::test]
async fn whoever_waits_is_shown_waiting() {
    let scene = Scene::new(3, 4).await;
    let served = Arc::new(Served::start(&scene.store, &[LAMPS]).await);
    let asking = served.clone();
    let request =
        tokio::spawn(async move { ask(&asking, "/feeds/lamps?after=now&wait=20", &[OURS]).await });
    let begun = Instant::now();
    while names(&list(&served).await).is_empty() {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waits = until(&served, |found| found["waiting"] == true).await;
    assert_eq!(
        (&waits["position"], &waits["lag_events"]),
        (&4.into(), &0.into())
    );
    append(&scene.store, 1).await;
    assert_eq!(request.await.unwrap().positions(), [5]);
    let found = until(&served, |found| found["waiting"] == false).await;
    // It was sent the event; that it has it is seen when it asks after it.
    assert_eq!(
        (&found["position"], &found["lag_events"]),
        (&4.into(), &1.into())
    );
}

#[tokio::test]
async fn an_event_stream_is_seen_where_its_reader_is() {
    let scene = Scene::new(3, 4).await;
    let served = &scene.served;
    let url = served.url("/feeds/lamps?format=sse&after=1");
    let mut stream = served.open(&url, &[OURS]).await;
    let mut text = String::new();
    while text.matches("data: ").count() < 3 {
        let chunk = tokio::time::timeout(SOON, stream.chunk()).await.unwrap();
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
    let found = until(served, |found| found["position"] == 4).await;
    assert_eq!(
        (&found["waiting"], &found["lag_events"]),
        (&true.into(), &0.into())
    );
    append(&scene.store, 2).await;
    until(served, |found| found["position"] == 6).await;
    drop(stream);
    // The connection's end is noticed with the next piece.
    append(&scene.store, 1).await;
    until(served, |found| found["waiting"] == false).await;
}

#[tokio::test]
async fn the_lag_in_seconds_is_that_of_the_first_event_not_seen() {
    let scene = Scene::new(3, 4).await;
    let conn = rusqlite::Connection::open(scene.store.path()).unwrap();
    for (position, ago_s) in [(1, 4_000), (2, 3_000), (3, 2_000), (4, 1_000)] {
        let recorded_us = Utc::now().timestamp_micros() - ago_s * 1_000_000;
        let changed = conn.execute(
            "UPDATE outbox SET recorded_us = ?1 WHERE position = ?2",
            [recorded_us, position],
        );
        assert_eq!(changed.unwrap(), 1);
    }
    for (after, lag_s) in [(0, 4_000.0), (1, 3_000.0), (3, 1_000.0), (4, 0.0)] {
        ask(
            &scene.served,
            &format!("/feeds/lamps?after={after}"),
            &[OURS],
        )
        .await;
        let found = ours(&scene.served).await["lag_seconds"].as_f64().unwrap();
        assert!((lag_s..lag_s + 60.0).contains(&found), "{after}: {found}");
    }
}

#[tokio::test]
async fn i12_no_more_are_shown_than_are_remembered() {
    let scene = Scene::new(3, 4).await;
    ask(&scene.served, "/feeds/lamps?after=2", &[OURS]).await;
    for number in 0..CONSUMERS_SEEN_MAX + 10 {
        let name = format!("n/{number:04}");
        ask(
            &scene.served,
            "/feeds/lamps?after=1",
            &[("feed-subscription", &name)],
        )
        .await;
    }
    let list = list(&scene.served).await;
    let names = names(&list);
    assert_eq!(names.len(), CONSUMERS_SEEN_MAX);
    assert_eq!(
        (names[0], names[CONSUMERS_SEEN_MAX - 1]),
        ("n/0010", "n/1009")
    );
    // Those of another feed are remembered for themselves.
    let other = feed_core::FeedConfig::new("switches", "lamp-svc").unwrap();
    scene.store.create_feed(other).await.unwrap();
    let served = Served::start(&scene.store, &["switches", LAMPS]).await;
    ask(&served, "/feeds/switches?after=start", &[OURS]).await;
    let there = served
        .get(&served.url("/feeds/switches/consumers"), &[])
        .await;
    assert!(String::from_utf8_lossy(&there.body).contains(NAME));
    assert_eq!(self::names(&self::list(&served).await), [""; 0]);
}

#[tokio::test]
async fn nothing_of_it_outlives_the_server() {
    let scene = Scene::new(3, 4).await;
    ask(&scene.served, "/feeds/lamps?after=2", &[OURS]).await;
    assert_eq!(names(&list(&scene.served).await), [NAME]);
    let again = Served::start(&scene.store, &[LAMPS]).await;
    assert_eq!(names(&list(&again).await), [""; 0]);
    // It is there again with its next request.
    ask(&again, "/feeds/lamps?after=3", &[OURS]).await;
    assert_eq!(ours(&again).await["position"], 3);
}

#[tokio::test]
async fn the_list_behaves_as_its_siblings_do() {
    let scene = Scene::new(3, 4).await;
    let served = &scene.served;
    let url = served.url(LIST);
    let get = served.get(&url, &[]).await;
    assert_eq!(get.header("content-type"), "application/json");
    assert_eq!(get.header("cache-control"), "no-store");
    let head = served.request("HEAD", &url, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), "application/json");
    let options = served.request("OPTIONS", &url, &[]).await;
    assert_eq!(options.status, 204);
    assert_eq!(options.header("allow"), "GET,HEAD,OPTIONS");
    let post = served.request("POST", &url, &[]).await;
    assert_problem(&post, 405, "method-unknown");
    let parameter = served
        .get(&served.url(&format!("{LIST}?limit=1")), &[])
        .await;
    assert_problem(&parameter, 400, "parameter-unknown");
    for (path, slug) in [
        ("/feeds/switches/consumers", "feed-unknown"),
        ("/feeds/lamps/consumers/", "path-unknown"),
        ("/feeds/lamps/consumers/rooms", "path-unknown"),
    ] {
        assert_problem(&served.get(&served.url(path), &[]).await, 404, slug);
    }
}
