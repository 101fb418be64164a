//! The contract of the stores: transactions in which a service writes its state and its events together, and
//! the log of events that a feed reads.
//!
//! A service's SQL is written once, with `$1`, `$2` … and without `now()` or `FOR UPDATE`; times come from
//! [`Tx::now`].

mod handle;
mod log;
mod migrations;
mod tx;
mod value;

pub use handle::Store;
pub use log::{Log, LogStats, Window};
pub use migrations::Migrations;
#[cfg(feature = "client")]
pub(crate) use tx::Cause;
pub(crate) use tx::TxInner;
pub use tx::{Appended, Expected, Tx};
pub(crate) use value::RowInner;
pub use value::{FromRow, FromValue, Row, Value};
