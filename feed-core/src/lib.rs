//! Events between services without a broker.

#![cfg_attr(not(test), warn(missing_docs))]

mod document;
mod error;
mod event;
mod feed;
pub mod limits;
mod page;
mod position;

pub mod atom;
pub mod json;

pub use document::{
    ArchiveFile, Document, DocumentError, DocumentKind, Format, Links, RENDER_VERSION, ReadDocument,
};
pub use error::{AppendError, InvalidValue, StoreError};
pub use event::{
    Data, DecodeError, Event, EventId, EventType, Extension, ExtensionName, FeedName, NewEvent,
    Subject, SubscriptionName, Version, domain_event, domain_parts,
};
pub use feed::{FeedConfig, FeedIdentity, FeedState, History, Visibility};
pub use page::{PageCapacity, PageNumber};
pub use position::{After, Check, Cursor, Epoch, Position};
