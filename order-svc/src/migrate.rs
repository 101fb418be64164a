//! `order-svc migrate`: the database's schema, and nothing else.

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
