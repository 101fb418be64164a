//! What stands behind the proxy.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};

use super::answer::{Answer, format_of};
use crate::failure::{Context, Failure};

/// Connections that are kept open.
const CONNECTIONS: usize = 64;
/// Headers that belong to one connection (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// One service.
#[derive(Debug)]
pub(super) struct Upstream {
    base_url: String,
    http: reqwest::Client,
}

/// What a service answers.
pub(super) enum Given {
    /// A feed document, which may be harmed and kept.
    Document(Answer),
    /// Anything else. It may have no end.
    Other(reqwest::Response),
}

impl Upstream {
    pub(super) fn new(base_url: &str) -> Result<Self, Failure> {
        // The first one to install a provider wins; any is good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(CONNECTIONS)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .build()
            .context("making an HTTP client")?;
        Ok(Upstream {
            base_url: base_url.trim_end_matches('/').to_owned(),
            http,
        })
    }

    /// Hands a request on. It has no time limit of its own: a long poll and an event stream take as long as the client
    /// waits, and when the client goes away this is dropped.
    pub(super) async fn ask(&self, asked: &Parts, body: Bytes) -> Result<Given, reqwest::Error> {
        let mut headers = asked.headers.clone();
        headers.remove(header::HOST);
        // What is to be told wrongly has to be read first.
        headers.remove(header::ACCEPT_ENCODING);
        leave_out_hops(&mut headers);
        let url = format!("{}{}", self.base_url, asked.uri);
        let request = self.http.request(asked.method.clone(), url);
        let mut response = request.headers(headers).body(body).send().await?;
        leave_out_hops(response.headers_mut());
        let is_document = response.status() == StatusCode::OK
            && asked.method == http::Method::GET
            && format_of(response.headers()).is_some();
        if !is_document {
            return Ok(Given::Other(response));
        }
        let (status, mut headers) = (response.status(), response.headers().clone());
        headers.remove(header::CONTENT_LENGTH);
        Ok(Given::Document(Answer {
            status,
            headers,
            body: response.bytes().await?,
        }))
    }
}

fn leave_out_hops(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The response as it comes in.
pub(super) fn streamed(response: reqwest::Response) -> Response<Body> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = stream::unfold(response, async |mut response| {
        let chunk = response.chunk().await.transpose()?;
        Some((chunk, response))
    });
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
