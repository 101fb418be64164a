//! Which web pages of other origins may read the answers (the Fetch standard, section 3.2, "HTTP CORS protocol").
//!
//! tower-http's layer would answer every OPTIONS by itself, without the `Allow` that a feed's answer has to have.

use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::error::InvalidValue;
use crate::limits::CORS_MAX_AGE_S;

/// What a page may send beside what any page may. The routes refuse what they do not take.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What a page may add to a request. `Cache-Control` is how a reader asks past all caches.
const REQUEST_HEADERS: &str = "Accept, Authorization, Cache-Control, Content-Type, Feed-Subscription, Idempotency-Key, \
    If-None-Match, Last-Event-ID, Prefer";
/// What a page may read of an answer beside what any page may.
const EXPOSED_HEADERS: &str =
    "ETag, Link, Location, Feed-Head, Feed-Caught-Up, Retry-After, Preference-Applied";

/// An origin whose pages may read what the service answers, or `*` for all.
///
/// ```
/// use feed_core::server::CorsOrigin;
/// assert!("https://app.example.org".parse::<CorsOrigin>().is_ok());
/// assert!("*".parse::<CorsOrigin>().is_ok());
/// assert!("app.example.org".parse::<CorsOrigin>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigin(Origin);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Any,
    One(HeaderValue),
}

impl FromStr for CorsOrigin {
    type Err = InvalidValue;

    /// Takes `scheme://host[:port]` of http and https, in the one form in which browsers send it, and `*`.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "*" {
            return Ok(CorsOrigin(Origin::Any));
        }
        let allowed = "scheme://host[:port] as browsers send it, such as https://app.example.org: http or https, lower \
            case, without a path, a slash at the end and the scheme's own port; or * for all";
        let invalid = || InvalidValue::new("origin", text, allowed);
        let url = Url::parse(text).map_err(|_| invalid())?;
        // A star in a host is a name like any other, and not what whoever writes it hopes for.
        let is_web = ["http", "https"].contains(&url.scheme()) && !text.contains('*');
        // Anything else than an origin is written in another way as one.
        if !is_web || url.origin().ascii_serialization() != text {
            return Err(invalid());
        }
        let value = HeaderValue::from_str(text).map_err(|_| invalid())?;
        Ok(CorsOrigin(Origin::One(value)))
    }
}

/// Lets pages of these origins read what `router` answers; without any, the router is as it was.
///
/// Apply it outside of [`guard`](super::guard): what browsers ask first, they ask without a token. It is never the
/// service that keeps others out, but the browser of the person who looks at a page; so this protects nothing that a
/// token would have to protect.
pub fn cors(router: Router, origins: &[CorsOrigin]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let origins: Arc<[CorsOrigin]> = origins.into();
    router.layer(from_fn_with_state(origins, answer))
}

async fn answer(
    State(origins): State<Arc<[CorsOrigin]>>,
    request: Request,
    next: Next,
) -> Response {
    let is_any = origins.iter().any(|origin| origin.0 == Origin::Any);
    let asked = request.headers().get(header::ORIGIN);
    let allowed = match asked {
        _ if is_any => Some(HeaderValue::from_static("*")),
        Some(asked) => origins
            .iter()
            .any(|origin| matches!(&origin.0, Origin::One(one) if one == asked))
            .then(|| asked.clone()),
        None => None,
    };
    let is_preflight = is_preflight(&request);
    let mut response = match is_preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    if !is_any {
        vary_by_origin(headers);
    }
    if let Some(allowed) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if is_preflight {
            allow_all(headers);
        } else {
            let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
    response
}

/// Whether it is a browser's question, and not somebody's own OPTIONS.
fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn allow_all(headers: &mut HeaderMap) {
    for (name, value) in [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(METHODS),
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(REQUEST_HEADERS),
        ),
        (
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from(CORS_MAX_AGE_S),
        ),
    ] {
        headers.insert(name, value);
    }
}

/// Adds `Origin` to `Vary`, in one line: some caches read no more than that.
fn vary_by_origin(headers: &mut HeaderMap) {
    let mut names: Vec<&str> = headers
        .get_all(header::VARY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    names.push("Origin");
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(header::VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_browsers_send_them() {
        for good in [
            "*",
            "https://app.example.org",
            "http://localhost:3000",
            "http://127.0.0.1:8081",
            "http://[::1]:8081",
        ] {
            assert!(good.parse::<CorsOrigin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "null",
            "app.example.org",
            "https://",
            "https://app.example.org/",
            "https://app.example.org/page",
            "https://app.example.org?a=b",
            "https://App.example.org",
            "https://app.example.org:443",
            "http://app.example.org:80",
            "https://me@app.example.org",
            "https://*.example.org",
            "file:///tmp",
            "ftp://app.example.org",
            " https://app.example.org",
            "https://a.example.org,https://b.example.org",
        ] {
            let error = bad.parse::<CorsOrigin>().map(|_| ()).unwrap_err();
            assert!(
                error.to_string().contains("scheme://host[:port]"),
                "{error}"
            );
        }
    }
}
