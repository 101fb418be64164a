//! A sealed page, for the server and for whoever compares two databases. Pure.

use super::{Document, DocumentKind, Format, Links};
use crate::event::Event;
use crate::feed::FeedState;
use crate::page::PageNumber;

impl Document {
    /// A sealed page. Nothing of the feed's present state enters it but what can never change.
    pub(crate) fn sealed(
        state: &FeedState,
        page: PageNumber,
        events: Vec<Event>,
        format: Format,
    ) -> Document {
        let name = &state.identity.name;
        let capacity = state.identity.capacity;
        let epoch = state.history.epoch_at(capacity.last(page));
        let previous = page.previous();
        Document {
            kind: DocumentKind::Archive,
            updated: events
                .last()
                .map_or(state.identity.created, |event| event.recorded),
            events,
            links: Links {
                this: Links::archive_from_archive(epoch, page, format),
                current: Links::feed_from_archive(name),
                // The next page may be sealed in a later epoch; the server redirects from here to there.
                next: Some(Links::archive_from_archive(epoch, page.next(), format)),
                prev_archive: previous.map(|page| {
                    Links::archive_from_archive(
                        state.history.epoch_at(capacity.last(page)),
                        page,
                        format,
                    )
                }),
                tail: None,
                events: Links::EVENTS_FROM_ARCHIVE.to_owned(),
            },
            head: None,
            caught_up: None,
            feed: state.identity.clone(),
        }
    }
}
