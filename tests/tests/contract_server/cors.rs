//! Requests from the web pages of other origins.

use std::net::SocketAddr;

use axum::Router;
use feed_core::server::{CorsOrigin, Tokens, bind, cors, guard, router, serve};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::lamps::{LAMPS, Scene};
use super::served::Reply;

const OURS: &str = "https://app.example.org";
const OTHER: &str = "https://other.example.org";
const TOKEN: (&str, &str) = ("authorization", "Bearer token-that-reads");

/// The feed for pages of these origins, behind tokens or not, until the guard is dropped.
async fn open_to(scene: &Scene, origins: &[&str], tokens: bool) -> (Url, DropGuard) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "read token-that-reads\n").unwrap();
    let tokens = tokens.then(|| Tokens::from_file(&file).unwrap());
    let app: Router = guard(router(&scene.store, [LAMPS]).unwrap(), tokens);
    let origins: Vec<CorsOrigin> = origins
        .iter()
        .map(|origin| origin.parse().unwrap())
        .collect();
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, cors(app, &origins), stop.clone()));
    let url = Url::parse(&format!("http://{address}/feeds/lamps")).unwrap();
    (url, stop.drop_guard())
}

fn allowed(reply: &Reply) -> Option<&str> {
    let value = reply.headers.get("access-control-allow-origin")?;
    Some(value.to_str().unwrap())
}

/// What a browser asks before it sends a request with a token.
async fn preflight(scene: &Scene, url: &Url, origin: &str) -> Reply {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,prefer"),
    ];
    scene.served.request("OPTIONS", url, &asked).await
}

#[tokio::test]
async fn pages_of_the_origin_may_ask_and_read_with_a_token() {
    let scene = Scene::new(3, 5).await;
    let (url, _stop) = open_to(&scene, &["http://localhost:3000", OURS], true).await;
    // Browsers send no token with this.
    let reply = preflight(&scene, &url, OURS).await;
    assert_eq!((reply.status, allowed(&reply)), (204, Some(OURS)));
    assert_eq!(reply.header("vary"), "Origin");
    assert_eq!(reply.header("access-control-max-age"), "3600");
    assert!(reply.header("access-control-allow-methods").contains("GET"));
    let headers = reply.header("access-control-allow-headers").to_lowercase();
    for name in [
        "accept",
        "authorization",
        "content-type",
        "if-none-match",
        "last-event-id",
        "prefer",
    ] {
        assert!(headers.split(", ").any(|one| one == name), "{name}");
    }
    let reply = scene.served.get(&url, &[("origin", OURS), TOKEN]).await;
    assert_eq!((reply.status, allowed(&reply)), (200, Some(OURS)));
    assert_eq!(reply.header("vary"), "Accept, Origin");
    let exposed = reply.header("access-control-expose-headers");
    for name in [
        "ETag",
        "Link",
        "Location",
        "Feed-Head",
        "Feed-Caught-Up",
        "Retry-After",
        "Preference-Applied",
    ] {
        assert!(exposed.split(", ").any(|one| one == name), "{name}");
    }
    // What went wrong can be read too.
    let reply = scene.served.get(&url, &[("origin", OURS)]).await;
    assert_eq!((reply.status, allowed(&reply)), (401, Some(OURS)));
}

#[tokio::test]
async fn pages_of_other_origins_read_nothing() {
    let scene = Scene::new(3, 5).await;
    let (url, _stop) = open_to(&scene, &[OURS], true).await;
    let reply = preflight(&scene, &url, OTHER).await;
    assert_eq!(allowed(&reply), None);
    assert!(!reply.headers.contains_key("access-control-allow-headers"));
    // Without the header, the browser keeps the answer from the page; caches learn that it depends on who asks.
    for origin in [Some(OTHER), Some("null"), None] {
        let origin = origin.map(|origin| ("origin", origin));
        let asked: Vec<_> = origin.into_iter().chain([TOKEN]).collect();
        let reply = scene.served.get(&url, &asked).await;
        assert_eq!((reply.status, allowed(&reply)), (200, None));
        assert!(!reply.headers.contains_key("access-control-expose-headers"));
        assert_eq!(reply.header("vary"), "Accept, Origin");
    }
}

#[tokio::test]
async fn an_answer_to_all_origins_does_not_depend_on_them() {
    let scene = Scene::new(3, 5).await;
    let (url, _stop) = open_to(&scene, &["*"], false).await;
    let reply = preflight(&scene, &url, OTHER).await;
    assert_eq!((reply.status, allowed(&reply)), (204, Some("*")));
    for asked in [&[("origin", OTHER)][..], &[]] {
        let reply = scene.served.get(&url, asked).await;
        assert_eq!((reply.status, allowed(&reply)), (200, Some("*")));
        assert_eq!(reply.header("vary"), "Accept");
    }
    let reply = scene.served.get(&url, &[("origin", OTHER)]).await;
    let etag = ("if-none-match", reply.header("etag"));
    let reply = scene.served.get(&url, &[("origin", OTHER), etag]).await;
    assert_eq!((reply.status, allowed(&reply)), (304, Some("*")));
}

#[tokio::test]
async fn an_options_request_that_no_browser_asks_is_answered_by_the_feed() {
    let scene = Scene::new(3, 5).await;
    let (url, _stop) = open_to(&scene, &[OURS], false).await;
    for asked in [&[][..], &[("origin", OURS)]] {
        let reply = scene.served.request("OPTIONS", &url, asked).await;
        assert_eq!(reply.status, 204);
        assert!(reply.header("allow").contains("GET"), "{reply:?}");
    }
}

#[tokio::test]
async fn without_origins_nothing_is_said_of_them() {
    let scene = Scene::new(3, 5).await;
    let (url, _stop) = open_to(&scene, &[], true).await;
    let reply = scene.served.get(&url, &[("origin", OURS), TOKEN]).await;
    assert_eq!((reply.status, allowed(&reply)), (200, None));
    assert_eq!(reply.header("vary"), "Accept");
    let reply = preflight(&scene, &url, OURS).await;
    assert_eq!((reply.status, allowed(&reply)), (401, None));
}
