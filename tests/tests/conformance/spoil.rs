//! Answers and requests, changed on their way, so that the library's own server becomes a broken one.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use futures_util::StreamExt;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Largest body that is changed, in bytes.
const BODY_BYTES_MAX: usize = 16 << 20;

/// What was asked for.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Behind the feed's own path: empty for the feed itself.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        Asked {
            method: request.method().clone(),
            path: path
                .split_once("/feeds/lamps")
                .map_or("list", |(_, rest)| rest)
                .to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
        }
    }

    pub(crate) fn is_head(&self) -> bool {
        self.path.is_empty() && !self.query.contains("after") && !self.query.contains("since")
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.path.starts_with("/archive/")
    }

    pub(crate) fn is_event(&self) -> bool {
        self.path.starts_with("/events/")
    }

    pub(crate) fn has(&self, header: &str) -> bool {
        self.headers.contains_key(header)
    }
}

/// What is answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.remove(name);
    }

    pub(crate) fn get(&self, name: &str) -> String {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    }

    /// Replaces in a header.
    pub(crate) fn replace_in(&mut self, name: &'static str, from: &str, to: &str) {
        let value = self.get(name);
        if !value.is_empty() {
            self.set(name, &value.replace(from, to));
        }
    }

    /// Replaces in the body.
    pub(crate) fn replace(&mut self, from: &str, to: &str) {
        if let Ok(text) = std::str::from_utf8(&self.body) {
            self.body = text.replace(from, to).into_bytes();
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.get("content-type").contains("json")
    }

    /// Changes the events of a batch.
    pub(crate) fn events(&mut self, change: impl FnOnce(&mut Vec<Value>)) {
        if let Ok(mut events) = serde_json::from_slice::<Vec<Value>>(&self.body) {
            change(&mut events);
            self.body = serde_json::to_vec(&events).unwrap();
        }
    }

    /// Another answer altogether.
    pub(crate) fn become_text(&mut self, status: u16, kind: &str, body: &str) {
        self.status = StatusCode::from_u16(status).unwrap();
        self.headers.clear();
        self.set("content-type", kind);
        self.set("cache-control", "no-store");
        self.body = body.as_bytes().to_vec();
    }
}

/// Changes every answer but event streams.
pub(crate) fn answers(
    change: impl Fn(&Asked, &mut Answer) + Send + Sync + 'static,
) -> impl FnOnce(Router) -> Router {
    let change = Arc::new(change);
    move |router| {
        router.layer(from_fn(move |request: Request, next: Next| {
            let (asked, change) = (Asked::of(&request), change.clone());
            async move {
                let response = next.run(request).await;
                if is_stream(&response) {
                    return response;
                }
                let (mut parts, body) = response.into_parts();
                let mut answer = Answer {
                    status: parts.status,
                    headers: parts.headers.clone(),
                    body: to_bytes(body, BODY_BYTES_MAX).await.unwrap().to_vec(),
                };
                change(&asked, &mut answer);
                answer.headers.remove(header::CONTENT_LENGTH);
                parts.status = answer.status;
                parts.headers = answer.headers;
                Response::from_parts(parts, Body::from(answer.body))
            }
        }))
    }
}

fn is_stream(response: &Response) -> bool {
    response
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream")
}

/// Changes every piece of every event stream.
pub(crate) fn streams(
    change: impl Fn(String) -> String + Send + Sync + 'static,
) -> impl FnOnce(Router) -> Router {
    let change = Arc::new(change);
    move |router| {
        router.layer(from_fn(move |request: Request, next: Next| {
            let change = change.clone();
            async move {
                let response = next.run(request).await;
                if !is_stream(&response) {
                    return response;
                }
                let (parts, body) = response.into_parts();
                let pieces = body.into_data_stream().map(move |piece| {
                    piece.map(|piece| change(String::from_utf8(piece.to_vec()).unwrap()))
                });
                Response::from_parts(parts, Body::from_stream(pieces))
            }
        }))
    }
}

/// Changes every request: its query, its headers.
pub(crate) fn requests(
    change: impl Fn(&Asked, &mut Request) + Send + Sync + 'static,
) -> impl FnOnce(Router) -> Router {
    let change = Arc::new(change);
    move |router| {
        router.layer(from_fn(move |mut request: Request, next: Next| {
            let (asked, change) = (Asked::of(&request), change.clone());
            change(&asked, &mut request);
            next.run(request)
        }))
    }
}

/// Leaves parameters out of a request: those that `keep` does not want.
pub(crate) fn parameters(
    keep: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
) -> impl FnOnce(Router) -> Router {
    requests(move |asked, request| {
        let pairs = url::form_urlencoded::parse(asked.query.as_bytes());
        let kept = pairs.filter(|(name, value)| keep(name, value));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .finish();
        set_query(request, &query);
    })
}

/// Gives a request another query.
pub(crate) fn set_query(request: &mut Request, query: &str) {
    let path = request.uri().path().to_owned();
    let target = if query.is_empty() {
        path
    } else {
        format!("{path}?{query}")
    };
    *request.uri_mut() = target.parse::<Uri>().unwrap();
}
