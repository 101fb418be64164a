//! Polls are answered from what the process knows of a feed's end: it has to be what the store would answer, and never be
//! older than what its reader knows.

use std::time::{Duration, Instant};

use feed_core::{Cursor, Format, Migrations, Store};

use super::lamps::{LAMPS, Scene, all_events, append, append_types, config};
use super::served::{FORMATS, Reply, Served};

/// Events in a page: few, so that pages end everywhere.
const CAPACITY: u32 = 4;
/// Longer than anything takes that another process has done.
const SOON: Duration = Duration::from_secs(10);

const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

async fn ask(served: &Served, query: &str, format: Format) -> Reply {
    let url = served.url(&format!("/feeds/{LAMPS}{query}"));
    let accept = ("accept", format.media_type());
    served.get(&url, &[accept]).await
}

/// What a reader sees of an answer.
fn seen(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    (reply.status, headers, body)
}

#[tokio::test]
async fn i04_what_is_known_is_what_a_server_answers_that_knows_nothing() {
    let scene = Scene::new(CAPACITY, 3).await;
    // Batches that fill a page, end within one, and are larger than one.
    for (number, batch) in [1, 1, 2, 3, 1, 9, 1, 4, 5].into_iter().enumerate() {
        append_types(&scene.store, &["Lit", "Broken"], batch).await;
        // The first answer makes the end known, and the others are answered by it.
        let events = all_events(&scene.store).await;
        let mut queries = vec![String::new(), "?limit=2".into(), "?after=now".into()];
        for event in events.iter().rev().take(7) {
            let cursor = event.cursor();
            for rest in [
                "",
                "&limit=1",
                "&limit=3",
                "&type=Broken",
                "&type=Broken&limit=1",
                "&format=json",
            ] {
                queries.push(format!("?after={cursor}{rest}"));
            }
            queries.push(format!("?after={}", cursor.position));
            queries.push(format!("?after={cursor}&wait=0"));
            queries.push(format!("?lastEventId={cursor}"));
        }
        for query in queries {
            for format in FORMATS {
                let known = ask(&scene.served, &query, format).await;
                let again = ask(&scene.served, &query, format).await;
                let fresh = Served::start(&scene.store, &[LAMPS]).await;
                let unknown = ask(&fresh, &query, format).await;
                assert_eq!(seen(&known), seen(&unknown), "{query} after batch {number}");
                assert_eq!(seen(&known), seen(&again), "{query} after batch {number}");
            }
        }
    }
}

#[tokio::test]
async fn wrong_cursors_at_the_known_end_are_refused() {
    let scene = Scene::new(CAPACITY, 6).await;
    let last = scene.events().await[5].cursor();
    ask(&scene.served, "?after=now", Format::Json).await;
    append(&scene.store, 1).await;
    ask(&scene.served, "?after=now", Format::Json).await;
    let next = scene.events().await[6].cursor();
    for cursor in [last, next] {
        let mut bytes = *cursor.check.as_bytes();
        bytes[5] ^= 1;
        let check = feed_core::Check::from_bytes(bytes);
        let wrong = Cursor { check, ..cursor };
        let reply = ask(&scene.served, &format!("?after={wrong}"), Format::Json).await;
        assert_eq!(reply.status, 409, "{reply:?}");
        let epoch = feed_core::Epoch::random();
        let wrong = Cursor { epoch, ..cursor };
        let reply = ask(&scene.served, &format!("?after={wrong}"), Format::Json).await;
        assert_eq!(reply.status, 409, "{reply:?}");
        let right = ask(&scene.served, &format!("?after={cursor}"), Format::Json).await;
        assert_eq!(right.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i02_what_was_appended_here_is_in_the_next_answer() {
    let scene = Scene::new(100, 1).await;
    let head = scene.served.url(&format!("/feeds/{LAMPS}"));
    let mut at = scene.events().await[0].cursor();
    let mut tag = String::new();
    for number in 2..200 {
        let idle = ask(&scene.served, &format!("?after={at}"), Format::Json).await;
        assert_eq!((idle.status, idle.positions().len()), (200, 0));
        append(&scene.store, 1).await;
        if number % 2 == 0 {
            let known = [JSON, ("if-none-match", tag.as_str())];
            let reply = scene.served.get(&head, &known).await;
            assert_eq!(reply.status, 200);
            assert!(reply.positions().contains(&number), "{reply:?}");
            tag = reply.header("etag").to_owned();
            let now = [JSON, ("if-none-match", tag.as_str())];
            assert_eq!(scene.served.get(&head, &now).await.status, 304);
        }
        let reply = ask(&scene.served, &format!("?after={at}"), Format::Json).await;
        assert_eq!(reply.positions(), [number]);
        at = reply.header("feed-head").parse().unwrap();
    }
}

#[tokio::test]
async fn i11_who_saw_more_elsewhere_is_not_told_that_it_is_beyond_the_head() {
    let scene = Scene::new(100, 3).await;
    let path = scene.store.path().to_string_lossy().into_owned();
    let other = Store::open(&path, Migrations::NONE).await.unwrap();
    for number in 4..60 {
        ask(&scene.served, "?after=now", Format::Json).await;
        append(&other, 1).await;
        let cursor = all_events(&other).await.last().unwrap().cursor();
        let reply = ask(&scene.served, &format!("?after={cursor}"), Format::Json).await;
        assert_eq!((reply.status, reply.positions().len()), (200, 0));
        assert_eq!(reply.header("feed-head"), cursor.to_string());
        // And from here on nobody is told less.
        let head = ask(&scene.served, "", Format::Json).await;
        assert!(head.positions().contains(&number), "{head:?}");
    }
    other.close().await;
}

#[tokio::test]
async fn i13_what_another_process_appended_is_polled_soon() {
    let scene = Scene::new(100, 3).await;
    let path = scene.store.path().to_string_lossy().into_owned();
    let other = Store::open(&path, Migrations::NONE).await.unwrap();
    for number in 4..10 {
        let idle = ask(&scene.served, "?after=now", Format::Json).await;
        let at = idle.header("feed-head").to_owned();
        append(&other, 1).await;
        let begun = Instant::now();
        loop {
            let reply = ask(&scene.served, &format!("?after={at}"), Format::Json).await;
            if reply.positions() == [number] {
                break;
            }
            assert!(begun.elapsed() < SOON, "it was never seen: {reply:?}");
        }
    }
    other.close().await;
}

#[tokio::test]
async fn i04_a_new_epoch_is_known_at_once() {
    let scene = Scene::new(CAPACITY, 6).await;
    let before = ask(&scene.served, "?after=now", Format::Json).await;
    let head: Cursor = before.header("feed-head").parse().unwrap();
    let log = scene.store.log(LAMPS).unwrap();
    scene.store.open_epoch(log.feed(), "a test").await.unwrap();
    append(&scene.store, 1).await;
    let reply = ask(&scene.served, &format!("?after={head}"), Format::Json).await;
    assert_eq!(reply.positions(), [7]);
    let now: Cursor = reply.header("feed-head").parse().unwrap();
    assert_ne!(now.epoch, head.epoch);
    // Another one, behind which nothing was appended: cursors of it are known as soon as it is there.
    let state = scene.store.open_epoch(log.feed(), "again").await.unwrap();
    let (_, newest) = *state.history.epochs().last().unwrap();
    let wrong = Cursor {
        epoch: newest,
        ..now
    };
    let reply = ask(&scene.served, &format!("?after={wrong}"), Format::Json).await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (409, "application/problem+json")
    );
    assert!(
        String::from_utf8_lossy(&reply.body).contains("cursor-diverged"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn another_feed_with_the_same_configuration_is_another_one() {
    let scene = Scene::new(CAPACITY, 2).await;
    let other = feed_core::testing::TempStore::new(Migrations::NONE).await;
    other.create_feed(config(CAPACITY)).await.unwrap();
    append(&other, 2).await;
    let theirs = all_events(&other).await[1].cursor();
    ask(&scene.served, "?after=now", Format::Json).await;
    let reply = ask(&scene.served, &format!("?after={theirs}"), Format::Json).await;
    assert_eq!(reply.status, 409);
}
