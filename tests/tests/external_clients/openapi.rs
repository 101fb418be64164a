//! Requests that are made from an OpenAPI document, and answers that are compared with it.

use std::net::SocketAddr;

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use feed_core::server::{bind, serve};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::feeds::Feeds;
use super::tools::{self, Said};

/// Where the services describe themselves.
const DESCRIPTION: &str = "/openapi.json";

async fn fuzz(base_url: &str, path: &str) -> Said {
    let args = [
        tools::script("fuzz.py").into_os_string(),
        base_url.into(),
        path.into(),
    ];
    tools::run(&tools::python().unwrap(), args, &[]).await
}

/// A description of one operation: it takes a limit from 1 to 9, and answers a list.
fn description() -> Value {
    let list = json!({ "type": "object", "required": ["lamps"], "properties": { "lamps": { "type": "array" } } });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 9 });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Lamps", "version": "1" },
        "paths": { "/lamps": { "get": {
            "parameters": [{ "name": "limit", "in": "query", "schema": limit }],
            "responses": {
                "200": { "description": "the lamps", "content": { "application/json": { "schema": list } } },
                "400": { "description": "another limit" },
            },
        } } },
    })
}

/// Does what [`description`] says.
fn right(query: Option<&str>) -> Response {
    let limit = query.unwrap_or("limit=1").strip_prefix("limit=");
    match limit.and_then(|limit| limit.parse::<u8>().ok()) {
        Some(1..=9) => Json(json!({ "lamps": [] })).into_response(),
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// A service that answers so, and describes itself as [`description`].
async fn described(answer: fn(Option<&str>) -> Response) -> (String, impl Drop) {
    let lamps = get(move |RawQuery(query): RawQuery| async move { answer(query.as_deref()) });
    let app = Router::new()
        .route("/openapi.json", get(async || Json(description())))
        .route("/lamps", lamps);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, app, stop.clone()));
    (origin, stop.drop_guard())
}

#[tokio::test]
async fn schemathesis_finds_no_failure_and_notices_what_is_not_as_described() {
    if tools::python().is_none() {
        return;
    }
    let feeds = Feeds::start().await;
    for origin in feeds.origins() {
        fuzz(&origin, DESCRIPTION).await.tell();
    }
    let (origin, _stop) = described(right).await;
    let said = fuzz(&origin, "/openapi.json").await;
    assert!(said.well, "{}", said.text);
    for (answer, words) in [
        (
            (|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()) as fn(Option<&str>) -> Response,
            "Server error",
        ),
        (|_| Json(json!({ "lights": [] })).into_response(), "schema"),
        (|_| StatusCode::CONFLICT.into_response(), "status code"),
    ] {
        let (origin, _stop) = described(answer).await;
        fuzz(&origin, "/openapi.json").await.assert_noticed(words);
    }
}
