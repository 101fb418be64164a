//! Errors: each a problem document with a type of its own, and kept by no cache.

use serde_json::Value;

use super::lamps::Scene;
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
    assert_eq!(
        problem["type"],
        format!("urn:feedway:problem:{slug}").as_str()
    );
    assert_eq!(problem["status"], status);
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
        (head, vec![atom, "application/cloudevents-batch+json"]),
        (
            "/feeds/lamps?after=start",
            vec![atom, "application/cloudevents-batch+json"],
        ),
        (one.as_str(), vec![atom, "application/cloudevents+json"]),
    ];
    let refused = [
        "text/html",
        "application/json",
        "application/atom+xml;q=0",
        "*/*;q=0",
        "text/*",
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
        "limit=10",
        "after=start&limit=10",
        "type=Lit",
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
    assert!(slug.starts_with("urn:feedway:problem:"), "{problem}");
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
        "/feeds/lamps/nothing",
        "/feeds/lamps/archive",
        "/feeds/lamps/",
    ] {
        let reply = scene.served.get(&scene.served.url(path), &[]).await;
        assert_some_problem(&reply, 404);
    }
}
