//! The routes of the feeds.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::negotiate::{Subject, negotiate};
use super::problem::Problem;
use super::query::PathParams;
use super::{build, resolve, respond};
use crate::document::{ArchiveFile, Format, Links};
use crate::error::InvalidValue;
use crate::event::EventId;
use crate::feed::FeedState;
use crate::page::PageNumber;
use crate::position::{After, Cursor, Epoch, Position};
use crate::store::{Log, Store, Window};

/// The feeds of this router.
struct Feeds(Vec<Log>);

/// The routes `/feeds` and below, for these feeds of the store.
///
/// ```no_run
/// # async fn f(store: feed_core::Store) -> Result<(), Box<dyn std::error::Error>> {
/// let app = axum::Router::new().merge(feed_core::server::router(&store, ["orders"])?);
/// # Ok(()) }
/// ```
///
/// # Errors
/// When a name is no feed name.
pub fn router<'a>(
    store: &Store,
    feeds: impl IntoIterator<Item = &'a str>,
) -> Result<Router, InvalidValue> {
    let logs = feeds
        .into_iter()
        .map(|feed| store.log(feed))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Router::new()
        .route("/feeds", get(list))
        .route("/feeds/{feed}", get(head_or_tail))
        .route("/feeds/{feed}/archive/{epoch}/{file}", get(archive))
        .route("/feeds/{feed}/events/{id}", get(event))
        .route("/feeds/{feed}/{*rest}", get(no_resource))
        .route("/feeds/{feed}/", get(no_resource))
        .route("/feeds/", get(no_resource))
        .method_not_allowed_fallback(no_method)
        .with_state(Arc::new(Feeds(logs))))
}

impl Feeds {
    fn find(&self, feed: &str) -> Result<&Log, Problem> {
        self.0
            .iter()
            .find(|log| log.feed().as_str() == feed)
            .ok_or_else(|| {
                crate::error::StoreError::UnknownFeed(feed.chars().take(80).collect()).into()
            })
    }
}

async fn no_resource() -> Problem {
    let detail =
        "below a feed there are archive/EPOCH/PAGE.r1.atom, the same as .json, and events/ID";
    Problem::new(
        StatusCode::NOT_FOUND,
        "path-unknown",
        "There is no such resource",
        detail,
    )
}

async fn no_method() -> Problem {
    let detail = "a feed is read by GET and HEAD; what is published is appended by its service";
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-unknown",
        "The feed takes no such method",
        detail,
    )
}

async fn list(
    State(feeds): State<Arc<Feeds>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    no_parameters(query.as_deref())?;
    let mut entries = Vec::new();
    for log in &feeds.0 {
        let stats = log.stats().await?;
        let identity = &stats.state.identity;
        entries.push(json!({
            "name": identity.name,
            "title": identity.title,
            "href": format!("feeds/{}", identity.name),
            "head": stats.state.head.to_string(),
            "events": stats.events,
            "sealed_pages": stats.sealed_pages,
            "page_capacity": identity.capacity.get(),
            "event_bytes_max": identity.event_bytes_max,
            "updated": crate::event::format_time(stats.state.updated),
        }));
    }
    Ok((
        [(header::CACHE_CONTROL, "no-cache")],
        Json(json!({ "feeds": entries })),
    )
        .into_response())
}

async fn head_or_tail(
    State(feeds): State<Arc<Feeds>>,
    PathParams(feed): PathParams<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let log = feeds.find(&feed)?;
    let format = negotiate(&headers, Subject::Document)?;
    match after_parameter(query.as_deref())? {
        None => head(log, &headers, format).await,
        Some(after) => tail(log, &headers, format, after).await,
    }
}

/// The only parameter that there is, once. An unknown one is refused: a filter that is passed over would be a lie.
fn after_parameter(query: Option<&str>) -> Result<Option<After>, Problem> {
    let mut after = None;
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name != "after" || after.is_some() {
            return Err(unknown_parameter(&name, "`after` is taken, once"));
        }
        after = Some(
            value
                .parse::<After>()
                .map_err(|error| resolve::malformed(&error))?,
        );
    }
    Ok(after)
}

fn no_parameters(query: Option<&str>) -> Result<(), Problem> {
    match url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).next() {
        None => Ok(()),
        Some((name, _)) => Err(unknown_parameter(&name, "none is taken here")),
    }
}

fn unknown_parameter(name: &str, taken: &str) -> Problem {
    let name: String = name.chars().take(80).collect();
    let detail = format!("{name:?} is unknown or given twice; {taken}");
    Problem::new(
        StatusCode::BAD_REQUEST,
        "parameter-unknown",
        "There is no such parameter",
        detail,
    )
}

async fn head(log: &Log, headers: &HeaderMap, format: Format) -> Result<Response, Problem> {
    // The whole open page, padded from the last sealed one.
    let (state, events) = log.read(Window::NewestPage).await?;
    Ok(respond::document(
        headers,
        &build::head(&state, events, format),
        "head",
        format,
    ))
}

async fn tail(
    log: &Log,
    headers: &HeaderMap,
    format: Format,
    after: After,
) -> Result<Response, Problem> {
    let at = match (resolve::position(&after), &after) {
        (Some(position), _) => position,
        (None, After::Event(id)) => find_event(log, *id).await?.position,
        (None, _) => log.state().await?.head.position,
    };
    let (state, mut events) = log.read(Window::PageFrom { at }).await?;
    let is_at = |position: Position| position == at;
    let anchor = events
        .first()
        .filter(|event| is_at(event.position))
        .cloned();
    let cursor = resolve::cursor(&state, &after, anchor.as_ref())?;
    if let Some(page) = build::sealed_after(&state, cursor.position)
        && matches!(after, After::Start | After::Cursor(_))
    {
        return Ok(respond::redirect(&build::archive_link(
            &state, page, format,
        )));
    }
    events.retain(|event| event.position > at);
    let document = build::tail(&state, cursor, events, format);
    Ok(respond::document(
        headers,
        &document,
        &cursor.to_string(),
        format,
    ))
}

async fn archive(
    State(feeds): State<Arc<Feeds>>,
    PathParams((feed, epoch, file)): PathParams<(String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_parameters(query.as_deref())?;
    let log = feeds.find(&feed)?;
    let (Ok(epoch), Ok(file)) = (epoch.parse::<Epoch>(), file.parse::<ArchiveFile>()) else {
        return Err(no_page(
            "an archive page is named EPOCH/PAGE.r1.atom or EPOCH/PAGE.r1.json",
        ));
    };
    let (state, events) = log.read(Window::Page(file.page)).await?;
    if !state.history.contains(epoch) {
        return Err(resolve::unknown_epoch(
            &state,
            &epoch.to_string(),
            StatusCode::NOT_FOUND,
        ));
    }
    if !state
        .identity
        .capacity
        .is_sealed(file.page, state.head.position)
    {
        return to_tail(log, &state, file.page).await;
    }
    let right = build::epoch_of(&state, file.page);
    if epoch != right {
        return Ok(respond::redirect(&Links::archive_from_archive(
            right,
            file.page,
            file.format,
        )));
    }
    let document = build::archive(&state, file.page, events, file.format);
    Ok(respond::document(&headers, &document, "", file.format))
}

/// A page that is not sealed yet: its readers go on with the tail.
async fn to_tail(log: &Log, state: &FeedState, page: PageNumber) -> Result<Response, Problem> {
    let before = match page.previous() {
        None => state.history.start(),
        Some(previous) => cursor_at(log, state.identity.capacity.last(previous)).await?,
    };
    let feed = Links::feed_from_archive(&state.identity.name);
    Ok(respond::redirect(&format!("{feed}?after={before}")))
}

async fn cursor_at(log: &Log, position: Position) -> Result<Cursor, Problem> {
    let (state, events) = log.read(Window::PageFrom { at: position }).await?;
    events
        .first()
        .filter(|event| event.position == position)
        .map(crate::event::Event::cursor)
        .ok_or_else(|| {
            no_page(&format!(
                "the feed ends at position {}, before that page",
                state.head.position
            ))
        })
}

fn no_page(detail: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "page-unknown",
        "There is no such page",
        detail,
    )
}

async fn event(
    State(feeds): State<Arc<Feeds>>,
    PathParams((feed, id)): PathParams<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_parameters(query.as_deref())?;
    let log = feeds.find(&feed)?;
    let format = negotiate(&headers, Subject::Event)?;
    let parsed: EventId = id
        .parse()
        .map_err(|error: InvalidValue| resolve::unknown_event(&error.found))?;
    let event = find_event(log, parsed).await?;
    let state = log.state().await?;
    Ok(respond::event(&headers, &state.identity, &event, format))
}

async fn find_event(log: &Log, id: EventId) -> Result<crate::event::Event, Problem> {
    log.event(id)
        .await?
        .ok_or_else(|| resolve::unknown_event(&id.to_string()))
}
