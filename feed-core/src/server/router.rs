//! The routes of the feeds.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::{Either, Ready, ready};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::archive::{self, ArchivePage};
use super::conditional;
use super::consumers::{self, Consumers, Reader};
use super::documents::{self, Asked, AtKnownEnd};
use super::feed_query::{FeedForm, FeedQuery};
use super::negotiate::negotiate;
use super::problem::Problem;
use super::problem_types;
use super::query::PathParams;
use super::respond::{text, time, unknown_parameter};
use super::sealed::SealedPages;
use super::tips::Tips;
use super::{single, stream};
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

impl Feeds {
    fn find(&self, feed: &str) -> Result<&Served, Problem> {
        self.named(feed).ok_or_else(|| {
            crate::error::StoreError::UnknownFeed(feed.chars().take(80).collect()).into()
        })
    }

    fn named(&self, feed: &str) -> Option<&Served> {
        self.served
            .iter()
            .find(|served| served.log.feed().as_str() == feed)
    }
}

/// The last segments of a request's path, as they stand there. What is percent-encoded is no name of ours; routes know it.
fn last_segments<const N: usize>(parts: &Parts) -> Option<[&str; N]> {
    let mut segments = parts.uri.path().rsplit('/');
    let mut last = [""; N];
    for place in last.iter_mut().rev() {
        *place = segments.next()?;
    }
    Some(last)
}

/// The feed and its page.
async fn page_of<'f>(
    feeds: &'f Feeds,
    parts: &mut Parts,
) -> Result<(&'f Served, ArchivePage), Problem> {
    if let Some([feed, _, epoch, file]) = last_segments(parts)
        && let Some(served) = feeds.named(feed)
        && let Ok(page) = ArchivePage::parse(epoch, file)
    {
        return Ok((served, page));
    }
    type Names = PathParams<(String, String, String)>;
    let PathParams((feed, epoch, file)) = Box::pin(Names::from_request_parts(parts, &())).await?;
    let served = feeds.find(&feed)?;
    Ok((served, ArchivePage::parse(&epoch, &file)?))
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
        served.tips.saw(&stats.state);
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

/// An answer that is there at once, or comes later. Most are there at once, and nothing larger than they is put aside for
/// them.
type Answering = Either<Ready<Response>, Pin<Box<dyn Future<Output = Response> + Send>>>;

fn at_once(answer: impl IntoResponse) -> Answering {
    Either::Left(ready(answer.into_response()))
}

fn later(answering: impl Future<Output = Result<Response, Problem>> + Send + 'static) -> Answering {
    Either::Right(Box::pin(answering.map(IntoResponse::into_response)))
}

/// The head, the tail, or the event stream.
fn own_url(State(feeds): State<Arc<Feeds>>, request: Request) -> Answering {
    let mut parts = request.into_parts().0;
    if let Some([feed]) = last_segments(&parts)
        && let Some(served) = feeds.named(feed)
    {
        let number = served.number;
        return own_url_of(feeds, number, &parts);
    }
    later(async move {
        let PathParams(feed) = PathParams::<String>::from_request_parts(&mut parts, &()).await?;
        let number = feeds.find(&feed)?.number;
        Ok(own_url_of(feeds, number, &parts).await)
    })
}

/// The same of the feed with this number.
fn own_url_of(feeds: Arc<Feeds>, number: usize, parts: &Parts) -> Answering {
    let served = &feeds.served[number];
    let (asked, form) = match asked(served, parts) {
        Ok(asked) => asked,
        Err(problem) => return at_once(problem),
    };
    let format = match form {
        FeedForm::Document(format) => format,
        FeedForm::Stream => {
            let last_event_id = parts.headers.get(stream::LAST_EVENT_ID).cloned();
            return later(async move {
                let served = &feeds.served[number];
                let (log, tips) = (&served.log, &served.tips);
                stream::stream(log, tips, &asked, last_event_id, feeds.heartbeat).await
            });
        }
    };
    let Some(begin) = asked.query.begin else {
        return match documents::known_head(&served.tips, &asked, format) {
            Some(answer) => at_once(answer),
            None => later(async move {
                let served = &feeds.served[number];
                documents::head(&served.log, &served.tips, &asked, format).await
            }),
        };
    };
    match documents::known_tail(&served.tips, &asked, format, begin) {
        AtKnownEnd::Answer(answer) => at_once(answer),
        AtKnownEnd::Waits(from, wait) => later(async move {
            let served = &feeds.served[number];
            let (log, tips, from) = (&served.log, &served.tips, (from, from));
            documents::waited(log, tips, asked, format, from, wait).await
        }),
        AtKnownEnd::Unknown => later(async move {
            let served = &feeds.served[number];
            documents::tail(&served.log, &served.tips, asked, format, begin).await
        }),
    }
}

/// What is asked for, and in which representation.
fn asked(served: &Served, parts: &Parts) -> Result<(Asked, FeedForm), Problem> {
    let query = FeedQuery::parse(parts.uri.query().unwrap_or_default())?;
    let form = match query.form {
        Some(form) => form,
        None => negotiate(&parts.headers, offers(&query))?,
    };
    if conditional::asks_past_caches(&parts.headers) {
        served.tips.doubt();
    }
    let reader = Reader::of(&parts.headers, &served.consumers);
    Ok((Asked::new(parts, query, reader), form))
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
    request: Request,
) -> Result<Response, Problem> {
    let mut parts = request.into_parts().0;
    let page = page_of(&feeds, &mut parts).await;
    // A query is refused first, whatever the path names.
    no_parameters(parts.uri.query())?;
    let (served, page) = page?;
    let reader = Reader::of(&parts.headers, &served.consumers);
    let feed = (served.number, &served.log);
    archive::archive(&feeds.pages, feed, reader, parts.headers, page).await
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
    let served = feeds.find(&feed)?;
    consumers::consumers(&served.log, &served.tips, &served.consumers).await
}

fn no_parameters(query: Option<&str>) -> Result<(), Problem> {
    if query.is_none_or(str::is_empty) {
        return Ok(());
    }
    match url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).next() {
        None => Ok(()),
        Some((name, _)) => Err(unknown_parameter(&name, "none is taken here")),
    }
}
