//! Errors: each a problem document with a type of its own, and kept by no cache.

use std::net::SocketAddr;

use axum::Router;
use feed_core::server::{Tokens, bind, guard, problem_types, router, serve};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::lamps::{LAMPS, Scene};
use super::served::{FORMATS, Reply};

/// The reply is this problem, in the form that all problems have.
#[track_caller]
pub(crate) fn assert_problem(reply: &Reply, status: u16, slug: &str) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        "application/problem+json",
        "{reply:?}"
    );
    assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(problem["type"], format!("/problems/{slug}").as_str());
    assert_eq!(problem["status"], status);
    // It has a page, and the page says what the answer says.
    let kind = problem_types::ALL.iter().find(|kind| kind.slug == slug);
    let kind = kind.unwrap_or_else(|| panic!("{slug} is in no table"));
    assert_eq!(problem["title"], kind.title);
    assert!(
        kind.statuses.contains(&reply.status.try_into().unwrap()),
        "{slug}: {status}"
    );
    for member in ["title", "detail"] {
        let text = problem[member].as_str().unwrap();
        assert!(text.len() > 5, "{problem}");
    }
    problem
}

#[tokio::test]
async fn what_cannot_be_represented_is_refused_with_what_there_is() {
    let scene = Scene::new(3, 5).await;
    let event = scene.events().await[0].id;
    let (head, one) = ("/feeds/lamps", format!("/feeds/lamps/events/{event}"));
    let atom = "application/atom+xml";
    let cases = [
        (
            head,
            vec![
                atom,
                "application/cloudevents-batch+json",
                "text/event-stream",
            ],
        ),
        (
            "/feeds/lamps?after=start",
            vec![
                atom,
                "application/cloudevents-batch+json",
                "text/event-stream",
            ],
        ),
        (
            one.as_str(),
            vec![atom, "application/cloudevents+json", "application/json"],
        ),
    ];
    let refused = [
        "text/html",
        "application/xml",
        "application/atom+xml;q=0",
        "*/*;q=0",
        "image/*",
        "nonsense",
    ];
    for (path, available) in cases {
        for accept in refused {
            let url = scene.served.url(path);
            let reply = scene.served.get(&url, &[("accept", accept)]).await;
            let problem = assert_problem(&reply, 406, "not-acceptable");
            assert_eq!(problem["available"], serde_json::json!(available), "{path}");
        }
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused() {
    let scene = Scene::new(3, 5).await;
    for query in [
        "offset=10",
        "after=start&offset=10",
        "tpye=Lit",
        "After=start",
        "after=start&after=start",
        "after=start&after=now",
        "x",
        "=",
    ] {
        let url = scene.served.url(&format!("/feeds/lamps?{query}"));
        let reply = scene.served.get(&url, &[]).await;
        assert_problem(&reply, 400, "parameter-unknown");
    }
    let event = &scene.events().await[0];
    for path in [
        "/feeds".to_owned(),
        "/feeds/lamps/consumers".to_owned(),
        format!("/feeds/lamps/archive/{}/1.r1.json", event.epoch),
        format!("/feeds/lamps/events/{}", event.id),
    ] {
        let url = scene.served.url(&format!("{path}?after=start"));
        let reply = scene.served.get(&url, &[]).await;
        assert_problem(&reply, 400, "parameter-unknown");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_own_type() {
    let scene = Scene::new(3, 7).await;
    let events = scene.events().await;
    let epoch = events[0].epoch;
    let strange = "0707070707070707";
    let archive = |rest: &str| format!("/feeds/lamps/archive/{rest}");
    let unknown_id = "0190b6e2-1111-7000-8000-000000000001";
    let missing = [
        ("/feeds/switches".to_owned(), "feed-unknown"),
        ("/feeds/switches?after=start".to_owned(), "feed-unknown"),
        ("/feeds/Lamps".to_owned(), "feed-unknown"),
        ("/feeds/switches/consumers".to_owned(), "feed-unknown"),
        (
            format!("/feeds/switches/archive/{epoch}/1.r1.atom"),
            "feed-unknown",
        ),
        (
            format!("/feeds/switches/events/{}", events[0].id),
            "feed-unknown",
        ),
        (format!("/feeds/lamps/events/{unknown_id}"), "event-unknown"),
        ("/feeds/lamps/events/1".to_owned(), "event-unknown"),
        (format!("/feeds/lamps?after={unknown_id}"), "event-unknown"),
        (archive(&format!("{strange}/1.r1.atom")), "epoch-unknown"),
        (archive(&format!("{epoch}/0.r1.atom")), "page-unknown"),
        (archive(&format!("{epoch}/01.r1.atom")), "page-unknown"),
        (archive(&format!("{epoch}/%2B1.r1.atom")), "page-unknown"),
        (archive(&format!("{epoch}/1.r2.atom")), "page-unknown"),
        (archive(&format!("{epoch}/1.r1.xml")), "page-unknown"),
        (archive(&format!("{epoch}/1")), "page-unknown"),
        (archive("x/1.r1.atom"), "page-unknown"),
        // The open page is 3: its URL leads to the tail, but there is nothing behind it.
        (archive(&format!("{epoch}/4.r1.atom")), "page-unknown"),
        (archive(&format!("{epoch}/5.r1.json")), "page-unknown"),
        (
            archive(&format!("{epoch}/1099511627775.r1.json")),
            "page-unknown",
        ),
        (
            archive(&format!("{epoch}/99999999999999999999.r1.json")),
            "page-unknown",
        ),
    ];
    for (path, slug) in missing {
        for format in FORMATS {
            let accept = match path.contains("/events/") {
                true => "*/*",
                false => format.media_type(),
            };
            let url = scene.served.url(&path);
            let reply = scene.served.get(&url, &[("accept", accept)]).await;
            assert_problem(&reply, 404, slug);
        }
    }
}

#[tokio::test]
async fn an_event_of_another_feed_is_not_found_in_this_one() {
    let scene = Scene::new(3, 2).await;
    let other = feed_core::FeedConfig::new("switches", "lamp-svc").unwrap();
    scene.store.create_feed(other).await.unwrap();
    let served = super::served::Served::start(&scene.store, &["switches", "lamps"]).await;
    let id = scene.events().await[0].id;
    for path in [
        format!("/feeds/switches/events/{id}"),
        format!("/feeds/switches?after={id}"),
    ] {
        let reply = served.get(&served.url(&path), &[]).await;
        assert_problem(&reply, 404, "event-unknown");
    }
}

/// Design, section 4: errors are problem+json with a stable type, and every 4xx is `no-store`. Whichever type it is.
fn assert_some_problem(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
    let media_type = reply.headers.get("content-type");
    assert!(
        media_type.is_some_and(|found| found == "application/problem+json"),
        "{reply:?}"
    );
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    let slug = problem["type"].as_str().unwrap();
    assert!(slug.starts_with("/problems/"), "{problem}");
    assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_a_problem_too() {
    let scene = Scene::new(3, 5).await;
    for path in ["/feeds", "/feeds/lamps", "/feeds/lamps?after=start"] {
        for method in ["POST", "PUT", "DELETE"] {
            let url = scene.served.url(path);
            let reply = scene.served.request(method, &url, &[]).await;
            assert_some_problem(&reply, 405);
            assert!(reply.header("allow").contains("GET"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_problem_too() {
    let scene = Scene::new(3, 5).await;
    for path in [
        "/feeds/%FF",
        "/feeds/lamps/events/%FF",
        "/feeds/lamps/archive/%FF/1.r1.atom",
    ] {
        let reply = scene.served.get(&scene.served.url(path), &[]).await;
        assert!([400, 404].contains(&reply.status), "{reply:?}");
        assert_some_problem(&reply, reply.status);
    }
}

#[tokio::test]
async fn a_path_below_the_feeds_that_is_no_resource_is_a_problem_too() {
    let scene = Scene::new(3, 5).await;
    for path in [
        "/feeds/",
        "/feeds/lamps/nothing",
        "/feeds/lamps/archive",
        "/feeds/lamps/",
    ] {
        let reply = scene.served.get(&scene.served.url(path), &[]).await;
        assert_some_problem(&reply, 404);
    }
}

#[tokio::test]
async fn wrong_paths_and_methods_have_types_of_their_own() {
    let scene = Scene::new(3, 5).await;
    for (method, path, status, slug) in [
        ("GET", "/feeds/lamps/nothing", 404, "path-unknown"),
        ("GET", "/feeds/lamps/archive", 404, "path-unknown"),
        ("GET", "/feeds/lamps/", 404, "path-unknown"),
        ("GET", "/feeds/%FF", 400, "path-malformed"),
        ("GET", "/feeds/lamps/events/%FF", 400, "path-malformed"),
        ("POST", "/feeds", 405, "method-unknown"),
        ("PUT", "/feeds/lamps", 405, "method-unknown"),
        ("DELETE", "/feeds/lamps/events/1", 405, "method-unknown"),
    ] {
        let url = scene.served.url(path);
        let reply = scene.served.request(method, &url, &[]).await;
        assert_problem(&reply, status, slug);
    }
}

#[tokio::test]
async fn a_service_that_is_stopping_asks_to_come_again() {
    let scene = Scene::new(3, 5).await;
    scene.store.close().await;
    for path in ["/feeds", "/feeds/lamps", "/feeds/lamps?after=start"] {
        let reply = scene.served.get(&scene.served.url(path), &[]).await;
        assert_problem(&reply, 503, "unavailable");
        let seconds: u64 = reply.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
}

#[tokio::test]
async fn a_failure_inside_is_told_without_its_reason() {
    let scene = Scene::new(3, 5).await;
    let conn = rusqlite::Connection::open(scene.store.path()).unwrap();
    let spoil = "UPDATE outbox SET type = 'not a type' WHERE position = 4";
    assert_eq!(conn.execute(spoil, []).unwrap(), 1);
    let reply = scene
        .served
        .get(&scene.served.url("/feeds/lamps"), &[])
        .await;
    assert_problem(&reply, 500, "internal");
    assert!(!String::from_utf8_lossy(&reply.body).contains("not a type"));
}

/// The routes of the scene behind tokens, one that may read and one that may write, until `stop` is cancelled.
async fn guarded(scene: &Scene, stop: &CancellationToken) -> Url {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "read token-that-reads\nwrite token-that-writes\n").unwrap();
    let tokens = Tokens::from_file(&file).unwrap();
    let app: Router = guard(router(&scene.store, [LAMPS]).unwrap(), Some(tokens));
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, app, stop.clone()));
    Url::parse(&format!("http://{address}/feeds/lamps")).unwrap()
}

#[tokio::test]
async fn without_the_right_token_nothing_is_told() {
    let scene = Scene::new(3, 5).await;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let url = guarded(&scene, &stop).await;
    let ask = async |method: &str, token: &str| {
        let token = format!("Bearer {token}");
        let asked = [("authorization", token.as_str())];
        scene.served.request(method, &url, &asked).await
    };
    for reply in [
        scene.served.get(&url, &[]).await,
        ask("GET", "another-token-of-ours").await,
        ask("POST", "").await,
    ] {
        assert_problem(&reply, 401, "token-missing");
        // RFC 9110, section 11.6.1.
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    for token in ["token-that-reads", "token-that-writes"] {
        assert_eq!(ask("GET", token).await.status, 200);
        assert_eq!(ask("HEAD", token).await.status, 200);
    }
    let reply = ask("POST", "token-that-reads").await;
    assert_problem(&reply, 403, "token-reads-only");
    let reply = ask("POST", "token-that-writes").await;
    assert_problem(&reply, 405, "method-unknown");
}
