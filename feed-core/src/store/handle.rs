//! The handle to a store: opens it, runs work in its transactions, closes it.

use tokio::sync::watch;

use super::log::Log;
use super::migrations::Migrations;
use super::tx::Tx;
use super::value::{FromRow, OwnedValue, Value};
use crate::error::{InvalidValue, StoreError};
use crate::event::FeedName;
use crate::feed::{FeedConfig, FeedState};

/// A service's database: its own tables, its outbox and its subscriptions. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(super) backend: Backend,
}

#[derive(Clone)]
pub(super) enum Backend {
    #[cfg(feature = "sqlite")]
    Sqlite(std::sync::Arc<crate::sqlite::SqliteStore>),
    #[cfg(feature = "postgres")]
    Postgres(std::sync::Arc<crate::postgres::PostgresStore>),
}

/// The same call of whichever store it is.
macro_rules! on_store {
    ($backend:expr, $store:ident => $call:expr) => {
        match $backend {
            #[cfg(feature = "sqlite")]
            $crate::store::handle::Backend::Sqlite($store) => $call,
            #[cfg(feature = "postgres")]
            $crate::store::handle::Backend::Postgres($store) => $call,
        }
    };
}
pub(super) use on_store;

impl Store {
    /// Opens the database at `url` and brings its schema up to date. The URL is a file path or `sqlite:PATH`, which is created
    /// if it is not there; or `postgres://…`, with libpq's parameters and those that docs/operations.md names.
    ///
    /// On PostgreSQL, the process also gives positions to what is committed, by this or any other one. A standby is opened
    /// for reading: its schema has to be up to date already.
    ///
    /// # Errors
    /// When the address or the database is not usable, or the schema is newer than this program.
    pub async fn open(url: &str, migrations: Migrations) -> Result<Self, StoreError> {
        Store::at(url, Some(migrations)).await
    }

    /// Opens a service's database that is there, as a program beside the service does: it creates nothing, and leaves the
    /// schema as it is.
    ///
    /// # Errors
    /// When the address or the file is not usable, there is none, it is not a service's, or its schema is newer or older
    /// than this program's.
    pub async fn open_existing(url: &str) -> Result<Self, StoreError> {
        Store::at(url, None).await
    }

    async fn at(url: &str, migrations: Option<Migrations>) -> Result<Self, StoreError> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            return Store::at_postgres(url, migrations).await;
        }
        Store::at_sqlite(sqlite_path(url)?, migrations).await
    }

    #[cfg(feature = "sqlite")]
    async fn at_sqlite(path: &str, migrations: Option<Migrations>) -> Result<Self, StoreError> {
        let store = crate::sqlite::SqliteStore::open(path.into(), migrations).await?;
        Ok(Store {
            backend: Backend::Sqlite(std::sync::Arc::new(store)),
        })
    }

    #[cfg(not(feature = "sqlite"))]
    async fn at_sqlite(path: &str, _: Option<Migrations>) -> Result<Self, StoreError> {
        Err(StoreError::Address(format!(
            "{path} (this build has no SQLite store)"
        )))
    }

    #[cfg(feature = "postgres")]
    async fn at_postgres(url: &str, migrations: Option<Migrations>) -> Result<Self, StoreError> {
        let store = crate::postgres::PostgresStore::open(url, migrations).await?;
        Ok(Store {
            backend: Backend::Postgres(std::sync::Arc::new(store)),
        })
    }

    #[cfg(not(feature = "postgres"))]
    async fn at_postgres(url: &str, _: Option<Migrations>) -> Result<Self, StoreError> {
        Err(StoreError::Address(format!(
            "{} (this build has no PostgreSQL store)",
            without_password(url)
        )))
    }

    /// Runs `work` in a transaction and commits what it did if it returns `Ok`.
    ///
    /// `work` may be run again from the start, when the commit it shared with others failed, or what one of them did had to
    /// be undone. It must wait for nothing but the transaction. When the caller goes away, the work may still be committed.
    ///
    /// # Errors
    /// What `work` returned, or why it could not be run or committed; nothing of it was done then.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        on_store!(&self.backend, store => store.write(work).await)
    }

    /// Runs `work` in a transaction that only reads, beside the writer and without blocking it.
    ///
    /// # Errors
    /// What `work` returned, or why it could not be run; on SQLite its SQL is interrupted after
    /// [`READ_MS_MAX`](crate::limits::READ_MS_MAX) ([`StoreError::TimeLimit`]).
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        on_store!(&self.backend, store => store.read(work).await)
    }

    /// All rows of a query, read beside the writer.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn query<T: FromRow + Send + 'static>(
        &self,
        sql: &'static str,
        parameters: &[Value<'_>],
    ) -> Result<Vec<T>, StoreError> {
        let parameters: Vec<OwnedValue> = parameters.iter().map(OwnedValue::from).collect();
        self.read(async move |tx: &mut Tx<'_>| {
            let parameters: Vec<Value<'_>> = parameters.iter().map(OwnedValue::borrow).collect();
            tx.query(sql, &parameters).await
        })
        .await
    }

    /// Creates the feed, or finds it as it was created.
    ///
    /// # Errors
    /// [`StoreError::FeedDiffers`] when it exists with another capacity, event size or visibility.
    pub async fn create_feed(&self, config: FeedConfig) -> Result<FeedState, StoreError> {
        on_store!(&self.backend, store => store.create_feed(config).await)
    }

    /// The names of the feeds in this database, in alphabetical order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn feeds(&self) -> Result<Vec<FeedName>, StoreError> {
        let rows = self
            .query::<(String,)>("SELECT name FROM feeds ORDER BY name", &[])
            .await?;
        rows.into_iter()
            .map(|(name,)| {
                FeedName::new(name).map_err(|error| StoreError::Corrupt(error.to_string()))
            })
            .collect()
    }

    /// The log of `feed`. Whether it exists is found out by reading.
    ///
    /// # Errors
    /// When the name is not a valid one.
    pub fn log(&self, feed: &str) -> Result<Log, InvalidValue> {
        Ok(Log {
            feed: FeedName::new(feed)?,
            store: self.clone(),
        })
    }

    /// Changes when an append or a timer was committed: by this process at once, by another one within
    /// [`WATCH_INTERVAL_MS`](crate::limits::WATCH_INTERVAL_MS). May change without one.
    pub fn commits(&self) -> watch::Receiver<u64> {
        on_store!(&self.backend, store => store.commits())
    }

    /// Gives all events their positions that were committed until now: what was appended before is read after. Only on
    /// PostgreSQL, where they come a moment after the commit, is there anything to do.
    ///
    /// # Errors
    /// When the database fails, or is a standby.
    pub async fn sequenced(&self) -> Result<(), StoreError> {
        on_store!(&self.backend, store => store.sequenced().await)
    }

    /// Opens a new epoch of `feed` behind its head: after a database was put back to an earlier state, so that readers who
    /// have seen what is lost by that are told, and no cache takes new pages for old ones. `reason` is kept for people.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeed`], or when the database fails or only reads.
    pub async fn open_epoch(&self, feed: &FeedName, reason: &str) -> Result<FeedState, StoreError> {
        on_store!(&self.backend, store => store.open_epoch(feed.clone(), reason.to_owned()).await)
    }

    /// Finishes what was accepted, then closes the database. Work that is given afterwards is refused.
    pub async fn close(&self) {
        on_store!(&self.backend, store => store.close().await)
    }
}

/// The path in an address of SQLite.
pub(crate) fn sqlite_path(url: &str) -> Result<&str, StoreError> {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains(":memory:") || path.contains("://") {
        return Err(StoreError::Address(without_password(url)));
    }
    Ok(path)
}

/// A database's address for logs and error messages: without user, password and parameters.
///
/// ```
/// # use feed_core::without_password;
/// let shown = without_password("postgres://anna:secret@db.example/orders?sslmode=require");
/// assert_eq!(shown, "postgres://…@db.example/orders");
/// assert_eq!(without_password("order.db"), "order.db");
/// ```
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // A password may have any character, so it goes up to the last one that may end it.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("…@", rest),
        None => ("", rest),
    };
    let shown = rest.split_once('?').map_or(rest, |(shown, _)| shown);
    format!("{scheme}://{user}{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_password_is_shown_wherever_it_stands() {
        for url in [
            "postgres://anna:secret@host/shop",
            "postgres://anna:se@secret?cret@host/shop?sslmode=require",
            "postgres://host/shop?user=anna&password=secret",
        ] {
            let shown = without_password(url);
            assert!(!shown.contains("secret"), "{shown}");
        }
        let several = "postgres://anna:secret@one,two:5433/shop";
        assert_eq!(without_password(several), "postgres://…@one,two:5433/shop");
    }
}
