//! `feedctl conformance` as a process; what the rules see is tested where the broken servers are.

use std::collections::BTreeSet;

use axum::Router;
use axum::routing::get;
use feed_core::Store;

use super::feed::{Feed, append};
use super::process::{feedctl, feedctl_with};

/// A feed whose problems are explained.
async fn feed() -> Feed {
    let explained = Router::new().route("/problems/{slug}", get(|| async { "explained" }));
    Feed::behind(2, 7, |router| router.merge(explained)).await
}

#[tokio::test]
async fn rules_are_told_row_by_row() {
    let feed = feed().await;
    let ran = feedctl(&["conformance", &feed.url(), "--rule", "E1", "--rule", "d4"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let rows: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        rows[0].starts_with("E1  MUST   passed  required attributes: 7 events"),
        "{rows:?}"
    );
    assert!(rows[1].starts_with("D4  MUST   passed  "), "{rows:?}");
    assert_eq!(rows[2], "2 passed, 0 failed, 0 skipped");
    let colored = feedctl(&[
        "conformance",
        &feed.url(),
        "--rule",
        "E1",
        "--color",
        "always",
    ])
    .await;
    assert!(
        colored.stdout.contains("\u{1b}[32mpassed \u{1b}[0m"),
        "{}",
        colored.stdout
    );
}

#[tokio::test]
async fn rules_are_told_as_json() {
    let feed = feed().await;
    let ran = feedctl(&[
        "conformance",
        &feed.url(),
        "-o",
        "json",
        "--rule",
        "K1",
        "--rule",
        "W3",
    ])
    .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("1 passed, 0 failed, 1 skipped"),
        "{}",
        ran.stderr
    );
    let rows: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(
        (&rows[0]["id"], &rows[0]["result"]),
        (&"K1".into(), &"passed".into())
    );
    assert_eq!(
        (&rows[1]["id"], &rows[1]["level"]),
        (&"W3".into(), &"MUST".into())
    );
    assert_eq!(rows[1]["result"], "skipped");
    assert!(rows[1]["seen"].as_str().unwrap().contains("--append"));
}

#[tokio::test]
async fn what_is_skipped_fails_a_strict_run() {
    let feed = feed().await;
    let run = ["conformance", &feed.url(), "--rule", "W3"];
    assert_eq!(feedctl(&run).await.code, 0);
    assert_eq!(feedctl(&[&run[..], &["--strict"]].concat()).await.code, 1);
}

#[tokio::test]
async fn a_command_makes_the_events() {
    let feed = feed().await;
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("asked");
    std::fs::write(&asked, "").unwrap();
    // The shell asks by a byte more in the file.
    let store = Store::clone(&feed.store);
    let watched = asked.clone();
    let appending = tokio::spawn(async move {
        let mut done = 0;
        loop {
            let wanted = std::fs::metadata(&watched).map_or(0, |file| file.len());
            if wanted > done {
                append(&store, wanted - done).await;
                done = wanted;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    let command = format!("printf x >> '{}'", asked.display());
    let url = feed.url();
    let run = [
        "conformance",
        &url,
        "--strict",
        "--rule",
        "W1",
        "--rule",
        "W3",
        "--rule",
        "H2",
    ];
    let by_flag = feedctl(&[&run[..], &["--append", &command]].concat()).await;
    assert_eq!(by_flag.code, 0, "{}{}", by_flag.stdout, by_flag.stderr);
    let by_variable = feedctl_with(&run, &[("FEEDCTL_APPEND", &command)]).await;
    assert_eq!(
        by_variable.code, 0,
        "{}{}",
        by_variable.stdout, by_variable.stderr
    );
    appending.abort();
    let broken = feedctl(&[&run[..], &["--append", "echo no lamp >&2; exit 3"]].concat()).await;
    assert_eq!(broken.code, 2);
    assert!(broken.stderr.contains("no lamp"), "{}", broken.stderr);
}

#[tokio::test]
async fn a_rule_that_is_broken_is_exit_code_1() {
    // Everything is answered by the same page.
    let app = Router::new().fallback(|| async { axum::response::Html("<html>") });
    let server = super::feed::Server::start(app).await;
    let ran = feedctl(&["conformance", &server.feed_url()]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("R2  MUST   failed"), "{}", ran.stdout);
    let summary = ran.stdout.lines().last().unwrap();
    assert!(summary.contains(" failed, "), "{summary}");
}

#[tokio::test]
async fn what_cannot_be_run_is_exit_code_2() {
    let url = "http://127.0.0.1:9/feeds/lamps";
    for (arguments, said) in [
        (vec![url], "is the server running"),
        (vec![], "FEED-URL"),
        (vec![url, "--rule", "X1"], "no rule"),
        (vec![url, "--rule", "P2"], "binds readers"),
        (vec!["lamps"], "lamps"),
        (vec![url, "--events-max", "0"], "--events-max"),
    ] {
        let ran = feedctl(&[&["conformance"], &arguments[..]].concat()).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn the_rules_are_listed() {
    let ran = feedctl(&["conformance", "--list"]).await;
    assert_eq!(ran.code, 0);
    let ids: BTreeSet<&str> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for id in ["E1", "C1", "C2", "D4", "P4", "W4"] {
        assert!(ids.contains(id), "{id}");
    }
    let json = feedctl(&["conformance", "--list", "-o", "json"]).await;
    let list: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(list.as_array().unwrap().len() > 60);
}
