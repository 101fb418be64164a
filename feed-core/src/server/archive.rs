//! The sealed pages.

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};

use super::coding::Coding;
use super::conditional::Known;
use super::consumers::Reader;
use super::problem::Problem;
use super::problem_types;
use super::respond::{self, Caching};
use super::sealed::{Key, SealedPage, SealedPages};
use super::{build, resolve};
use crate::document::{ArchiveFile, Document, Format, Links};
use crate::error::StoreError;
use crate::event::EventView;
use crate::feed::FeedState;
use crate::position::{Cursor, Epoch, Position};
use crate::store::{Fold, Log, Window};
use crate::{atom, json};

/// Room for a page of the usual size, in bytes.
const PAGE_BYTES: usize = 128 << 10;

/// What an archive URL leads to when it is no page that can be sent: a redirect, or a problem.
struct Elsewhere(Response);

impl From<Problem> for Elsewhere {
    fn from(problem: Problem) -> Self {
        Elsewhere(problem.into_response())
    }
}

impl From<StoreError> for Elsewhere {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

/// A page of a feed, and the epoch under which it is asked for.
#[derive(Clone, Copy)]
pub(super) struct ArchivePage {
    epoch: Epoch,
    file: ArchiveFile,
}

impl ArchivePage {
    /// What the last two segments of an archive URL name.
    pub(super) fn parse(epoch: &str, file: &str) -> Result<Self, Problem> {
        match (epoch.parse(), file.parse()) {
            (Ok(epoch), Ok(file)) => Ok(ArchivePage { epoch, file }),
            _ => Err(no_page(
                "an archive page is named EPOCH/PAGE.r1.atom or EPOCH/PAGE.r1.json",
            )),
        }
    }
}

/// The page in a coding that the reader takes.
pub(super) async fn archive(
    pages: &SealedPages,
    (feed, log): (usize, &Log),
    reader: Reader,
    headers: HeaderMap,
    page: ArchivePage,
) -> Result<Response, Problem> {
    let key = Key {
        feed,
        epoch: page.epoch,
        file: page.file,
        coding: Coding::negotiate(&headers),
    };
    let known = Known::by(&headers);
    drop(headers);
    let found = match pages.kept(&key) {
        Some(page) => Ok(page),
        None => Box::pin(pages.get(key, render(log, page))).await,
    };
    match found {
        Ok(page) => {
            reader.asks_after(page.begins_behind());
            Ok(page.respond(&known))
        }
        Err(Elsewhere(response)) => Ok(response),
    }
}

/// The bytes of a page's events, and what else is to be known of them.
struct Pages {
    asked: ArchivePage,
    written: Written,
    /// Cursor and time of the last event that was taken.
    last: Option<(Cursor, DateTime<Utc>)>,
}

enum Written {
    Json(json::Batch),
    Atom(atom::Entries),
}

impl Fold for Pages {
    fn wants(&mut self, state: &FeedState) -> bool {
        refusal(state, self.asked).is_none()
    }

    fn put(&mut self, event: &EventView<'_>) {
        match &mut self.written {
            Written::Json(batch) => batch.put(event),
            Written::Atom(entries) => entries.put(event),
        }
        self.last = Some((event.cursor(), event.recorded));
    }
}

/// Why a page is not sent.
enum Refusal {
    Epoch,
    Pruned,
    NotSealed,
    /// It stands under this one.
    OtherEpoch(Epoch),
}

fn refusal(state: &FeedState, ArchivePage { epoch, file }: ArchivePage) -> Option<Refusal> {
    let capacity = state.identity.capacity;
    let right = build::epoch_of(state, file.page);
    if !state.history.contains(epoch) {
        Some(Refusal::Epoch)
    } else if capacity.last(file.page) <= state.earliest.position {
        Some(Refusal::Pruned)
    } else if !capacity.is_sealed(file.page, state.head.position) {
        Some(Refusal::NotSealed)
    } else {
        (epoch != right).then_some(Refusal::OtherEpoch(right))
    }
}

async fn render(log: &Log, asked: ArchivePage) -> Result<SealedPage, Elsewhere> {
    let ArchivePage { epoch, file } = asked;
    let pages = Pages {
        asked,
        written: match file.format {
            Format::Json => Written::Json(json::Batch::with_room(PAGE_BYTES)),
            Format::Atom => Written::Atom(atom::Entries::with_room(
                PAGE_BYTES,
                Links::EVENTS_FROM_ARCHIVE.to_owned(),
            )),
        },
        last: None,
    };
    let (state, pages) = log.fold(file.page, pages).await?;
    match refusal(&state, asked) {
        Some(Refusal::Epoch) => {
            let epoch = epoch.to_string();
            Err(resolve::unknown_epoch(&state, &epoch, StatusCode::NOT_FOUND).into())
        }
        Some(Refusal::Pruned) => Err(resolve::pruned(&state, format!("page {}", file.page)).into()),
        Some(Refusal::NotSealed) => Err(Elsewhere(to_tail(log, &state, file).await?)),
        Some(Refusal::OtherEpoch(right)) => {
            let link = Links::archive_from_archive(right, file.page, file.format);
            Err(Elsewhere(respond::redirect(&link)))
        }
        None => Ok(sealed(&state, file, pages)?),
    }
}

/// The page whose events were written.
fn sealed(state: &FeedState, file: ArchiveFile, pages: Pages) -> Result<SealedPage, StoreError> {
    let (last, updated) = pages
        .last
        .ok_or_else(|| StoreError::Corrupt(format!("page {} has no events", file.page)))?;
    let mut document = Document::sealed(state, file.page, Vec::new(), file.format);
    document.updated = updated;
    let tag = respond::archive_tag(last, file.format);
    let headers = respond::headers(&document, file.format, &tag, Caching::SEALED);
    let body = match pages.written {
        Written::Json(batch) => batch.finish(),
        Written::Atom(entries) => atom::write_feed_of(&document, entries),
    };
    let capacity = state.identity.capacity;
    let before = file.page.previous();
    Ok(SealedPage::new(
        before.map_or(Position::START, |page| capacity.last(page)),
        headers,
        body,
    ))
}

/// A page that is not sealed yet: its readers go on with the tail, in the representation that the page's URL names.
async fn to_tail(log: &Log, state: &FeedState, file: ArchiveFile) -> Result<Response, Problem> {
    let before = match file.page.previous() {
        None => state.history.start(),
        Some(previous) => cursor_at(log, state.identity.capacity.last(previous)).await?,
    };
    let feed = Links::feed_from_archive(&state.identity.name);
    let format = file.format.extension();
    Ok(respond::redirect(&format!(
        "{feed}?after={before}&format={format}"
    )))
}

async fn cursor_at(log: &Log, position: Position) -> Result<Cursor, Problem> {
    let (state, events) = log.read(Window::PageFrom { at: position }).await?;
    events
        .first()
        .filter(|event| event.position == position)
        .map(crate::event::Event::cursor)
        .ok_or_else(|| {
            if state.is_standbys {
                return resolve::behind(&state);
            }
            no_page(&format!(
                "the feed ends at position {}, before that page",
                state.head.position
            ))
        })
}

fn no_page(detail: &str) -> Problem {
    Problem::new(&problem_types::PAGE_UNKNOWN, detail)
}
