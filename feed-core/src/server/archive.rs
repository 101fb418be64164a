//! The sealed pages.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::coding::Coding;
use super::consumers::Reader;
use super::problem::Problem;
use super::problem_types;
use super::respond::{self, Caching};
use super::sealed::{Key, SealedPage, SealedPages};
use super::{build, resolve};
use crate::document::{ArchiveFile, Document, Links};
use crate::error::StoreError;
use crate::feed::FeedState;
use crate::position::{Cursor, Epoch, Position};
use crate::store::{Log, Window};

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

/// The page of an archive URL, in a coding that the reader takes.
pub(super) async fn archive(
    pages: &SealedPages,
    (feed, log): (usize, &Log),
    reader: &Reader,
    headers: &HeaderMap,
    (epoch, file): (&str, &str),
) -> Result<Response, Problem> {
    let (Ok(epoch), Ok(file)) = (epoch.parse::<Epoch>(), file.parse::<ArchiveFile>()) else {
        return Err(no_page(
            "an archive page is named EPOCH/PAGE.r1.atom or EPOCH/PAGE.r1.json",
        ));
    };
    let key = Key {
        feed,
        epoch,
        file,
        coding: Coding::negotiate(headers),
    };
    match pages.get(key, render(log, epoch, file)).await {
        Ok(page) => {
            reader.asks_after(page.begins_behind());
            Ok(page.respond(headers))
        }
        Err(Elsewhere(response)) => Ok(response),
    }
}

async fn render(log: &Log, epoch: Epoch, file: ArchiveFile) -> Result<SealedPage, Elsewhere> {
    let (state, events) = log.read(Window::Page(file.page)).await?;
    if !state.history.contains(epoch) {
        let epoch = epoch.to_string();
        return Err(resolve::unknown_epoch(&state, &epoch, StatusCode::NOT_FOUND).into());
    }
    let capacity = state.identity.capacity;
    if capacity.last(file.page) <= state.earliest.position {
        return Err(resolve::pruned(&state, format!("page {}", file.page)).into());
    }
    if !capacity.is_sealed(file.page, state.head.position) {
        return Err(Elsewhere(to_tail(log, &state, file).await?));
    }
    let right = build::epoch_of(&state, file.page);
    if epoch != right {
        let link = Links::archive_from_archive(right, file.page, file.format);
        return Err(Elsewhere(respond::redirect(&link)));
    }
    let document = Document::sealed(&state, file.page, events, file.format);
    let tag = respond::archive_tag(&document, file.format);
    let headers = respond::headers(&document, file.format, &tag, Caching::SEALED);
    let before = file.page.previous();
    Ok(SealedPage::new(
        before.map_or(Position::START, |page| capacity.last(page)),
        headers,
        respond::body(&document, file.format),
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
