//! What every document has: the words at its beginning, schemas, headers, and the paths that are open to everybody.

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;

use super::refusals::{PROBLEMS, usual};
use super::types::{CHECK, EPOCH, UUID, VISIBLE, whole};
use crate::event::{EventId, FeedName, SubscriptionName};
use crate::limits::{ATTRIBUTE_BYTES_MAX, EVENT_TYPE_BYTES_MAX, SUBJECT_BYTES_MAX, VERSION_MAX};
use crate::position::Cursor;
use crate::server::Limit;
use crate::server::consumers::{ConsumerEntry, ConsumerList};
use crate::server::health::{Alive, Ready, Version};
use crate::server::problem_type::ProblemType;
use crate::server::problem_types as types;
use crate::server::router::{FeedEntry, FeedList};

/// Name of the security scheme.
pub(super) const BEARER: &str = "bearer";

/// What is true of all operations, for people.
pub(super) const INTRODUCTION: &str = "\
Every error is an `application/problem+json` (RFC 9457); its `type` leads to a page that says what to do. Where there \
is GET there is HEAD, which answers the same without the body.";

/// The schemas of what is the same in every service.
pub(super) fn schemas() -> Map<String, Value> {
    let derived = [
        ("Alive", Alive::schema()),
        ("ConsumerEntry", ConsumerEntry::schema()),
        ("ConsumerList", ConsumerList::schema()),
        ("Cursor", Cursor::schema()),
        ("EventId", EventId::schema()),
        ("FeedEntry", FeedEntry::schema()),
        ("FeedList", FeedList::schema()),
        ("FeedName", FeedName::schema()),
        ("Limit", Limit::schema()),
        ("Ready", Ready::schema()),
        ("SubscriptionName", SubscriptionName::schema()),
        ("Version", Version::schema()),
    ];
    let mut schemas: Map<String, Value> = derived
        .into_iter()
        // A schema is a tree of texts and numbers, so it has a JSON form.
        .filter_map(|(name, schema)| Some((name.to_owned(), serde_json::to_value(schema).ok()?)))
        .collect();
    schemas.insert("CloudEvent".into(), cloud_event());
    schemas.insert("Problem".into(), problem());
    schemas
}

/// One event in CloudEvents JSON, as [`json::write_event`](crate::json::write_event) writes it.
fn cloud_event() -> Value {
    let mut properties = attributes();
    properties.extend(place());
    properties.insert(
        "data".into(),
        json!({ "description": "JSON data, as it is" }),
    );
    let base64 =
        json!({ "type": "string", "contentEncoding": "base64", "description": "Other data" });
    properties.insert("data_base64".into(), base64);
    let always = [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "sequence",
        "epoch",
        "check",
        "recorded",
        "version",
    ];
    json!({
        "type": "object",
        "description": "An event (CloudEvents 1.0, JSON format). Further members are extension attributes.",
        "required": always,
        "properties": properties,
        "additionalProperties": { "type": ["string", "boolean", "integer"] },
    })
}

/// The attributes that the producer gave.
fn attributes() -> Map<String, Value> {
    let text = |example: &str| json!({ "type": "string", "minLength": 1, "maxLength": ATTRIBUTE_BYTES_MAX, "examples": [example] });
    let name = |max: usize, example: &str| json!({ "type": "string", "maxLength": max, "pattern": whole(&[VISIBLE]), "examples": [example] });
    let id = json!({ "type": "string", "format": "uuid", "pattern": whole(&[UUID]) });
    let time = json!({ "type": "string", "format": "date-time", "description": "The producer's; it orders nothing" });
    [
        ("specversion", json!({ "type": "string", "enum": ["1.0"] })),
        ("id", id.clone()),
        ("source", text("/order-svc/orders")),
        ("type", name(EVENT_TYPE_BYTES_MAX, "OrderCreated")),
        (
            "subject",
            name(
                SUBJECT_BYTES_MAX,
                "order-01a20841-853e-7133-b9ab-3573de88ae18",
            ),
        ),
        ("time", time),
        ("datacontenttype", text("application/json")),
        ("dataschema", text("https://example.org/order.json")),
        (
            "traceparent",
            text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ),
        ("causationid", id),
        (
            "correlationid",
            text("01a20841-8540-7337-95c0-17cf11ebbfcb"),
        ),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
    .into_iter()
    .collect()
}

/// The attributes that the event got with its place in the feed.
fn place() -> Map<String, Value> {
    let check = json!({
        "type": "string", "pattern": whole(&[CHECK]), "examples": ["560a1d6ccbac"],
        "description": "The running hash over the ids of all events up to this one",
    });
    let recorded = json!({
        "type": "string", "format": "date-time",
        "description": "When it got its place; it never goes backwards along the feed",
    });
    let version = json!({
        "type": "integer", "minimum": 1, "maximum": VERSION_MAX, "description": "Numbers the events of a subject",
    });
    let sequence = json!({
        "type": "string", "pattern": "^[0-9]{20}$", "examples": ["00000000000000000001"],
        "description": "Its position in the feed: 1, 2, 3 … without holes",
    });
    let epoch =
        json!({ "type": "string", "pattern": whole(&[EPOCH]), "examples": ["11851188dcbf6bdf"] });
    [
        ("sequence", sequence),
        ("epoch", epoch),
        ("check", check),
        ("recorded", recorded),
        ("version", version),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
    .into_iter()
    .collect()
}

/// An error, as [`Problem`](crate::server::Problem) writes it.
fn problem() -> Value {
    let cursor = |description: &str| json!({ "allOf": [{ "$ref": "#/components/schemas/Cursor" }], "description": description });
    json!({
        "type": "object",
        "description": "An error (RFC 9457). Some types have further members.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "pattern": "^/problems/[a-z-]+$",
                      "description": "What programs know the error by, and the path of the page that explains it" },
            "title": { "type": "string", "description": "The type in a few words" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What is wrong in this case, and what helps" },
            "available": { "type": "array", "items": { "type": "string" }, "description": "Media types that there are" },
            "head": cursor("The feed's newest event"),
            "asked": cursor("The cursor that was sent"),
            "asked_position": { "type": "integer", "minimum": 1 },
            "found": cursor("The feed's own cursor at that position"),
            "epochs": { "type": "array", "items": { "type": "string" }, "description": "The feed's epochs" },
            "earliest": cursor("The oldest cursor from which the feed can be read"),
            "current_version": { "type": "integer", "minimum": 1 },
        },
    })
}

/// The headers of responses, once for all.
pub(super) fn headers() -> Value {
    let text = |description: &str, example: &str| json!({ "description": description, "schema": { "type": "string" }, "example": example });
    let reference = json!({ "$ref": "#/components/schemas/Cursor" });
    json!({
        "Allow": text("The methods that there are", "GET,HEAD,OPTIONS"),
        "Cache-Control": text("How long caches may keep it", "no-cache"),
        "Content-Encoding": text("How the page is compressed, by `Accept-Encoding`", "zstd"),
        "ETag": text("Strong; the same on every instance. Send it back as `If-None-Match`", "\"r1.json.head-0.0\""),
        "Feed-Caught-Up": {
            "description": "Whether nothing comes behind the last event of this document",
            "schema": { "type": "string", "enum": ["true", "false"] },
        },
        "Feed-Head": { "description": "Cursor of the feed's newest event", "schema": reference },
        "Link": text("`self`, `current`, `next`, `prev-archive` and the tail (RFC 8288), relative",
                     "<orders?after=start>; rel=\"self\", <orders>; rel=\"current\""),
        "Location": text("Where it is; relative to the URL that was asked", "/orders/7f3a"),
        "No-Store": { "description": "No cache keeps it", "schema": { "type": "string", "enum": ["no-store"] } },
        "Preference-Applied": text("How long the request might have waited (RFC 7240)", "wait=20"),
        "Retry-After": { "description": "When to come again, in seconds", "schema": { "type": "integer", "minimum": 1 } },
        "Vary": text("The request headers that the answer depends on", "Accept"),
        "WWW-Authenticate": text("The scheme that is asked for", "Bearer"),
    })
}

/// The header of that name in [`headers`].
pub(super) fn header_ref(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// Several of them.
pub(super) fn header_refs(names: &[&str]) -> Value {
    let named = names
        .iter()
        .map(|name| ((*name).to_owned(), header_ref(name)));
    Value::Object(named.collect())
}

/// How tokens are sent (RFC 6750).
pub(super) fn security_schemes() -> Value {
    json!({ BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the service's token file. One of either kind may read, a `write` token may also write.",
    } })
}

/// The paths that need no token.
pub(super) fn open_paths(all: &[&'static ProblemType]) -> Map<String, Value> {
    let answer = |schema: &str, description: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        json!({ "description": description, "content": { "application/json": { "schema": schema } } })
    };
    let livez = json!({ "get": {
        "tags": ["service"], "operationId": "livez", "summary": "Whether the process answers",
        "responses": { "200": answer("Alive", "It does") },
    } });
    let readyz = json!({ "get": {
        "tags": ["service"], "operationId": "readyz", "summary": "Whether the database answers too",
        "responses": { "200": answer("Ready", "It does") },
        PROBLEMS: [usual(&types::UNAVAILABLE)],
    } });
    let version = json!({ "get": {
        "tags": ["service"], "operationId": "version", "summary": "Name and version of the service",
        "responses": { "200": answer("Version", "Both") },
    } });
    let mut paths = Map::new();
    paths.insert("/livez".into(), livez);
    paths.insert("/readyz".into(), readyz);
    paths.insert("/version".into(), version);
    paths.insert("/openapi.json".into(), document());
    paths.extend(pages(all));
    paths
}

/// This document itself.
fn document() -> Value {
    let schema = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    let none_match = json!({
        "name": "If-None-Match", "in": "header", "schema": { "type": "string" },
        "description": "ETags that the reader has",
    });
    json!({ "get": {
        "tags": ["service"], "operationId": "openapi", "summary": "This document, of which /docs is a page to try it",
        "parameters": [none_match],
        "responses": {
            "200": {
                "description": "OpenAPI 3.1", "headers": header_refs(&["ETag", "Cache-Control"]),
                "content": { "application/json": { "schema": schema } },
            },
            "304": { "description": "It is what the reader has", "headers": header_refs(&["ETag", "Cache-Control"]) },
        },
    } })
}

/// The pages of the types of problems.
fn pages(all: &[&'static ProblemType]) -> Map<String, Value> {
    let slugs: Vec<&str> = all.iter().map(|kind| kind.slug).collect();
    let slug = json!({
        "name": "slug", "in": "path", "required": true, "schema": { "type": "string", "enum": slugs },
        "description": "The last segment of a problem's `type`",
    });
    let page = |id: &str, summary: &str, parameters: Value, problems: Value| {
        let text = json!({ "schema": { "type": "string" } });
        json!({ "get": {
            "tags": ["service"], "operationId": id, "summary": summary, "parameters": parameters,
            "responses": { "200": {
                "description": "For people: HTML for browsers, Markdown for curl",
                "headers": header_refs(&["Cache-Control", "Vary"]),
                "content": { "text/html": text, "text/markdown": text, "text/plain": text },
            } },
            PROBLEMS: problems,
        } })
    };
    let (unknown, unacceptable) = (usual(&types::PATH_UNKNOWN), usual(&types::NOT_ACCEPTABLE));
    let list = page(
        "problems",
        "All types of problems",
        json!([]),
        json!([&unacceptable]),
    );
    let one = page(
        "problem",
        "What a type of problem means, and what to do",
        json!([slug]),
        json!([&unknown, &unacceptable]),
    );
    Map::from_iter([
        ("/problems".to_owned(), list),
        ("/problems/{slug}".to_owned(), one),
    ])
}
