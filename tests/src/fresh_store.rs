//! A store for one test, on whichever database: the same cases run on each.

use std::ops::Deref;

use feed_core::testing::TempStore;
use feed_core::{Migrations, Store};

use crate::failure::{Context, Failure};
use crate::postgres::Database;

/// A new store with tables of its own, which goes when this is dropped.
pub struct FreshStore {
    store: Store,
    url: String,
    _place: Place,
}

enum Place {
    File { _store: TempStore },
    Database { _database: Database },
}

impl FreshStore {
    /// A file of SQLite.
    pub async fn sqlite(migrations: Migrations) -> Self {
        let file = TempStore::new(migrations).await;
        FreshStore {
            store: Store::clone(&file),
            url: file.path().to_string_lossy().into_owned(),
            _place: Place::File { _store: file },
        }
    }

    /// A database of the cluster that this process shares. Where PostgreSQL is missing, that is said, and the test is left
    /// to SQLite.
    ///
    /// # Errors
    /// When PostgreSQL is there and gives none.
    ///
    /// # Panics
    /// When nothing may be skipped ([`REQUIRE_TOOLS`](crate::tools::REQUIRE_TOOLS) is set).
    pub async fn postgres(migrations: Migrations) -> Result<Self, Failure> {
        let Some(database) = Database::for_test("fresh").await? else {
            return Ok(FreshStore::sqlite(migrations).await);
        };
        let url = database.url().to_owned();
        Ok(FreshStore {
            store: Store::open(&url, migrations).await.context(&url)?,
            url,
            _place: Place::Database {
                _database: database,
            },
        })
    }

    /// Where it is, for a further process.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Deref for FreshStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}
