//! Events between services without a broker.

#![cfg_attr(not(test), warn(missing_docs))]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod aggregate;
#[cfg(test)]
mod arbitrary;
#[cfg(feature = "client")]
pub mod client;
#[cfg(all(feature = "client", any(feature = "sqlite", feature = "postgres")))]
mod consumer;
mod document;
mod error;
mod event;
mod feed;
pub mod limits;
mod page;
mod position;

#[cfg(feature = "server")]
pub mod server;
mod shutdown;

pub mod atom;
pub mod json;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod store;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use aggregate::{Aggregate, DecideError, Decided, Loaded, MayConflict};
#[cfg(all(feature = "client", any(feature = "sqlite", feature = "postgres")))]
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
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use store::{
    Appended, Expected, FromRow, FromValue, Log, LogStats, Migrations, Row, Store, Tx, Value,
    Window,
};
