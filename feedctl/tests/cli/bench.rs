//! `feedctl bench`: that it measures what it says, leaves nothing behind, and says no where it cannot. No figure is compared.

use std::time::{Duration, Instant};

use feedway_tests::postgres::Database;
use serde_json::Value;

use super::feed::{Feed, append};
use super::moving::house;
use super::process::{Ran, feedctl, until};
use super::subscriber::json;

async fn bench(arguments: &[&str]) -> Ran {
    feedctl(&[&["bench"], arguments, &["--rounds", "1"]].concat()).await
}

/// The figure of this name; every one has a unit and one round.
fn figure(ran: &Ran, name: &str) -> f64 {
    let document = json(ran);
    let figures = document["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name:?} in {document}"));
    assert!(!found["unit"].as_str().unwrap().is_empty());
    assert_eq!(found["rounds"], Value::from(vec![found["median"].clone()]));
    found["median"].as_f64().unwrap()
}

#[tokio::test]
async fn appends_are_measured_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let options = [
        "--dir",
        dir,
        "--events",
        "60",
        "--writers",
        "1,3",
        "-o",
        "json",
    ];
    let ran = bench(&[&["append"], &options[..]].concat()).await;
    for writers in ["1 writer", "3 writers"] {
        assert!(figure(&ran, &format!("{writers}, acknowledged")) > 0.0);
        assert!(figure(&ran, &format!("{writers}, one append, p99")) > 0.0);
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    let ran = bench(&["append", "--dir", "/no/such/folder"]).await;
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("--dir names another place"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_services_database_gets_events_in_a_feed_of_their_own_only() {
    let feed = Feed::new(4, 6).await;
    let path = feed.store.path();
    let database = path.to_str().unwrap();
    let options = [
        "--database",
        database,
        "--events",
        "20",
        "--writers",
        "2",
        "--per-append",
        "5",
    ];
    let ran = bench(&[&["append"], &options[..]].concat()).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("2 x 5, acknowledged"), "{}", ran.stdout);
    let length = async |feed_name: &str| {
        let log = feed.store.log(feed_name).unwrap();
        log.state().await.unwrap().head.position.get()
    };
    assert_eq!(length("lamps").await, 6);
    assert_eq!(length("feedctl-bench").await, 20);
    // Now there are two, and it has to be said which one is read.
    let ran = bench(&["catchup", "--database", database]).await;
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("feedctl-bench, lamps"),
        "{}",
        ran.stderr
    );
    let ran = bench(&["catchup", "--database", database, "--feed", "lamps"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[tokio::test]
async fn a_running_service_is_read_and_not_written_to() {
    let feed = Feed::new(4, 10).await;
    let url = feed.server.feed_url();
    let ran = bench(&["catchup", &url, "-o", "json"]).await;
    // Two sealed pages, and the tail.
    assert!(figure(&ran, "documents") > 0.0);
    let read = figure(&ran, "read and verified") / figure(&ran, "documents");
    assert!((read - 10.0 / 3.0).abs() < 0.01, "{read}");
    let ran = bench(&[
        "page",
        &url,
        "--seconds",
        "1",
        "--connections",
        "3",
        "-o",
        "json",
    ])
    .await;
    for what in ["sealed page", "head, unchanged", "empty poll"] {
        assert!(figure(&ran, what) > 0.0);
        assert!(figure(&ran, &format!("{what}, p50")) > 0.0);
    }
    let ran = bench(&["tail", &url, "--seconds", "1"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("nothing was published"),
        "{}",
        ran.stderr
    );
    let head = feed.store.log("lamps").unwrap().state().await.unwrap().head;
    assert_eq!(head.position.get(), 10);
}

#[tokio::test]
async fn what_a_service_publishes_meanwhile_is_timed() {
    let feed = Feed::new(4, 1).await;
    let url = feed.server.feed_url();
    let asked = feed.server.requests();
    let measuring =
        tokio::spawn(async move { bench(&["tail", &url, "--seconds", "5", "-o", "json"]).await });
    until(|| feed.server.requests() > asked + 1).await;
    append(&feed.store, 3).await;
    let ran = measuring.await.unwrap();
    assert!(figure(&ran, "arrived") > 0.0);
    assert!(figure(&ran, "recorded to reader, p50") > 0.0);
}

#[tokio::test]
async fn the_way_of_an_event_is_timed_on_sqlite() {
    let ran = bench(&["tail", "--seconds", "1", "--rate", "50", "-o", "json"]).await;
    assert!(figure(&ran, "append to reader, p50") > 0.0);
    assert!(figure(&ran, "arrived") > 20.0);
}

#[tokio::test]
async fn the_way_of_an_event_is_timed_on_postgresql() {
    let Some(database) = Database::for_test("bench").await.unwrap() else {
        return;
    };
    house(database.url()).await.close().await;
    let options = [
        "--database",
        database.url(),
        "--seconds",
        "1",
        "--rate",
        "50",
    ];
    let ran = bench(&[&["tail"], &options[..], &["-o", "json"]].concat()).await;
    assert!(figure(&ran, "append to reader, p50") > 0.0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn readers_who_wait_are_counted_and_their_server_is_weighed() {
    let begun = Instant::now();
    let options = [
        "--waiters",
        "50",
        "--seconds",
        "1",
        "--events",
        "10",
        "-o",
        "json",
    ];
    let ran = bench(&[&["idle"], &options[..]].concat()).await;
    assert_eq!(figure(&ran, "readers who wait"), 50.0);
    assert!(figure(&ran, "memory while they wait") > 1.0);
    assert!(figure(&ran, "CPU while they wait") < 100.0);
    // It does not wait for the long polls to end.
    assert!(begun.elapsed() < Duration::from_secs(50));
}

#[tokio::test]
async fn what_cannot_be_measured_is_said() {
    let feed = Feed::new(4, 2).await;
    let url = feed.server.feed_url();
    for (arguments, code, said) in [
        (vec!["page", &url], 1, "no sealed page"),
        (vec!["page", "no-url"], 2, "no-url"),
        (
            vec!["catchup", "http://127.0.0.1:9/feeds/x"],
            2,
            "127.0.0.1:9",
        ),
        (
            vec!["catchup", &url, "--database", "x.db"],
            2,
            "cannot be used with",
        ),
        (
            vec!["append", "--database", "/no/such.db"],
            2,
            "/no/such.db",
        ),
        (vec!["idle", &url, "--pid", "4294967295"], 2, "that process"),
        (vec!["tail", "--rate", "0"], 2, "--rate"),
    ] {
        let ran = bench(&arguments).await;
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}
