//! A proxy that stands between a reader and a service, and answers as it likes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use feed_core::server::{bind, serve};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use tokio_util::sync::CancellationToken;

/// An answer, to be handed on or kept.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Copy {
    /// With every `from` in the body replaced.
    pub(crate) fn replaced(mut self, from: &str, to: &str) -> Self {
        let text = String::from_utf8(self.body).unwrap();
        self.body = text.replace(from, to).into_bytes();
        self
    }
}

/// What is answered to a request, given what the service answers to it now.
type Meddle = dyn Fn(&Parts, Copy) -> Copy + Send + Sync;

/// The proxy; it stops when this is dropped.
pub(crate) struct Between {
    origin: String,
    stop: CancellationToken,
}

#[derive(Clone)]
struct Shared {
    upstream: String,
    http: reqwest::Client,
    meddle: Arc<Meddle>,
}

impl Between {
    /// A proxy to the service at `upstream`, such as `http://127.0.0.1:8081`.
    pub(crate) async fn start(
        upstream: &str,
        meddle: impl Fn(&Parts, Copy) -> Copy + Send + Sync + 'static,
    ) -> Self {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared {
            upstream: upstream.to_owned(),
            http: feedway_tests::http::client(8).unwrap(),
            meddle: Arc::new(meddle),
        };
        let app = Router::new().fallback(hand_on).with_state(shared);
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, app, stop.clone()));
        Between { origin, stop }
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }

    /// `url` of the service, through the proxy.
    pub(crate) fn through(&self, url: &str) -> String {
        let url = url::Url::parse(url).unwrap();
        format!("{}{}", self.origin, &url[url::Position::BeforePath..])
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn hand_on(State(shared): State<Shared>, request: Request) -> Response {
    let (asked, _) = request.into_parts();
    let mut headers = asked.headers.clone();
    headers.remove(header::HOST);
    let sent = shared
        .http
        .request(
            asked.method.clone(),
            format!("{}{}", shared.upstream, asked.uri),
        )
        .headers(headers)
        .send();
    let Ok(answer) = sent.await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let Ok(body) = answer.bytes().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    // The body's length may not be what it was; the server writes it anew.
    for name in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
    ] {
        headers.remove(name);
    }
    let fresh = Copy {
        status,
        headers,
        body: body.to_vec(),
    };
    let copy = (shared.meddle)(&asked, fresh);
    (copy.status, copy.headers, copy.body).into_response()
}
