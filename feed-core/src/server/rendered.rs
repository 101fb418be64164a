//! A document as it is sent: made once, for all who ask for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Frame;

use super::conditional::Known;

/// Bytes that a document takes beside its body: headers, places in caches. An estimate.
const OVERHEAD_BYTES: usize = 1_024;

/// A document as it is sent. Cheap to clone: all who ask for it share the bytes.
#[derive(Debug, Clone)]
pub(super) struct Rendered(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    tag: String,
    /// All headers that do not come from the request.
    headers: HeaderMap,
    /// Those of them that a 304 has.
    unchanged: HeaderMap,
    body: Bytes,
}

impl Rendered {
    /// From all headers that the document has, its ETag among them, but for its length.
    pub(super) fn new(mut headers: HeaderMap, body: Vec<u8>) -> Self {
        let body = Bytes::from(body);
        let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.unwrap_or_default().to_owned();
        let mut unchanged = HeaderMap::with_capacity(headers.len());
        for (name, value) in &headers {
            if name != header::CONTENT_TYPE && name != header::CONTENT_ENCODING {
                unchanged.append(name, value.clone());
            }
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        Rendered(Arc::new(Parts {
            tag,
            headers,
            unchanged,
            body,
        }))
    }

    pub(super) fn tag(&self) -> &str {
        &self.0.tag
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// All headers that do not come from the request, but for the length.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.0.headers.clone();
        headers.remove(header::CONTENT_LENGTH);
        headers
    }

    /// About how many bytes it takes to keep it.
    pub(super) fn bytes(&self) -> usize {
        self.0.body.len() + OVERHEAD_BYTES
    }

    /// The document, or 304 when the reader has it.
    pub(super) fn respond(&self, known: &Known) -> Response {
        match known.is(&self.0.tag) {
            true => self.unchanged(),
            false => response(
                StatusCode::OK,
                self.0.headers.clone(),
                Body::from(self.0.body.clone()),
            ),
        }
    }

    /// That the reader has the document.
    pub(super) fn unchanged(&self) -> Response {
        not_modified(self.0.unchanged.clone())
    }
}

/// A 304 has no body, and what axum says of its length is not what a 200 would say (RFC 9110, section 8.6).
pub(super) fn not_modified(headers: HeaderMap) -> Response {
    response(StatusCode::NOT_MODIFIED, headers, Body::new(NoBody))
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A body that is not there, and of whose length nothing is said.
struct NoBody;

impl HttpBody for NoBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
