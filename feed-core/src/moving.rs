//! Taking a service's whole database over to another store, and comparing two databases as their readers see them.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `schema` | tables and columns as both stores have them, and whether two schemas fit |
//! | `rows` | rows on their way, some at a time |
//! | `side` | a database as a source, as a target, or to be looked at |
//! | `copy` | taking it over |
//! | `verify`, `events`, `tables` | comparing, and checking one database in itself |
//! | `report`, `error`, `progress` | what is told of it |
//!
//! All SQL stands in the stores.

mod copy;
mod error;
mod events;
mod progress;
mod report;
mod rows;
mod schema;
mod side;
mod tables;
mod verify;

pub use copy::{Moved, copy};
pub use error::MoveError;
pub use progress::{Progress, Told};
pub use report::Report;
pub use verify::{check, compare};

pub(crate) use rows::{Batch, MovedRow, Rows};
#[cfg(feature = "postgres")]
pub(crate) use schema::EVENT_COLUMNS;
pub(crate) use schema::{Column, Event, Kind, SPECIAL, Table};
