//! The routes of the feeds.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::consumers::{self, Consumers, Reader};
use super::documents::{self, Asked};
use super::feed_query::{FeedForm, FeedQuery};
use super::negotiate::negotiate;
use super::problem::Problem;
use super::problem_types;
use super::query::PathParams;
use super::respond::{text, time, unknown_parameter};
use super::sealed::SealedPages;
use super::stopping::Stopping;
use super::tips::Tips;
use super::{archive, single, stream};
use crate::document::Format;
use crate::error::InvalidValue;
use crate::event::FeedName;
use crate::limits::{HEARTBEAT_MS, PAGE_CACHE_BYTES_MAX, WAITERS_MAX};
use crate::position::Cursor;
use crate::store::{Log, Store};

/// How the feeds are served.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RouterOptions {
    /// Requests and event streams that may wait at the same time; [`WAITERS_MAX`] unless set.
    pub waiters_max: usize,
    /// After how much silence an event stream says where it is; [`HEARTBEAT_MS`] unless set.
    pub heartbeat: Duration,
    /// Bytes of sealed pages that are kept in memory; [`PAGE_CACHE_BYTES_MAX`] unless set.
    pub page_cache_bytes: u64,
}

impl Default for RouterOptions {
    fn default() -> Self {
        RouterOptions {
            waiters_max: WAITERS_MAX,
            heartbeat: Duration::from_millis(HEARTBEAT_MS),
            page_cache_bytes: PAGE_CACHE_BYTES_MAX,
        }
    }
}

/// The feeds of this router.
struct Feeds {
    served: Vec<Served>,
    heartbeat: Duration,
    pages: SealedPages,
}

/// One feed, those who wait for it, and those who were seen following it.
struct Served {
    /// Its number in this router.
    number: usize,
    log: Log,
    tips: Tips,
    consumers: Arc<Consumers>,
}

/// The routes `/feeds` and below, for these feeds of the store.
///
/// ```no_run
/// # async fn f(store: feed_core::Store) -> Result<(), Box<dyn std::error::Error>> {
/// let app = axum::Router::new().merge(feed_core::server::router(&store, ["orders"])?);
/// # Ok(()) }
/// ```
///
/// Under [`serve`](super::serve), requests that wait are answered when the service stops.
///
/// # Errors
/// When a name is no feed name.
pub fn router<'a>(
    store: &Store,
    feeds: impl IntoIterator<Item = &'a str>,
) -> Result<Router, InvalidValue> {
    router_with(store, feeds, &RouterOptions::default())
}

/// As [`router`], with options.
///
/// # Errors
/// When a name is no feed name.
pub fn router_with<'a>(
    store: &Store,
    feeds: impl IntoIterator<Item = &'a str>,
    options: &RouterOptions,
) -> Result<Router, InvalidValue> {
    let places = Arc::new(Semaphore::new(
        options.waiters_max.min(Semaphore::MAX_PERMITS),
    ));
    let served = feeds
        .into_iter()
        .enumerate()
        .map(|(number, feed)| {
            let log = store.log(feed)?;
            let tips = Tips::new(log.clone(), places.clone());
            Ok(Served {
                number,
                log,
                tips,
                consumers: Arc::default(),
            })
        })
        .collect::<Result<Vec<_>, InvalidValue>>()?;
    Ok(Router::new()
        .route("/feeds", readable(get(list)))
        .route("/feeds/{feed}", readable(get(own_url)))
        .route(
            "/feeds/{feed}/archive/{epoch}/{file}",
            readable(get(archive_page)),
        )
        .route("/feeds/{feed}/events/{id}", readable(get(event)))
        .route("/feeds/{feed}/consumers", readable(get(consumers)))
        .route("/feeds/{feed}/{*rest}", get(no_resource))
        .route("/feeds/{feed}/", get(no_resource))
        .route("/feeds/", get(no_resource))
        .method_not_allowed_fallback(no_method)
        .layer(axum::middleware::map_response(without_length_of_304))
        .with_state(Arc::new(Feeds {
            served,
            heartbeat: options.heartbeat,
            pages: SealedPages::new(options.page_cache_bytes),
        })))
}

/// The answer of `/feeds`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) struct FeedList {
    /// In the order in which the service serves them.
    feeds: Vec<FeedEntry>,
}

/// A feed, as it is listed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) struct FeedEntry {
    name: FeedName,
    /// For people.
    title: String,
    /// Its URL, relative to that of the list.
    href: String,
    /// Cursor of its newest event.
    #[serde(serialize_with = "text")]
    head: Cursor,
    events: u64,
    /// Pages that are full.
    sealed_pages: u64,
    /// Events in a page.
    page_capacity: u32,
    /// Largest event, in bytes of data and attributes.
    event_bytes_max: u32,
    /// When the newest event was recorded.
    #[serde(serialize_with = "time")]
    updated: DateTime<Utc>,
}

/// With an answer to OPTIONS.
fn readable(get: MethodRouter<Arc<Feeds>>) -> MethodRouter<Arc<Feeds>> {
    get.options(|| async {
        let allow = [(header::ALLOW, "GET,HEAD,OPTIONS")];
        (StatusCode::NO_CONTENT, allow)
    })
}

/// A 304 has no body, and what axum says of its length to HEAD is not what a 200 would say (RFC 9110, section 8.6).
async fn without_length_of_304(mut response: Response) -> Response {
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

impl Feeds {
    fn find(&self, feed: &str) -> Result<&Served, Problem> {
        self.served
            .iter()
            .find(|served| served.log.feed().as_str() == feed)
            .ok_or_else(|| {
                crate::error::StoreError::UnknownFeed(feed.chars().take(80).collect()).into()
            })
    }
}

async fn no_resource() -> Problem {
    let detail = "below a feed there are archive/EPOCH/PAGE.r1.atom, the same as .json, events/ID, and consumers";
    Problem::new(&problem_types::PATH_UNKNOWN, detail)
}

async fn no_method() -> Problem {
    let detail = "a feed is read by GET and HEAD; what is published is appended by its service";
    Problem::new(&problem_types::METHOD_UNKNOWN, detail)
}

async fn list(
    State(feeds): State<Arc<Feeds>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    no_parameters(query.as_deref())?;
    let mut list = FeedList { feeds: Vec::new() };
    for served in &feeds.served {
        let stats = served.log.stats().await?;
        let identity = &stats.state.identity;
        list.feeds.push(FeedEntry {
            name: identity.name.clone(),
            title: identity.title.clone(),
            href: format!("feeds/{}", identity.name),
            head: stats.state.head,
            events: stats.events,
            sealed_pages: stats.sealed_pages,
            page_capacity: identity.capacity.get(),
            event_bytes_max: identity.event_bytes_max,
            updated: stats.state.updated,
        });
    }
    Ok(([(header::CACHE_CONTROL, "no-cache")], Json(list)).into_response())
}

/// The head, the tail, or the event stream.
async fn own_url(
    State(feeds): State<Arc<Feeds>>,
    PathParams(feed): PathParams<String>,
    RawQuery(query): RawQuery,
    stopping: Stopping,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Served {
        log,
        tips,
        consumers,
        ..
    } = feeds.find(&feed)?;
    let query = FeedQuery::parse(query.as_deref().unwrap_or_default())?;
    let form = match query.form {
        Some(form) => form,
        None => negotiate(&headers, offers(&query))?,
    };
    let asked = Asked {
        headers: &headers,
        query: &query,
        reader: Reader::of(&headers, consumers),
        stopping,
    };
    match (form, query.begin) {
        (FeedForm::Stream, _) => stream::stream(log, tips, &asked, feeds.heartbeat).await,
        (FeedForm::Document(format), None) => documents::head(log, &asked, format).await,
        (FeedForm::Document(format), Some(begin)) => {
            documents::tail(log, tips, &asked, format, begin).await
        }
    }
}

/// The representations at a feed's own URL; the first is what a request gets that does not care.
fn offers(query: &FeedQuery) -> &'static [(FeedForm, &'static str)] {
    const ATOM: (FeedForm, &str) = (FeedForm::Document(Format::Atom), "application/atom+xml");
    const JSON: (FeedForm, &str) = (
        FeedForm::Document(Format::Json),
        "application/cloudevents-batch+json",
    );
    const STREAM: (FeedForm, &str) = (FeedForm::Stream, stream::MEDIA_TYPE);
    if query.http_feeds {
        &[JSON, ATOM, STREAM]
    } else {
        &[ATOM, JSON, STREAM]
    }
}

async fn archive_page(
    State(feeds): State<Arc<Feeds>>,
    PathParams((feed, epoch, file)): PathParams<(String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_parameters(query.as_deref())?;
    let Served {
        number,
        log,
        consumers,
        ..
    } = feeds.find(&feed)?;
    let reader = Reader::of(&headers, consumers);
    let feed = (*number, log);
    archive::archive(&feeds.pages, feed, &reader, &headers, (&epoch, &file)).await
}

async fn event(
    State(feeds): State<Arc<Feeds>>,
    PathParams((feed, id)): PathParams<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    single::event(&feeds.find(&feed)?.log, &headers, &id, &query).await
}

async fn consumers(
    State(feeds): State<Arc<Feeds>>,
    PathParams(feed): PathParams<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    no_parameters(query.as_deref())?;
    let Served { log, consumers, .. } = feeds.find(&feed)?;
    consumers::consumers(log, consumers).await
}

fn no_parameters(query: Option<&str>) -> Result<(), Problem> {
    match url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).next() {
        None => Ok(()),
        Some((name, _)) => Err(unknown_parameter(&name, "none is taken here")),
    }
}
