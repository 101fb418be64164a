//! Events between services without a broker: the outbox is an HTTP feed, followed with a cursor.
//!
//! - [`Store`] holds a service's own tables, its outbox and its cursors. [`Store::write`] runs work in a transaction
//!   ([`Tx`]), in which state changes and [`Tx::append`] publishes, together.
//! - [`server::router`] serves the outbox as a feed, in Atom and CloudEvents JSON.
//! - [`Consumer`] follows another service's feed: [`Handlers`] apply its events in one transaction with the cursor.
//! - [`read_model`] lets a request wait until an event is in a read model: reading what one has written elsewhere.
//! - [`Timers`] fires what was set to be done later, in one transaction with its effects.
//! - [`Aggregate`] is for state that is what its events say; [`testing`] has harnesses.
//!
//! Below these stand the pure parts: [`Event`], [`Cursor`], [`Check`], [`PageCapacity`], [`Document`], and the two
//! representations, [`atom`] and [`json`]. The repository's README shows a whole service, `docs/protocol.md` is what a
//! feed promises.
//!
//! ```
//! use feed_core::{Expected, FeedConfig, Migrations, NewEvent, Store, Subject, Tx, Window};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("feed-core-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("shop.db");
//! # let path = path.to_string_lossy();
//! let store = Store::open(&path, Migrations::NONE).await?;
//! store.create_feed(FeedConfig::new("orders", "shop")?).await?;
//! let subject = Subject::new("order-7f3a")?;
//! let placed = NewEvent::json("OrderPlaced", &serde_json::json!({ "order_id": "7f3a" }))?;
//! store
//!     .write(async move |tx: &mut Tx<'_>| tx.append("orders", &subject, Expected::New, &[placed.clone()]).await)
//!     .await?;
//! let (state, events) = store.log("orders")?.read(Window::Newest { limit: 10 }).await?;
//! assert_eq!((state.head.position.get(), events[0].version.get()), (1, 1));
//! # store.close().await;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(()) }
//! ```

// Without a store, some of what events and feeds can do has nobody who asks for it.
#![cfg_attr(not(feature = "store"), allow(dead_code))]

#[cfg(feature = "store")]
mod aggregate;
#[cfg(test)]
mod arbitrary;
#[cfg(feature = "client")]
pub mod client;
#[cfg(all(feature = "client", feature = "store"))]
mod consumer;
mod document;
mod error;
mod event;
#[cfg(not(feature = "faults"))]
mod faults;
#[cfg(feature = "faults")]
pub mod faults;
mod feed;
mod filter;
#[cfg(any(feature = "client", all(feature = "server", feature = "store")))]
mod headers;
pub mod limits;
#[cfg(feature = "store")]
pub mod moving;
mod page;
mod position;
#[cfg(all(feature = "client", feature = "server", feature = "store"))]
pub mod read_model;
#[cfg(all(feature = "server", feature = "store"))]
pub mod server;
mod shutdown;

pub mod atom;
pub mod json;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(all(feature = "client", feature = "store"))]
mod timers;

#[cfg(feature = "store")]
pub use aggregate::{Aggregate, DecideError, Decided, Loaded, MayConflict};
#[cfg(all(feature = "client", feature = "store"))]
pub use consumer::{
    Call, Changed, Chosen, Consumer, ConsumerError, EVENT_TRANSITIONS, EventName, EventState,
    EventTransition, Halt, HandlerError, HandlerErrorKind, Handlers, KeyFn, Lag, Mode,
    OperateError, Operator, OrderingKey, ParkingLimits, Reached, Resizing,
    SUBSCRIPTION_TRANSITIONS, StartAt, StepOutcome, Subscription, SubscriptionEvent,
    SubscriptionHandle, SubscriptionState, SubscriptionTransition, UnknownTypes, partition_of,
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
pub use filter::Filter;
pub use page::{PageCapacity, PageNumber};
pub use position::{After, Check, Cursor, Epoch, Position};
pub use shutdown::shutdown_signal;
#[cfg(feature = "store")]
pub use store::{
    Appended, Expected, FromRow, FromValue, Log, LogStats, Migrations, RecordedBehind, Row, Scan,
    Store, Tx, Value, Window, without_password,
};
#[cfg(all(feature = "client", feature = "store"))]
pub use timers::{DueTimer, Timer, TimerFailure, TimerState, Timers, TimersOutcome};

/// The examples of the repository's README compile.
#[cfg(all(doctest, feature = "server", feature = "client"))]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Those of the page on consumers too.
#[cfg(all(doctest, feature = "store", feature = "client"))]
#[doc = include_str!("../../docs/consumers.md")]
struct Consumers;
