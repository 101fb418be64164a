//! Which events and links each document has. Pure: the store gave the events, a codec will write them.

use super::feed_query::FeedQuery;
use super::look::{Found, Wanted};
use crate::document::{Document, DocumentKind, Format, Links};
use crate::event::Event;
use crate::feed::FeedState;
use crate::page::PageNumber;
use crate::position::Position;

/// The head document from the newest events, which are given oldest first. `carried` is what links to the feed's own
/// URL carry on of the query: empty, or begins with `&`.
pub(super) fn head(
    state: &FeedState,
    mut events: Vec<Event>,
    format: Format,
    carried: &str,
) -> Document {
    events.reverse();
    let name = &state.identity.name;
    let this = head_link(state, carried);
    Document {
        kind: DocumentKind::Head,
        updated: state.updated,
        events,
        links: Links {
            current: this.clone(),
            this,
            next: None,
            prev_archive: prev_archive(state, state.head.position, format),
            tail: Some(Links::tail_from_feed(name, state.head) + carried),
            events: format!("{name}/events/"),
        },
        head: Some(state.head),
        caught_up: Some(true),
        feed: state.identity.clone(),
    }
}

/// The tail document of what was found behind a cursor.
pub(super) fn tail(found: Found, wanted: &Wanted, format: Format, query: &FeedQuery) -> Document {
    let carried = &query.carried();
    let (state, name) = (&found.state, &found.state.identity.name);
    let from_here = Links::tail_from_feed(name, found.upto) + carried;
    // A whole page is of use only to those who want all that is on it.
    let sealed = sealed_after(state, found.upto.position).filter(|_| wanted.is_all());
    Document {
        kind: DocumentKind::Tail,
        updated: state.updated,
        links: Links {
            this: Links::tail_from_feed(name, found.from) + carried,
            current: head_link(state, &query.carried_to_head()),
            next: Some(sealed.map_or(from_here, |page| archive_link(state, page, format))),
            prev_archive: prev_archive(state, found.from.position, format),
            tail: None,
            events: format!("{name}/events/"),
        },
        head: Some(state.head),
        caught_up: Some(found.is_caught_up()),
        feed: state.identity.clone(),
        events: found.events,
    }
}

/// The head document, from a document at the feed's own URL.
fn head_link(state: &FeedState, carried: &str) -> String {
    let name = &state.identity.name;
    match carried.strip_prefix('&') {
        Some(query) => format!("{name}?{query}"),
        None => name.to_string(),
    }
}

/// A sealed page, from a document at the feed's own URL.
pub(super) fn archive_link(state: &FeedState, page: PageNumber, format: Format) -> String {
    Links::archive_from_feed(&state.identity.name, epoch_of(state, page), page, format)
}

/// The sealed page that begins directly behind `position`.
pub(super) fn sealed_after(state: &FeedState, position: Position) -> Option<PageNumber> {
    let capacity = state.identity.capacity;
    let page = capacity.page_after(position);
    (capacity.is_page_end(position) && capacity.is_sealed(page, state.head.position))
        .then_some(page)
}

/// The newest page that ends at or before `position`, if it is still there.
fn prev_archive(state: &FeedState, position: Position, format: Format) -> Option<String> {
    let capacity = state.identity.capacity;
    let page = capacity.newest_sealed(position)?;
    let is_there = capacity.last(page) > state.earliest.position;
    is_there.then(|| archive_link(state, page, format))
}

/// The epoch under which `page` is found: that of its last event.
pub(super) fn epoch_of(state: &FeedState, page: PageNumber) -> crate::position::Epoch {
    state.history.epoch_at(state.identity.capacity.last(page))
}
