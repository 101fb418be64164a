//! Where the services of a test keep what they know, and how the test looks at it.

use std::path::Path;

use feed_core::{FromRow, Store};
use feedway_tests::postgres::{Database, connect};
use rusqlite::Connection;

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each suite has its usual one")]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// The store of each service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stores {
    pub(crate) order: On,
    pub(crate) customer: On,
}

/// The databases of both services, as the services take them.
pub(crate) struct Databases {
    pub(crate) order: String,
    pub(crate) customer: String,
    _on_postgres: Vec<Database>,
}

impl Databases {
    /// Empty ones: files in `folder`, or databases of the cluster that all tests share. Where PostgreSQL is missing, that
    /// is said, and they are files.
    pub(crate) async fn make(stores: Stores, folder: &Path) -> Self {
        let mut on_postgres = Vec::new();
        let mut address = async |on: On, name: &str| {
            if on == On::Postgres
                && let Some(database) = Database::for_test(name).await.unwrap()
            {
                let url = database.url().to_owned();
                on_postgres.push(database);
                return url;
            }
            folder
                .join(format!("{name}.db"))
                .to_string_lossy()
                .into_owned()
        };
        Databases {
            order: address(stores.order, "orders").await,
            customer: address(stores.customer, "customers").await,
            _on_postgres: on_postgres,
        }
    }
}

/// The rows of a query, beside the service.
pub(crate) async fn rows<T: FromRow + Send + 'static>(database: &str, sql: &'static str) -> Vec<T> {
    let store = Store::open_existing(database).await.unwrap();
    let rows = store.query(sql, &[]).await.unwrap();
    store.close().await;
    rows
}

/// The number that a query gives.
pub(crate) async fn number(database: &str, sql: &'static str) -> i64 {
    rows::<(i64,)>(database, sql).await[0].0
}

/// Runs statements beside the service, each in the words of its store.
pub(crate) async fn run(database: &str, sqlite: &str, postgres: &str) {
    if database.starts_with("postgres://") {
        let client = connect(database).await.unwrap();
        client.batch_execute(postgres).await.unwrap();
    } else {
        let conn = Connection::open(database).unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(30))
            .unwrap();
        conn.execute_batch(sqlite).unwrap();
    }
}
