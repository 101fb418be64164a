//! The end of a feed at one moment: its state, its newest events, and the documents that were made of them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::document::Format;
use crate::event::Event;
use crate::feed::FeedState;
use crate::limits::{TIP_BYTES_MAX, TIP_DOCUMENTS_MAX, TIP_EVENTS_MAX};
use crate::position::{After, Cursor, Position};
use crate::server::rendered::Rendered;

/// Bytes of an event beside its data. An estimate.
const EVENT_BYTES: usize = 512;

/// The end of a feed at one moment.
pub(in crate::server) struct Tip {
    pub(in crate::server) state: FeedState,
    /// The newest events, without a hole, oldest first. They may end before the head, when very many came at once.
    pub(in crate::server) events: Vec<Arc<Event>>,
    /// What was answered with, so that it is made once for all who ask for the same.
    documents: Mutex<Vec<(DocumentKey, Rendered)>>,
}

/// Which document of a feed's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum DocumentKind {
    /// The tail behind this.
    Tail(Cursor),
    Head,
    /// The head without its body, for those who have it already: pages may be too large to be kept for them.
    HeadUnchanged,
}

/// Which document of a feed's end, in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct DocumentKey {
    pub(in crate::server) kind: DocumentKind,
    pub(in crate::server) format: Format,
    /// Whether the query said the format, and so all its links do.
    pub(in crate::server) is_format_asked: bool,
    /// Whether its reader was willing to wait for it.
    pub(in crate::server) is_waited: bool,
}

impl Tip {
    /// The end of the feed that was read behind `before`.
    pub(super) fn following(before: Option<&Tip>, state: FeedState, fresh: Vec<Event>) -> Self {
        let fresh: Vec<_> = fresh.into_iter().map(Arc::new).collect();
        let older = match (before, fresh.first()) {
            (Some(before), Some(first)) if before.goes_on_with(first) => {
                before.newest(TIP_EVENTS_MAX)
            }
            _ => &[],
        };
        Tip {
            state,
            events: older.iter().cloned().chain(fresh).collect(),
            documents: Mutex::default(),
        }
    }

    /// Whether `first` comes directly behind the newest event of this history.
    fn goes_on_with(&self, first: &Event) -> bool {
        let head = self.state.head;
        self.events
            .last()
            .is_some_and(|last| last.position == head.position)
            && head.position.next() == Some(first.position)
            && head.check.next(first.id) == first.check
    }

    /// The last ones of the events, as many as may be kept.
    fn newest(&self, events_max: usize) -> &[Arc<Event>] {
        let mut bytes = 0;
        let kept = self.events.iter().rev().take_while(|event| {
            bytes += EVENT_BYTES + event.data.as_ref().map_or(0, |data| data.bytes().len());
            bytes <= TIP_BYTES_MAX
        });
        let kept = kept.take(events_max).count();
        &self.events[self.events.len() - kept..]
    }

    /// Whether this is what the feed is now.
    pub(super) fn is_still(&self, state: &FeedState) -> bool {
        self.state == *state
    }

    /// The position behind which all events are here.
    pub(in crate::server) fn begins_at(&self) -> Position {
        let head = self.state.head.position;
        match self.events.first() {
            // There is one before, since an event's position is 1 at least.
            Some(first) => Position::new(first.position.get() - 1).unwrap_or(head),
            None => head,
        }
    }

    /// The cursor that `after` means, if it is one of those that are known here to be of this feed.
    pub(in crate::server) fn place(&self, after: &After) -> Option<Cursor> {
        let head = self.state.head;
        let position = match after {
            After::Now => return Some(head),
            After::Cursor(cursor) if *cursor == head => return Some(head),
            After::Cursor(cursor) => cursor.position,
            After::Position(position) if *position == head.position => return Some(head),
            After::Position(position) => *position,
            After::Start | After::Event(_) => return None,
        };
        // What was pruned is none to go on from, and the place where the rest begins is the store's to tell.
        if position <= self.state.earliest.position {
            return None;
        }
        let behind_first = position.get().checked_sub(self.begins_at().get())?;
        match (after, behind_first.checked_sub(1)) {
            // The check of the first event says whether the cursor before it is the right one.
            (After::Cursor(cursor), None) => {
                let is_ours = cursor.epoch == self.state.history.epoch_at(position);
                let first = self.events.first()?;
                (is_ours && cursor.check.next(first.id) == first.check).then_some(*cursor)
            }
            (_, None) => None,
            (_, Some(index)) => {
                let there = self.events.get(usize::try_from(index).ok()?)?.cursor();
                match after {
                    After::Cursor(cursor) if *cursor != there => None,
                    _ => Some(there),
                }
            }
        }
    }

    /// The events behind `from` up to `end`, or to the head if that comes before; none when they are not all here, or do not
    /// follow on.
    pub(in crate::server) fn behind(&self, from: Cursor, end: Position) -> Option<&[Arc<Event>]> {
        let end = end.min(self.state.head.position);
        if from.position >= end {
            return (from == self.state.head).then_some(&[]);
        }
        let begins_at = self.begins_at().get();
        let first = usize::try_from(from.position.get().checked_sub(begins_at)?).ok()?;
        let last = usize::try_from(end.get() - begins_at).ok()?;
        let events = self.events.get(first..last)?;
        let follows = from.check.next(events.first()?.id) == events.first()?.check;
        follows.then_some(events)
    }

    /// The document, if it was made before.
    pub(in crate::server) fn document(&self, key: &DocumentKey) -> Option<Rendered> {
        let documents = self.documents.lock();
        let documents = documents.unwrap_or_else(PoisonError::into_inner);
        let found = documents.iter().find(|(known, _)| known == key);
        found.map(|(_, rendered)| rendered.clone())
    }

    /// Keeps a document that was made of this, while there is room.
    pub(in crate::server) fn keep(&self, key: DocumentKey, rendered: &Rendered) {
        let documents = self.documents.lock();
        let mut documents = documents.unwrap_or_else(PoisonError::into_inner);
        let bytes: usize = documents.iter().map(|(_, rendered)| rendered.bytes()).sum();
        if documents.iter().any(|(known, _)| *known == key) {
            return;
        }
        if documents.len() < TIP_DOCUMENTS_MAX && bytes + rendered.bytes() <= TIP_BYTES_MAX {
            documents.push((key, rendered.clone()));
        }
    }
}
