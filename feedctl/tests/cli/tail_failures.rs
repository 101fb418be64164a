//! `feedctl tail` where something is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use feed_core::server::{Tokens, guard};

use super::feed::{Feed, Server};
use super::process::{Running, feedctl, feedctl_with};

#[tokio::test]
async fn what_is_wrong_with_the_command_is_told_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, "x").unwrap();
    let garbage = garbage.to_str().unwrap();
    let url = "http://127.0.0.1:9/feeds/lamps";
    for (arguments, said) in [
        (vec![], "Usage"),
        (vec!["nonsense"], "nonsense"),
        (vec!["tail"], "FEED-URL"),
        (vec!["tail", "orders"], "orders"),
        (vec!["tail", "ftp://h/feeds/x"], "http://"),
        (vec!["tail", url, "--from", "yesterday"], "2026-01-31"),
        (vec!["tail", url, "--type", "two words"], "--type"),
        (vec!["tail", url, "-n", "0"], "--limit"),
        (vec!["tail", url, "--resume", garbage], "no resume file"),
        (
            vec![
                "tail",
                url,
                "--token-file",
                garbage,
                "--resume",
                "/dev/null/x",
            ],
            "--resume",
        ),
        (
            vec!["tail", url, "--token-file", "/no/such/file"],
            "--token-file",
        ),
        (vec!["tail", url], "is the server running?"),
        (vec!["tail", url, "--no-follow"], "is the server running?"),
    ] {
        let ran = feedctl(&arguments).await;
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn help_has_examples_and_exit_codes() {
    for command in [
        vec!["--help"],
        vec!["tail", "--help"],
        vec!["conformance", "--help"],
    ] {
        let ran = feedctl(&command).await;
        assert_eq!(ran.code, 0);
        for part in ["Examples:", "feedctl ", "--color", "xit codes:"] {
            assert!(
                ran.stdout.contains(part),
                "{command:?}: no {part:?} in {}",
                ran.stdout
            );
        }
    }
    assert!(
        feedctl(&["--version"])
            .await
            .stdout
            .starts_with("feedctl 0.")
    );
}

#[tokio::test]
async fn i11_a_refused_cursor_is_told_with_what_the_feed_says() {
    let feed = Feed::new(4, 5).await;
    for (from, slug) in [
        ("ffffffffffffffff.1.000000000000", "epoch-unknown"),
        ("99", "cursor-beyond-head"),
    ] {
        let ran = feedctl(&["tail", &feed.url(), "--from", from]).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
        for part in [slug, "resume file"] {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        }
    }
    // Something else that does not become better by waiting.
    let nothing = format!("{}-more", feed.url());
    let ran = feedctl(&["tail", &nothing]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("404") && ran.stderr.contains("the feed's own URL"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_token_is_taken_from_a_file_or_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("token"), folder.path().join("tokens"));
    std::fs::write(&ours, "0123456789abcdef\n").unwrap();
    std::fs::write(&theirs, "read 0123456789abcdef\n").unwrap();
    let tokens = Tokens::from_file(&theirs).unwrap();
    let feed = Feed::behind(4, 2, |router| guard(router, Some(tokens))).await;
    let (url, ours) = (feed.url(), ours.to_str().unwrap());
    let tail = ["tail", &url, "--no-follow"];
    let without = feedctl(&tail).await;
    assert_eq!(without.code, 1);
    assert!(
        without.stderr.contains("401") && without.stderr.contains("--token-file"),
        "{}",
        without.stderr
    );
    let by_flag = feedctl(&[&tail[..], &["--token-file", ours]].concat()).await;
    assert_eq!(by_flag.stdout.lines().count(), 2, "{}", by_flag.stderr);
    for variable in [
        ("FEEDCTL_TOKEN_FILE", ours),
        ("FEEDCTL_TOKEN", "0123456789abcdef"),
    ] {
        let ran = feedctl_with(&tail, &[variable]).await;
        assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stderr);
    }
}

/// Puts another check into the events of every document from the `from`th request on.
fn with_wrong_checks(router: Router, from: usize) -> Router {
    let requests = Arc::new(AtomicUsize::new(0));
    router.layer(from_fn(move |request: Request, next: Next| {
        let number = requests.fetch_add(1, Ordering::SeqCst);
        async move {
            let (mut parts, body) = next.run(request).await.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let events = serde_json::from_slice::<Vec<serde_json::Value>>(&body);
            let (Ok(mut events), true) = (events, number >= from) else {
                return Response::from_parts(parts, Body::from(body));
            };
            for event in &mut events {
                event["check"] = "000000000000".into();
            }
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(serde_json::to_vec(&events).unwrap()))
        }
    }))
}

#[tokio::test]
async fn i11_a_broken_check_ends_it_with_what_is_wrong() {
    let feed = Feed::behind(4, 10, |router| with_wrong_checks(router, 3)).await;
    let ran = feedctl(&["tail", &feed.url(), "-o", "jsonl"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for part in ["asking past all caches", "does not follow on", "computed"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    // What came before is good, nothing behind it is shown.
    assert!(ran.stdout.lines().count() <= 8, "{}", ran.stdout);
    // The first event of all is verified too, when it begins at the start.
    let feed = Feed::behind(4, 3, |router| with_wrong_checks(router, 0)).await;
    let ran = feedctl(&["tail", &feed.url(), "-o", "jsonl"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
}

#[tokio::test]
async fn i13_a_server_that_fails_now_and_then_is_asked_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let feed = Feed::behind(4, 20, |router| {
        router.layer(from_fn(move |request: Request, next: Next| {
            let number = requests.fetch_add(1, Ordering::SeqCst);
            async move {
                // Two in a row are well: a redirect, and where it leads.
                match number % 4 {
                    2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                    3 => (HeaderMap::new(), "<html>garbage").into_response(),
                    _ => next.run(request).await,
                }
            }
        }))
    })
    .await;
    let ran = feedctl(&["tail", &feed.url(), "-o", "jsonl", "-n", "20"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 20);
    for part in ["503", "trying again in", "following again"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_server_that_only_fails_ends_a_run_that_does_not_follow() {
    let app = Router::new().route(
        "/feeds/lamps",
        get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
    );
    let server = Server::start(app).await;
    let ran = feedctl(&["tail", &server.feed_url(), "--no-follow"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("500") && ran.stderr.contains("given up"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_server_that_does_not_wait_is_asked_no_more_often_than_told() {
    // It drops `Prefer`, so that an answer without events comes at once.
    let feed = Feed::behind(4, 2, |router| {
        router.layer(from_fn(|mut request: Request, next: Next| async move {
            request.headers_mut().remove("prefer");
            next.run(request).await
        }))
    })
    .await;
    let mut running = Running::start(&[
        "tail",
        &feed.url(),
        "-o",
        "jsonl",
        "--poll-interval-ms",
        "400",
    ]);
    let begun = std::time::Instant::now();
    for _ in 0..2 {
        running.line().await.unwrap();
    }
    super::process::until(|| feed.server.requests() >= 5).await;
    let polls = feed.server.requests() as u128;
    let most = begun.elapsed().as_millis() / 400 + 3;
    assert!(polls <= most, "{polls} requests in {:?}", begun.elapsed());
    super::feed::append(&feed.store, 1).await;
    assert!(running.line().await.is_some());
}
