//! The sealed pages.

use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::problem::Problem;
use super::problem_types;
use super::respond::{self, Caching};
use super::{build, resolve};
use crate::document::{ArchiveFile, Links};
use crate::feed::FeedState;
use crate::page::PageNumber;
use crate::position::{Cursor, Epoch, Position};
use crate::store::{Log, Window};

pub(super) async fn archive(
    log: &Log,
    headers: &HeaderMap,
    epoch: &str,
    file: &str,
) -> Result<Response, Problem> {
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
    let capacity = state.identity.capacity;
    if capacity.last(file.page) <= state.earliest.position {
        return Err(resolve::pruned(&state, format!("page {}", file.page)));
    }
    if !capacity.is_sealed(file.page, state.head.position) {
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
    let tag = respond::archive_tag(&document, file.format);
    Ok(respond::document(
        headers,
        &document,
        file.format,
        &tag,
        Caching::SEALED,
    ))
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
    Problem::new(&problem_types::PAGE_UNKNOWN, detail)
}
