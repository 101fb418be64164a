//! What the machine can do at most: the peers of nothing, measured in the same run.

mod files;
mod handler;
mod rows;

pub(crate) use self::files::Nginx;
pub(crate) use self::handler::{Axum, BareOptions, bare};
pub(crate) use self::rows::{Disk, INSERT_ROW, ROWS_TABLE, Rusqlite};
