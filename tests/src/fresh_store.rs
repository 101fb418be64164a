//! A store for one test, on whichever database: the same cases run on each.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

use feed_core::testing::TempStore;
use feed_core::{Migrations, Store};
use tokio::sync::OnceCell;

use crate::failure::{Context, Failure};
use crate::postgres::{Database, connect};

/// A new store with tables of its own, which goes when this is dropped.
pub struct FreshStore {
    store: Store,
    url: String,
    _place: Place,
}

enum Place {
    File {
        _store: TempStore,
    },
    /// It goes with the database, and that with the process.
    Schema,
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

    /// A schema of a database that all of these share in this process: a tenth of the work that a database is. Where PostgreSQL is missing, that is said, and the test is left
    /// to SQLite.
    ///
    /// # Errors
    /// When PostgreSQL is there and gives none.
    ///
    /// # Panics
    /// When nothing may be skipped ([`REQUIRE_TOOLS`](crate::tools::REQUIRE_TOOLS) is set).
    pub async fn postgres(migrations: Migrations) -> Result<Self, Failure> {
        let Some(url) = schema().await? else {
            return Ok(FreshStore::sqlite(migrations).await);
        };
        Ok(FreshStore {
            store: Store::open(&url, migrations).await.context(&url)?,
            url,
            _place: Place::Schema,
        })
    }

    /// Where it is, for a further process.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The URL of a new schema; none where PostgreSQL is missing.
async fn schema() -> Result<Option<String>, Failure> {
    static SHARED: OnceCell<Option<Database>> = OnceCell::const_new();
    static MADE: AtomicU32 = AtomicU32::new(0);
    let shared = SHARED.get_or_try_init(|| Database::for_test("fresh"));
    let Some(database) = shared.await? else {
        return Ok(None);
    };
    let name = format!("fresh_{}", MADE.fetch_add(1, Ordering::Relaxed));
    let client = connect(database.url()).await?;
    let create = format!("CREATE SCHEMA {name}");
    client.batch_execute(&create).await.context(create)?;
    Ok(Some(format!(
        "{}?options=-c%20search_path%3D{name}",
        database.url()
    )))
}

impl Deref for FreshStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}
