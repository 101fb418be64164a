//! Events between services without a broker.

// Without a store, some of what events and feeds can do has nobody who asks for it.
#![cfg_attr(not(feature = "sqlite"), allow(dead_code))]

#[cfg(feature = "sqlite")]
mod aggregate;
#[cfg(test)]
mod arbitrary;
#[cfg(feature = "client")]
pub mod client;
#[cfg(all(feature = "client", feature = "sqlite"))]
mod consumer;
mod document;
mod error;
mod event;
mod feed;
pub mod limits;
mod page;
mod position;

#[cfg(all(feature = "server", feature = "sqlite"))]
pub mod server;
mod shutdown;

pub mod atom;
pub mod json;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
mod store;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "sqlite")]
pub use aggregate::{Aggregate, DecideError, Decided, Loaded, MayConflict};
#[cfg(all(feature = "client", feature = "sqlite"))]
pub use consumer::{
    Consumer, ConsumerError, Halt, HandlerError, Handlers, StartAt, StepOutcome, Subscription,
};
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
pub use shutdown::shutdown_signal;
#[cfg(feature = "sqlite")]
pub use store::{
    Appended, Expected, FromRow, FromValue, Log, LogStats, Migrations, Row, Store, Tx, Value,
    Window,
};
