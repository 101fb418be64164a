//! The feed's resources, as `docs/protocol.md` has them.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::parts::header_refs;
use super::refusals::{PROBLEMS, usual, with_status};
use super::types::{EPOCH, POSITION, UUID, VISIBLE, cursor, whole};
use crate::document::RENDER_VERSION;
use crate::limits::{
    EVENT_TYPE_BYTES_MAX, FILTER_VALUES_MAX, PAGE_CAPACITY_MAX, SUBJECT_BYTES_MAX,
};
use crate::server::problem_types as types;

const ATOM: &str = "application/atom+xml";
const JSON: &str = "application/cloudevents-batch+json";

/// The paths of these feeds.
pub(super) fn paths(names: &[&str]) -> Map<String, Value> {
    let feed = json!({
        "name": "feed", "in": "path", "required": true, "schema": { "type": "string", "enum": names },
        "description": "Name of the feed",
    });
    Map::from_iter([
        ("/feeds".to_owned(), json!({ "get": list() })),
        ("/feeds/{feed}".to_owned(), own_url(&feed)),
        (
            "/feeds/{feed}/archive/{epoch}/{file}".to_owned(),
            json!({ "get": archive(&feed) }),
        ),
        (
            "/feeds/{feed}/events/{id}".to_owned(),
            json!({ "get": event(&feed) }),
        ),
        (
            "/feeds/{feed}/consumers".to_owned(),
            json!({ "get": consumers(&feed) }),
        ),
    ])
}

fn list() -> Value {
    let schema = json!({ "$ref": "#/components/schemas/FeedList" });
    json!({
        "tags": ["feeds"], "operationId": "feeds", "summary": "The service's feeds",
        "responses": { "200": {
            "description": "Each with its head and its limits", "headers": header_refs(&["Cache-Control"]),
            "content": { "application/json": { "schema": schema } },
            "links": { "tail": {
                "operationId": "feed", "description": "What comes behind the head",
                "parameters": { "feed": "$response.body#/feeds/0/name", "after": "$response.body#/feeds/0/head" },
            } },
        } },
        PROBLEMS: [usual(&types::PARAMETER_UNKNOWN)],
    })
}

/// The head document, the tail, and the event stream.
fn own_url(feed: &Value) -> Value {
    let parameters: Vec<Value> = std::iter::once(feed.clone())
        .chain(place_parameters())
        .chain(filter_parameters())
        .chain(form_parameters())
        .chain(own_url_headers())
        .collect();
    let get = json!({
        "tags": ["feeds"], "operationId": "feed", "summary": "The newest events, or those behind a cursor",
        "description": OWN_URL,
        "parameters": parameters,
        "responses": own_url_responses(true),
        PROBLEMS: own_url_problems(),
    });
    let head = json!({
        "tags": ["feeds"], "operationId": "feed_head", "summary": "Where the feed ends",
        "description": "`Feed-Head` says it. HEAD answers as GET does, without the body, also with the parameters of GET.",
        "parameters": [feed, format_parameter(&["atom", "json"]), none_match()],
        "responses": own_url_responses(false),
        PROBLEMS: [usual(&types::PARAMETER_INVALID), usual(&types::FEED_UNKNOWN), usual(&types::NOT_ACCEPTABLE)],
    });
    json!({ "get": get, "head": head })
}

/// For people.
const OWN_URL: &str = "\
Without a place to begin at it is the **head**: the newest events, newest first. With `after`, `since` or \
`lastEventId` it is the **tail**: the events behind that place, oldest first, up to the page's end. Follow the link \
`next`, in the document or in the `Link` header: it is always there in a tail. A tail that begins where a sealed page \
begins is redirected to that page, unless the request has a filter, a `limit`, or the HTTP Feeds parameters.

`Accept` chooses the representation. `text/event-stream` is the same feed live: the events behind `Last-Event-ID`, \
`after` or now, and then those that come. The stream has no end, so `format=sse`, which asks for it too, is not \
listed below: a tool that tries all values would wait for ever.

What does not go together is refused with 400: `since` and a cursor; `wait` and `timeout`; a filter or `wait` without \
a place to begin at; `limit`, `wait` or `timeout` and the event stream.";

/// Where the tail begins. Only `after` has examples in the words of OpenAPI: a page to try it would fill in all that
/// there are, and these parameters do not go together.
fn place_parameters() -> [Value; 3] {
    let token = whole(&["start", "now", &cursor(), UUID, "0", POSITION]);
    let or_empty = whole(&["", "start", "now", &cursor(), UUID, "0", POSITION]);
    [
        json!({
            "name": "after", "in": "query", "schema": { "type": "string", "pattern": token },
            "description": "The events behind this: `start`, `now`, a cursor as the feed gave it, the id of an event, \
                            or a position, of which nothing is verified",
            "examples": {
                "start": { "value": "start" }, "now": { "value": "now" },
                "position": { "summary": "for people with curl", "value": "0" },
            },
        }),
        json!({
            "name": "since", "in": "query",
            "schema": { "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "string", "format": "date" }] },
            "description": "The events from the first one that was recorded at that time or later (RFC 3339), such as \
                            `2026-01-31T12:00:00Z`; a date is its midnight in UTC",
        }),
        json!({
            "name": "lastEventId", "in": "query", "allowEmptyValue": true,
            "schema": { "type": "string", "pattern": or_empty },
            "description": "As `after`, by the HTTP Feeds convention; goes before it. Empty: from the start",
        }),
    ]
}

/// Which events, and how many.
fn filter_parameters() -> [Value; 3] {
    let filter = |name: &str, max: usize, what: &str| {
        json!({
            "name": name, "in": "query", "style": "form", "explode": true,
            "schema": {
                "type": "array", "maxItems": FILTER_VALUES_MAX,
                "items": { "type": "string", "maxLength": max, "pattern": whole(&[VISIBLE]) },
            },
            "description": format!("Only events {what}; up to 16 different ones, with a place to begin at"),
        })
    };
    [
        filter(
            "type",
            EVENT_TYPE_BYTES_MAX,
            "of one of these types, such as `OrderCreated`",
        ),
        filter(
            "subject",
            SUBJECT_BYTES_MAX,
            "about one of these subjects, such as `order-7f3a`",
        ),
        json!({
            "name": "limit", "in": "query",
            "schema": { "type": "integer", "minimum": 1, "maximum": PAGE_CAPACITY_MAX },
            "description": "The most events that are wanted; never more than a page has",
        }),
    ]
}

/// In which form, and how long to wait for an event.
fn form_parameters() -> [Value; 3] {
    let whole_number = |name: &str, description: &str| {
        json!({
            "name": name, "in": "query", "schema": { "type": "integer", "minimum": 0 }, "description": description,
        })
    };
    [
        format_parameter(&["atom", "json"]),
        whole_number(
            "wait",
            "How long to wait while the tail is empty, in seconds; 25 at most are waited",
        ),
        whole_number(
            "timeout",
            "As `wait`, in milliseconds, by the HTTP Feeds convention",
        ),
    ]
}

fn format_parameter(values: &[&str]) -> Value {
    json!({
        "name": "format", "in": "query", "schema": { "type": "string", "enum": values },
        "description": "The representation, whatever `Accept` says",
    })
}

fn none_match() -> Value {
    json!({
        "name": "If-None-Match", "in": "header", "schema": { "type": "string" },
        "description": "ETags that the reader has: with one of them the answer is 304",
    })
}

fn subscription() -> Value {
    json!({
        "name": "Feed-Subscription", "in": "header",
        "schema": { "$ref": "#/components/schemas/SubscriptionName" },
        "description": "Who asks, for those who look at `/feeds/{feed}/consumers`; it changes nothing else",
    })
}

fn own_url_headers() -> [Value; 4] {
    [
        subscription(),
        none_match(),
        json!({
            "name": "Prefer", "in": "header", "schema": { "type": "string" },
            "description": "`wait=SECONDS` asks to wait, as the parameter does (RFC 7240)",
        }),
        json!({
            "name": "Last-Event-ID", "in": "header", "schema": { "type": "string" },
            "description": "In an event stream: the last `id` that was seen; goes before `after`",
        }),
    ]
}

fn own_url_responses(has_body: bool) -> Value {
    let named = [
        "ETag",
        "Cache-Control",
        "Link",
        "Feed-Head",
        "Feed-Caught-Up",
        "Vary",
        "Preference-Applied",
    ];
    let mut ok = json!({
        "description": "The head or the tail; in the event stream only `Cache-Control` and `Vary` of the headers",
        "headers": header_refs(&named),
    });
    if has_body {
        ok["content"] = json!({ ATOM: {}, JSON: batch(), "text/event-stream": { "schema": { "type": "string" } } });
    }
    let redirect = "The sealed page that begins there, in the same representation";
    json!({ "200": ok, "304": not_modified(&named), "307": redirected(redirect) })
}

fn batch() -> Value {
    let items = json!({ "$ref": "#/components/schemas/CloudEvent" });
    json!({ "schema": { "type": "array", "maxItems": PAGE_CAPACITY_MAX, "items": items } })
}

fn not_modified(named: &[&str]) -> Value {
    json!({ "description": "It is what the reader has", "headers": header_refs(named) })
}

fn redirected(description: &str) -> Value {
    json!({ "description": description, "headers": header_refs(&["Location", "Cache-Control", "Vary"]) })
}

fn own_url_problems() -> Value {
    [
        &types::CURSOR_MALFORMED,
        &types::PARAMETER_UNKNOWN,
        &types::PARAMETER_INVALID,
        &types::PARAMETER_CONFLICT,
        &types::EPOCH_UNKNOWN,
        &types::CURSOR_DIVERGED,
        &types::CURSOR_BEYOND_HEAD,
        &types::CURSOR_PRUNED,
        &types::FEED_UNKNOWN,
        &types::EVENT_UNKNOWN,
        &types::NOT_ACCEPTABLE,
        &types::TOO_MANY_WAITERS,
    ]
    .into_iter()
    .map(usual)
    .collect()
}

/// One sealed page.
fn archive(feed: &Value) -> Value {
    let named = ["ETag", "Cache-Control", "Link", "Vary"];
    let sent = [&named[..], &["Content-Encoding"]].concat();
    let epoch = json!({
        "name": "epoch", "in": "path", "required": true, "schema": { "type": "string", "pattern": whole(&[EPOCH]) },
        "description": "Epoch of the page's last event", "example": "11851188dcbf6bdf",
    });
    let file = json!({
        "name": "file", "in": "path", "required": true,
        "schema": { "type": "string", "pattern": format!("^[1-9][0-9]{{0,12}}\\.r{RENDER_VERSION}\\.(atom|json)$") },
        "description": "`PAGE.rVERSION.atom` or `.json`; the version is that of the rendering",
        "example": format!("1.r{RENDER_VERSION}.json"),
    });
    let ok = json!({
        "description": "The page; its bytes never change", "headers": header_refs(&sent),
        "content": { ATOM: {}, JSON: batch() },
    });
    let redirect = "The page is not sealed yet: the tail; or it is found under another epoch";
    json!({
        "tags": ["feeds"], "operationId": "feed_archive", "summary": "One sealed page, oldest first",
        "description": "Follow links to come here: `next` from `after=start` on, or `prev-archive` from the head.",
        "parameters": [feed, epoch, file, none_match(), subscription()],
        "responses": { "200": ok, "304": not_modified(&named), "307": redirected(redirect) },
        PROBLEMS: [
            usual(&types::PARAMETER_UNKNOWN), usual(&types::FEED_UNKNOWN), usual(&types::PAGE_UNKNOWN),
            with_status(&types::EPOCH_UNKNOWN, StatusCode::NOT_FOUND), usual(&types::CURSOR_PRUNED),
        ],
    })
}

/// One event.
fn event(feed: &Value) -> Value {
    let named = ["ETag", "Cache-Control", "Vary"];
    let id = json!({
        "name": "id", "in": "path", "required": true, "schema": { "type": "string", "format": "uuid" },
        "description": "The event's id", "example": "01a20841-8540-7337-95c0-17cf11ebbfcb",
    });
    let data = json!({ "description": "The data alone, under its own media type; the attributes are headers `ce-`" });
    let ok = json!({
        "description": "The event", "headers": header_refs(&named),
        "content": {
            "application/atom+xml": {},
            "application/cloudevents+json": { "schema": { "$ref": "#/components/schemas/CloudEvent" } },
            "application/json": { "schema": data },
        },
    });
    json!({
        "tags": ["feeds"], "operationId": "feed_event", "summary": "One event",
        "parameters": [feed, id, format_parameter(&["atom", "json", "binary"]), none_match()],
        "responses": { "200": ok, "304": not_modified(&named) },
        PROBLEMS: [
            usual(&types::PARAMETER_UNKNOWN), usual(&types::PARAMETER_INVALID), usual(&types::FEED_UNKNOWN),
            usual(&types::EVENT_UNKNOWN), usual(&types::NOT_ACCEPTABLE),
        ],
    })
}

/// Who follows the feed.
fn consumers(feed: &Value) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/ConsumerList" });
    json!({
        "tags": ["feeds"], "operationId": "feed_consumers", "summary": "Who follows the feed, and how far behind",
        "description": "Readers that name themselves by `Feed-Subscription`, as this process saw them last: where they \
                        asked at the tail, or for a sealed page that no cache had. Nobody has verified the names.",
        "parameters": [feed],
        "responses": { "200": {
            "description": "Those that were seen not too long ago", "headers": header_refs(&["Cache-Control"]),
            "content": { "application/json": { "schema": schema } },
        } },
        PROBLEMS: [usual(&types::PARAMETER_UNKNOWN), usual(&types::FEED_UNKNOWN)],
    })
}
