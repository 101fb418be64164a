//! Feed documents: what all representations of them share.

mod links;
#[cfg(feature = "store")]
mod sealed;

pub use links::{ArchiveFile, Format, Links, RENDER_VERSION};

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::Event;
use crate::feed::FeedIdentity;
use crate::position::Cursor;

/// Which document of a feed it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// The newest events, newest first.
    Head,
    /// Events after a cursor, oldest first, up to the page's end.
    Tail,
    /// One sealed page, oldest first. Its bytes never change.
    Archive,
}

/// A feed document, ready to be written as Atom or JSON.
#[derive(Debug, Clone)]
pub struct Document {
    /// Which one it is.
    pub kind: DocumentKind,
    /// The feed.
    pub feed: Arc<FeedIdentity>,
    /// For the document as a whole: `recorded` of the last event in an archive, else of the feed's newest.
    pub updated: DateTime<Utc>,
    /// Its events, in the document's order.
    pub events: Vec<Event>,
    /// Where to go from here; all relative.
    pub links: Links,
    /// The feed's newest event. Absent in an archive, whose bytes may not depend on it.
    pub head: Option<Cursor>,
    /// Whether nothing comes behind the last event of this document. Absent in an archive.
    pub caught_up: Option<bool>,
}

/// What a reader takes from a document, in whichever representation it came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadDocument {
    /// The events, in the document's order.
    pub events: Vec<Event>,
    /// The link to what comes after, as it was written; only in oldest-first documents.
    pub next: Option<String>,
    /// The newest sealed page before this document, as it was written.
    pub prev_archive: Option<String>,
    /// The feed's newest event, when the document says it.
    pub head: Option<Cursor>,
    /// Whether nothing comes behind the last event, when the document says it.
    pub caught_up: Option<bool>,
}

/// A document that cannot be read. Trying again helps only when the server or a cache in between was at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not well-formed JSON or XML, or lacks what a feed document must have.
    #[error("{format} document: {reason}")]
    Malformed {
        /// `Atom` or `JSON`.
        format: &'static str,
        /// What is wrong, with the place where it is known.
        reason: String,
    },
    /// An event in it is not valid.
    #[error("{format} document, event number {index}: {reason}")]
    Event {
        /// `Atom` or `JSON`.
        format: &'static str,
        /// Number of the event in the document, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// It goes beyond a limit (invariant I12).
    #[error("{format} document: more than {max} {what}")]
    Limit {
        /// `Atom` or `JSON`.
        format: &'static str,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}
