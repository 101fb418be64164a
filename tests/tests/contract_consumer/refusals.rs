//! A feed that refuses the cursor: the subscription halts, says why, and nothing is ever reset (invariant I11).

use feed_core::{ConsumerError, Format, Halt};
use tokio_util::sync::CancellationToken;
use wiremock::ResponseTemplate;

use super::reader::{Reader, catch_up, failure};
use super::scripted::{ScriptedFeed, ScriptedServer, problem, redirect, target};

const REFUSALS: [(u16, &str); 5] = [
    (400, "cursor-malformed"),
    (409, "epoch-unknown"),
    (409, "cursor-diverged"),
    (409, "cursor-beyond-head"),
    (410, "cursor-pruned"),
];

#[tokio::test]
async fn i11_a_refused_cursor_halts_and_stays_where_it_is() {
    for (status, slug) in REFUSALS {
        let feed = ScriptedFeed::new(1, 5);
        let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
        server.on(&feed.after(3), [problem(status, slug)]);
        let mut consumer = reader.consumer(&server.feed_url());
        // The same again by one that starts anew.
        for restarted in [false, true, true] {
            if restarted {
                consumer = reader.consumer(&server.feed_url());
            }
            let error = failure(&mut consumer).await;
            assert!(!error.is_transient(), "{error}");
            let is_refused = matches!(&error, ConsumerError::Halted(Halt::CursorRefused { .. }));
            assert!(is_refused, "{error:?}");
            reader.assert_applied(&feed, 3).await;
            let reason = reader.halted().await.expect("the reason is saved");
            for part in [slug, &feed.cursor(3).to_string(), "the script says"] {
                assert!(reason.contains(part), "{part:?} is missing in {reason:?}");
            }
        }
        for request in server.requests().await {
            assert_eq!(
                target(&request),
                feed.after(3),
                "it asked for something else"
            );
        }
    }
}

#[tokio::test]
async fn i11_a_refusal_behind_a_redirect_halts_as_well() {
    let feed = ScriptedFeed::new(1, 5);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    let page = feed.sealed_path(2, Format::Json);
    server.on(&feed.after(3), [redirect(&page)]);
    server.on(&page, [problem(404, "epoch-unknown")]);
    let error = failure(&mut reader.consumer(&server.feed_url())).await;
    assert!(
        matches!(error, ConsumerError::Halted(Halt::CursorRefused { .. })),
        "{error:?}"
    );
    reader.assert_applied(&feed, 3).await;
}

#[tokio::test]
async fn i11_the_running_consumer_halts_and_asks_no_more() {
    let feed = ScriptedFeed::new(1, 5);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    server.on(&feed.after(3), [problem(409, "cursor-diverged")]);
    let stop = CancellationToken::new();
    let running = reader.consumer(&server.feed_url()).spawn(stop.clone());
    reader.wait_until(|row| row.halted().is_some()).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(server.targets().await, [feed.after(3)]);
    assert!(reader.halted().await.unwrap().contains("cursor-diverged"));
    reader.assert_applied(&feed, 3).await;
}

#[tokio::test]
async fn i11_a_refusal_is_known_by_the_last_segment_of_its_type() {
    for problem_type in [
        "/problems/cursor-diverged",
        "https://example.org/docs/cursor-diverged?lang=en",
        "urn:feedway:problem:cursor-diverged",
    ] {
        let feed = ScriptedFeed::new(1, 5);
        let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
        let body = serde_json::json!({ "type": problem_type, "detail": "the script says it" });
        let refusal =
            ResponseTemplate::new(409).set_body_raw(body.to_string(), "application/problem+json");
        server.on(&feed.after(3), [refusal]);
        let error = failure(&mut reader.consumer(&server.feed_url())).await;
        let is_refused = matches!(&error, ConsumerError::Halted(Halt::CursorRefused { .. }));
        assert!(is_refused, "{problem_type}: {error:?}");
    }
}

#[tokio::test]
async fn i11_a_problem_of_any_other_type_is_tried_again() {
    let feed = ScriptedFeed::new(1, 5);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    let others = [
        problem(503, "unavailable").insert_header("retry-after", "1"),
        problem(409, "cursor-diverged-not"),
        problem(404, "page-unknown"),
        // Not of our types, whatever it ends with.
        ResponseTemplate::new(409).set_body_raw(
            r#"{"type":"https://example.org/cursor-diverged/x"}"#,
            "application/problem+json",
        ),
        // A text that only looks like one.
        ResponseTemplate::new(409)
            .set_body_raw(r#"{"type":"/problems/cursor-diverged"}"#, "text/plain"),
    ];
    let mut consumer = reader.consumer(&server.feed_url());
    for other in others {
        server.on(&feed.after(3), [other]);
        let error = failure(&mut consumer).await;
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(reader.halted().await, None);
    }
    server.on(&feed.after(3), [feed.tail(Format::Json, 4..=5)]);
    server.on(&feed.after(5), [feed.nothing_after(Format::Json, 5)]);
    catch_up(&mut consumer).await;
    reader.assert_applied(&feed, 5).await;
}

#[tokio::test]
async fn i11_it_goes_on_from_the_same_cursor_when_the_feed_takes_it_again() {
    let feed = ScriptedFeed::new(1, 5);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    server.on(
        &feed.after(3),
        [
            problem(409, "cursor-beyond-head"),
            feed.tail(Format::Json, 4..=5),
        ],
    );
    server.on(&feed.after(5), [feed.nothing_after(Format::Json, 5)]);
    failure(&mut reader.consumer(&server.feed_url())).await;
    assert!(reader.halted().await.is_some());
    catch_up(&mut reader.consumer(&server.feed_url())).await;
    reader.assert_applied(&feed, 5).await;
    assert_eq!(reader.halted().await, None);
}

#[tokio::test]
async fn i11_the_reason_is_gone_when_it_goes_on_though_nothing_is_new() {
    // `Subscription::halted`: "Why it halts; none while it does not."
    let feed = ScriptedFeed::new(1, 3);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    server.on(
        &feed.after(3),
        [
            problem(409, "cursor-beyond-head"),
            feed.nothing_after(Format::Json, 3),
        ],
    );
    failure(&mut reader.consumer(&server.feed_url())).await;
    assert!(reader.halted().await.is_some());
    let mut consumer = reader.consumer(&server.feed_url());
    catch_up(&mut consumer).await;
    catch_up(&mut consumer).await;
    reader.assert_applied(&feed, 3).await;
    assert_eq!(reader.halted().await, None, "it does not halt any more");
}
