use super::*;
use axum::body::Body;
use axum::routing::get;
use http::StatusCode;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What `bounded` makes of these routes when `url` is asked for.
async fn asked(routes: Router, url: &str) -> Response {
    let app = Bounded::new(routes, Stopping::default());
    let request = Request::get(url).body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap()
}

/// Its body.
async fn problem(response: Response, status: StatusCode, slug: &str) -> Value {
    assert_eq!(response.status(), status);
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    assert_eq!(header("content-type"), Some("application/problem+json"));
    assert_eq!(header("cache-control"), Some("no-store"));
    let body = response.into_body();
    let bytes = axum::body::to_bytes(body, 64 << 10).await.unwrap();
    let problem: Value = serde_json::from_slice(&bytes).unwrap();
    let expected = format!("/problems/{slug}");
    assert_eq!(problem["type"], expected.as_str());
    problem
}

#[tokio::test(start_paused = true)]
async fn i12_a_request_that_takes_too_long_is_answered_by_a_problem() {
    let routes = Router::new().route("/", get(std::future::pending::<()>));
    let response = asked(routes, "/").await;
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, StatusCode::SERVICE_UNAVAILABLE, "timeout").await;
}

#[tokio::test]
async fn i12_a_url_that_is_too_long_is_refused_by_a_problem() {
    let routes = || Router::new().fallback(async || "well");
    for url in [
        format!("/{}", "a".repeat(URL_BYTES_MAX - 1)),
        format!("/?{}", "a".repeat(URL_BYTES_MAX - 2)),
        // The origin is not part of what is measured.
        format!("http://origin/{}", "a".repeat(URL_BYTES_MAX - 1)),
    ] {
        assert_eq!(asked(routes(), &url).await.status(), StatusCode::OK);
        let response = asked(routes(), &format!("{url}a")).await;
        let problem = problem(response, StatusCode::URI_TOO_LONG, "uri-too-long").await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("2049") && detail.contains("2048"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn i12_a_panic_is_told_without_its_reason() {
    let routes = Router::new().route("/", get(async || -> () { panic!("a secret") }));
    let response = asked(routes, "/").await;
    let problem = problem(response, StatusCode::INTERNAL_SERVER_ERROR, "internal").await;
    assert!(!problem.to_string().contains("secret"), "{problem}");
}

#[tokio::test]
async fn every_request_carries_the_token_of_the_stop() {
    let stop = CancellationToken::new();
    let routes = Router::new().route(
        "/",
        get(async |stopping: Stopping| {
            let before = stopping.is_cancelled();
            // A handler cannot stop the service by it.
            stopping.cancel();
            before.to_string()
        }),
    );
    let app = Bounded::new(routes, Stopping::new(&stop));
    let request = Request::get("/").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 100)
        .await
        .unwrap();
    assert_eq!(body, "false");
    assert!(!stop.is_cancelled());
}
