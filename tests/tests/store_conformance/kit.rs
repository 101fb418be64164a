//! A store under test, whichever it is.

use std::ops::Deref;
use std::sync::Arc;

use feed_core::{FeedConfig, Migrations, NewEvent, Store, StoreError, Subject, Tx};
use feedway_tests::postgres::{Database, connect};

/// The service's own table, so that its SQL and its events share a transaction.
pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "conformance",
    sqlite: &[(
        "V1__notes",
        "CREATE TABLE notes (note TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT",
    )],
    postgres: &[(
        "V1__notes",
        "CREATE TABLE notes (note TEXT PRIMARY KEY, number BIGINT NOT NULL)",
    )],
};

/// Where a store is. It goes when this is dropped.
#[allow(dead_code, reason = "each store is one of them")]
pub(crate) enum Place {
    File(tempfile::TempDir),
    Database(Database),
}

/// A store with the feeds `first` and `second`, pages of three events. What was written by [`write`](Tested::write) is in
/// its feed afterwards, on every store.
pub(crate) struct Tested {
    store: Store,
    url: String,
    place: Place,
}

impl Tested {
    pub(crate) async fn open(url: String, place: Place) -> Arc<Self> {
        let store = Store::open(&url, MIGRATIONS).await.unwrap();
        for name in ["first", "second"] {
            let config = FeedConfig::new(name, "conformance").unwrap();
            let config = config.page_capacity(3).unwrap();
            let config = config.event_bytes_max(1_000).unwrap();
            store.create_feed(config).await.unwrap();
        }
        Arc::new(Tested { store, url, place })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let written = self.store.write(work).await;
        match self.store.sequenced().await {
            Ok(()) | Err(StoreError::Closed) => written,
            Err(error) => panic!("not sequenced: {error}"),
        }
    }

    /// Runs a statement beside the store.
    pub(crate) async fn run(&self, sql: &str) {
        match &self.place {
            Place::File(_) => rusqlite::Connection::open(&self.url)
                .unwrap()
                .execute_batch(sql)
                .unwrap(),
            Place::Database(_) => connect(&self.url)
                .await
                .unwrap()
                .batch_execute(sql)
                .await
                .unwrap(),
        }
    }

    /// The URL of a backup as of now.
    pub(crate) async fn copied(&self) -> String {
        let copy = format!("{}_copy", self.url);
        match &self.place {
            Place::File(_) => {
                let conn = rusqlite::Connection::open(&self.url).unwrap();
                conn.execute("VACUUM INTO ?1", [&copy]).unwrap();
            }
            Place::Database(database) => {
                let cluster = feedway_tests::postgres::shared().await.unwrap();
                let file = tempfile::NamedTempFile::new().unwrap();
                let name = format!("{}_copy", database.name());
                cluster.dump(database.name(), file.path()).await.unwrap();
                cluster.restore(file.path(), &name).await.unwrap();
            }
        }
        copy
    }
}

impl Deref for Tested {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub(crate) fn event(number: u32) -> NewEvent {
    NewEvent::json("Happened", &number).unwrap()
}

pub(crate) async fn note(tx: &mut Tx<'_>, note: &str) -> Result<u64, StoreError> {
    tx.execute(
        "INSERT INTO notes (note, number) VALUES ($1, $2)",
        &[note.into(), 1_i64.into()],
    )
    .await
}

pub(crate) async fn notes(store: &Store) -> Vec<String> {
    let rows = store
        .query::<(String,)>("SELECT note FROM notes ORDER BY note", &[])
        .await
        .unwrap();
    rows.into_iter().map(|(note,)| note).collect()
}
