//! A database as a source, as a target, or to be looked at.

use super::{MovedRow, Rows, Table};
use crate::error::StoreError;

/// Which kind of store an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    pub(super) fn of(url: &str) -> Self {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Store::Postgres
        } else {
            Store::Sqlite
        }
    }
}

/// A database with a transaction that is open all the time, and rolled back unless it is committed.
pub(super) enum Side {
    #[cfg(feature = "sqlite")]
    Sqlite(crate::sqlite::SqliteSide),
    #[cfg(feature = "postgres")]
    Postgres(Box<crate::postgres::PostgresSide>),
}

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// To be looked at as of now, beside others.
    Looker,
    /// To be read while nobody writes.
    Source,
    /// To be filled while nobody else writes.
    Target,
}

/// The same call of whichever store it is.
macro_rules! on_side {
    ($side:expr, $name:ident => $call:expr) => {
        match $side {
            #[cfg(feature = "sqlite")]
            Side::Sqlite($name) => $call,
            #[cfg(feature = "postgres")]
            Side::Postgres($name) => $call,
        }
    };
}

impl Side {
    pub(super) async fn open(url: &str, role: As) -> Result<Self, StoreError> {
        match Store::of(url) {
            #[cfg(feature = "sqlite")]
            Store::Sqlite => {
                let path = crate::store::sqlite_path(url)?;
                let side = crate::sqlite::SqliteSide::open(path, role != As::Looker).await?;
                Ok(Side::Sqlite(side))
            }
            #[cfg(feature = "postgres")]
            Store::Postgres => {
                use crate::postgres::PostgresSide;
                let side = match role {
                    As::Looker => PostgresSide::open(url).await?,
                    As::Source => PostgresSide::open_source(url).await?,
                    As::Target => PostgresSide::open_target(url).await?,
                };
                Ok(Side::Postgres(Box::new(side)))
            }
            #[allow(unreachable_patterns, reason = "a build with both stores")]
            _ => Err(StoreError::Address(
                "this build has no such store".to_owned(),
            )),
        }
    }

    /// Who holds a subscription now, and which.
    pub(super) async fn holder(&self) -> Result<Option<String>, StoreError> {
        on_side!(self, side => side.holder().await)
    }

    /// All tables but those of the events and of the migrations.
    pub(super) async fn tables(&self) -> Result<Vec<Table>, StoreError> {
        on_side!(self, side => side.tables().await)
    }

    /// A trigger of a table, if there is one.
    pub(super) async fn trigger(&self) -> Result<Option<String>, StoreError> {
        on_side!(self, side => side.trigger().await)
    }

    /// How many rows a table has.
    pub(super) async fn count(&self, table: &str) -> Result<u64, StoreError> {
        on_side!(self, side => side.count(table).await)
    }

    /// The rows of a table, by its key in the order of bytes.
    pub(super) async fn rows(&self, table: &Table) -> Result<Rows, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Side::Sqlite(side) => Ok(side.rows(table)),
            #[cfg(feature = "postgres")]
            Side::Postgres(side) => side.rows(table).await,
        }
    }

    /// All events, by feed and position.
    pub(super) async fn events(&self) -> Result<Rows, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Side::Sqlite(side) => Ok(side.events()),
            #[cfg(feature = "postgres")]
            Side::Postgres(side) => side.events().await,
        }
    }

    /// Subject, version, feed and position of all events, by subject and version.
    pub(super) async fn versions(&self) -> Result<Rows, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Side::Sqlite(side) => Ok(side.versions()),
            #[cfg(feature = "postgres")]
            Side::Postgres(side) => side.versions().await,
        }
    }

    /// Events without a place.
    pub(super) async fn unplaced(&self) -> Result<u64, StoreError> {
        on_side!(self, side => side.unplaced().await)
    }

    /// What the database itself has to complain of.
    pub(super) async fn complaints(&self) -> Result<Vec<String>, StoreError> {
        on_side!(self, side => side.complaints().await)
    }

    pub(super) async fn delete_all(&self, table: &str) -> Result<(), StoreError> {
        on_side!(self, side => side.delete_all(table).await)
    }

    pub(super) async fn insert(
        &mut self,
        table: &Table,
        rows: Vec<MovedRow>,
    ) -> Result<(), StoreError> {
        on_side!(self, side => side.insert(table, rows).await)
    }

    pub(super) async fn insert_events(&mut self, rows: Vec<MovedRow>) -> Result<(), StoreError> {
        on_side!(self, side => side.insert_events(rows).await)
    }

    /// Keeps what was written.
    pub(super) async fn commit(&self) -> Result<(), StoreError> {
        on_side!(self, side => side.commit().await)
    }
}
