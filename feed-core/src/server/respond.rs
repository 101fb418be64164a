//! From a document to a response: representation, caching headers, links.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::conditional;
use crate::document::{Document, DocumentKind, Format, Links, RENDER_VERSION};
use crate::event::Event;
use crate::feed::{FeedIdentity, Visibility};
use crate::{atom, json};

/// Cursor of the feed's newest event.
pub(super) const FEED_HEAD: HeaderName = HeaderName::from_static("feed-head");
/// Whether nothing comes behind the last event of this document: `true` or `false`.
pub(super) const FEED_CAUGHT_UP: HeaderName = HeaderName::from_static("feed-caught-up");

/// The document, or 304 when the reader has it. `begins` names where it begins: it is part of the ETag.
pub(super) fn document(
    request: &HeaderMap,
    document: &Document,
    begins: &str,
    format: Format,
) -> Response {
    let head = document
        .head
        .map(|head| head.to_string())
        .unwrap_or_default();
    let last = document
        .events
        .last()
        .map(|event| event.cursor().to_string())
        .unwrap_or_default();
    // All that is in the document follows from these, so the tag is the same on every instance.
    let etag = match document.kind {
        DocumentKind::Archive => format!("\"r{RENDER_VERSION}.{}.{last}\"", format.extension()),
        DocumentKind::Head | DocumentKind::Tail => {
            format!(
                "\"r{RENDER_VERSION}.{}.{begins}-{head}\"",
                format.extension()
            )
        }
    };
    let mut headers = HeaderMap::new();
    set(&mut headers, header::ETAG, &etag);
    set(
        &mut headers,
        header::CACHE_CONTROL,
        &cache_control(&document.feed, document.kind),
    );
    set(&mut headers, header::LINK, &link_header(&document.links));
    if document.kind != DocumentKind::Archive {
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    }
    if let Some(head) = document.head {
        set(&mut headers, FEED_HEAD, &head.to_string());
    }
    if let Some(caught_up) = document.caught_up {
        set(
            &mut headers,
            FEED_CAUGHT_UP,
            if caught_up { "true" } else { "false" },
        );
    }
    if conditional::matches(request, &etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    set(&mut headers, header::CONTENT_TYPE, format.media_type());
    let body = match format {
        Format::Atom => atom::write_feed(document),
        Format::Json => json::write_batch(&document.events),
    };
    (headers, body).into_response()
}

/// A single event, or 304 when the reader has it.
pub(super) fn event(
    request: &HeaderMap,
    feed: &FeedIdentity,
    event: &Event,
    format: Format,
) -> Response {
    let etag = format!(
        "\"r{RENDER_VERSION}.event.{}.{}\"",
        format.extension(),
        event.cursor()
    );
    let mut headers = HeaderMap::new();
    set(&mut headers, header::ETAG, &etag);
    set(
        &mut headers,
        header::CACHE_CONTROL,
        &cache_control(feed, DocumentKind::Head),
    );
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if conditional::matches(request, &etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    set(
        &mut headers,
        header::CONTENT_TYPE,
        format.event_media_type(),
    );
    let links = Links {
        this: event.id.to_string(),
        current: format!("../../{}", feed.name),
        next: None,
        prev_archive: None,
        tail: None,
        events: String::new(),
    };
    let body = match format {
        Format::Atom => atom::write_entry(event, &links),
        Format::Json => json::write_event(event),
    };
    (headers, body).into_response()
}

/// A temporary redirect: where a page is now may change once it is sealed.
pub(super) fn redirect(location: &str) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
}

fn cache_control(feed: &FeedIdentity, kind: DocumentKind) -> String {
    match (kind, feed.visibility) {
        (DocumentKind::Archive, visibility) => {
            format!("{}, max-age=31536000, immutable", visibility.as_str())
        }
        (DocumentKind::Head | DocumentKind::Tail, Visibility::Public) => "no-cache".to_owned(),
        (DocumentKind::Head | DocumentKind::Tail, Visibility::Private) => {
            "private, no-cache".to_owned()
        }
    }
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

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        // Links, tags and cursors are visible ASCII by their types.
        Err(_) => tracing::error!(%name, value, "a header value was left out"),
    }
}
