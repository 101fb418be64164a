//! `customer-svc migrate`: the database's schema, and nothing else.

use feed_core::{Store, StoreError};

use crate::storage;

/// Why the schema is not up to date.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct MigrateError(#[from] StoreError);

/// Creates the tables or changes them as this version needs them. No feed is made and nothing is followed.
///
/// # Errors
/// When the database cannot be used, or is of a newer version.
pub(crate) async fn run(database: &str) -> Result<(), MigrateError> {
    let store = Store::open(database, storage::MIGRATIONS).await?;
    store.close().await;
    tracing::info!("the schema is up to date");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_makes_the_tables_and_no_feed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.db");
        let path = path.to_str().unwrap();
        for _ in 0..2 {
            run(path).await.unwrap();
        }
        let store = Store::open_existing(path).await.unwrap();
        assert!(store.feeds().await.unwrap().is_empty());
        store
            .query::<(i64,)>("SELECT count(*) FROM customers", &[])
            .await
            .unwrap();
        store.close().await;
    }
}
