//! The contract of the stores: transactions in which a service writes its state and its events together, and
//! the log of events that a feed reads.
//!
//! A service's SQL is written once, so it keeps to what every store understands alike: parameters `$1`, `$2` …, beside a
//! literal or alone in a select list with a cast (`CAST($1 AS BIGINT)`), sums as `CAST(coalesce(sum(x), 0) AS BIGINT)`,
//! `ON CONFLICT`, no `INSERT OR`, no `now()` (times come from [`Tx::now`]) and no `FOR UPDATE`.

mod following;
mod handle;
mod log;
pub(crate) mod migrating;
mod migrations;
mod tx;
mod value;

#[cfg(feature = "client")]
pub(crate) use following::{Following, Origin};
pub(crate) use handle::sqlite_path;
pub use handle::{Store, without_password};
#[cfg(feature = "server")]
pub(crate) use log::Fold;
pub use log::{Log, LogStats, RecordedBehind, Scan, Window};
pub use migrations::Migrations;
pub use tx::{Appended, Expected, Tx};
pub(crate) use tx::{LeaseClock, TxInner, Waiting};
pub use value::{FromRow, FromValue, Row, Value};
pub(crate) use value::{OwnedValue, RowInner};
