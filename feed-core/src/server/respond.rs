//! From a document to a response: representation, caching headers, links.

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serializer;
use sha2::{Digest, Sha256};

use super::feed_query::FeedQuery;
use super::problem::Problem;
use super::problem_types;
use super::rendered::Rendered;
use crate::document::{Document, Format, Links, RENDER_VERSION};
use crate::feed::{FeedIdentity, Visibility};
use crate::headers::{FEED_CAUGHT_UP, FEED_HEAD};
use crate::position::Cursor;
use crate::{atom, json};

/// Headers that a document has, and some that others add.
const HEADERS: usize = 12;

/// What caches are told of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caching {
    pub(super) lifetime: Lifetime,
    /// Whether another `Accept` would have been answered differently.
    pub(super) negotiated: bool,
}

/// How long a response is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// For ever.
    Sealed,
    /// Until it is asked again whether it has changed.
    Revalidated,
    /// For nobody but who asked.
    NotStored,
}

impl Caching {
    pub(super) const SEALED: Caching = Caching {
        lifetime: Lifetime::Sealed,
        negotiated: false,
    };
    pub(super) const UNSEALED: Caching = Caching {
        lifetime: Lifetime::Revalidated,
        negotiated: true,
    };

    /// A document at the feed's own URL.
    pub(super) fn of(query: &FeedQuery) -> Self {
        Caching {
            negotiated: query.form.is_none(),
            ..Caching::UNSEALED
        }
    }

    /// One that its reader was willing to wait for.
    pub(super) fn waited(query: &FeedQuery) -> Self {
        Caching {
            lifetime: Lifetime::NotStored,
            ..Caching::of(query)
        }
    }
}

/// The ETag of a head or tail document that begins at `begins`: from what is named here, all that the document says
/// follows, so the tag is the same on every instance.
pub(super) fn tag(document: &Document, format: Format, begins: &str, query: &FeedQuery) -> String {
    let head = document
        .head
        .map(|head| head.to_string())
        .unwrap_or_default();
    let carried = query.carried();
    let digest = if carried.is_empty() {
        String::new()
    } else {
        // A filter may be longer than a header should be.
        let digest = Sha256::digest(carried.as_bytes());
        let hex: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        format!(".{hex}")
    };
    format!(
        "\"r{RENDER_VERSION}.{}.{begins}-{head}{digest}\"",
        format.extension()
    )
}

/// The ETag of a sealed page whose last event has this cursor.
pub(super) fn archive_tag(last: Cursor, format: Format) -> String {
    format!("\"r{RENDER_VERSION}.{}.{last}\"", format.extension())
}

/// The headers of a document, whichever way it is sent.
pub(super) fn headers(
    document: &Document,
    format: Format,
    etag: &str,
    caching: Caching,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    set(&mut headers, header::ETAG, etag);
    set_caching(&mut headers, caching, Some(&document.feed));
    set(&mut headers, header::LINK, &link_header(&document.links));
    if let Some(head) = document.head {
        set(&mut headers, FEED_HEAD, &head.to_string());
    }
    if let Some(caught_up) = document.caught_up {
        let caught_up = if caught_up { "true" } else { "false" };
        headers.insert(FEED_CAUGHT_UP, HeaderValue::from_static(caught_up));
    }
    let media_type = HeaderValue::from_static(format.media_type());
    headers.insert(header::CONTENT_TYPE, media_type);
    headers
}

/// The document as it is sent.
pub(super) fn rendered(
    document: &Document,
    format: Format,
    etag: &str,
    caching: Caching,
) -> Rendered {
    let body = match format {
        Format::Atom => atom::write_feed(document),
        Format::Json => json::write_batch(&document.events),
    };
    Rendered::new(headers(document, format, etag, caching), body)
}

/// A temporary redirect: where a page is now may change once it is sealed.
pub(super) fn redirect(location: &str) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
}

/// Sets `Cache-Control` and `Vary`; a response of no feed is for everybody.
pub(super) fn set_caching(headers: &mut HeaderMap, caching: Caching, feed: Option<&FeedIdentity>) {
    let visibility = feed.map_or(Visibility::Public, |feed| feed.visibility);
    let control = match (caching.lifetime, visibility) {
        (Lifetime::Sealed, Visibility::Public) => "public, max-age=31536000, immutable",
        (Lifetime::Sealed, Visibility::Private) => "private, max-age=31536000, immutable",
        (Lifetime::Revalidated, Visibility::Public) => "no-cache",
        (Lifetime::Revalidated, Visibility::Private) => "private, no-cache",
        (Lifetime::NotStored, _) => "no-store",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
    if caching.negotiated {
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    }
}

/// The answer to a parameter that is not known, or given twice; `taken` says what there is.
pub(super) fn unknown_parameter(name: &str, taken: &str) -> Problem {
    let name: String = name.chars().take(80).collect();
    let detail = format!("{name:?} is unknown or given twice; {taken}");
    Problem::new(&problem_types::PARAMETER_UNKNOWN, detail)
}

/// The document's links as a header (RFC 8288, section 3), since a JSON batch has no place for them.
fn link_header(links: &Links) -> String {
    let optional = |relation, target: &Option<String>| {
        target.as_ref().map(|target| (relation, target.clone()))
    };
    [
        Some(("self", links.this.clone())),
        Some(("current", links.current.clone())),
        optional("next", &links.next),
        optional("prev-archive", &links.prev_archive),
        optional(Links::TAIL_RELATION, &links.tail),
    ]
    .into_iter()
    .flatten()
    .map(|(relation, target)| format!("<{target}>; rel=\"{relation}\""))
    .collect::<Vec<_>>()
    .join(", ")
}

pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        // Links, tags and cursors are visible ASCII by their types.
        Err(_) => tracing::error!(%name, value, "a header value was left out"),
    }
}

/// A value of a JSON body as its text.
pub(super) fn text<S: Serializer>(
    value: &impl std::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A time of a JSON body, as all times are written.
pub(super) fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::event::format_time(*time))
}
