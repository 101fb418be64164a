//! Housekeeping: old idempotency keys are deleted, and what a rebuild has replaced.

use std::time::Duration;

use chrono::TimeDelta;
use feed_core::{Store, StoreError, Tx};
use tokio_util::sync::CancellationToken;

use crate::storage;

/// Time between two rounds that found little to do, in milliseconds.
const ROUND_INTERVAL_MS: u64 = 1_000;
/// Idempotency keys that one transaction deletes at most: it holds up other writers.
const KEYS_PER_ROUND_MAX: u32 = 500;
/// Customers of old generations that one transaction deletes at most.
const CUSTOMERS_PER_ROUND_MAX: u32 = 500;
/// How long an idempotency key is kept at least, in hours.
const KEY_AGE_HOURS_MIN: i64 = 24;

/// What one round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// So many rows were deleted, and there may be more.
    Full(u64),
    /// So many were deleted, and there are no more that are old.
    Done(u64),
}

/// Keeps house until `stop`.
pub(crate) async fn run(store: Store, stop: CancellationToken) {
    loop {
        let wait = match step(&store).await {
            Ok(Round::Full(_)) => 0,
            Ok(Round::Done(_)) => ROUND_INTERVAL_MS,
            Err(error) => {
                tracing::error!(%error, "what is old could not be deleted, trying again");
                ROUND_INTERVAL_MS
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
        }
    }
}

/// One round, in one transaction of bounded size.
///
/// # Errors
/// When the store fails; nothing was changed then.
pub(crate) async fn step(store: &Store) -> Result<Round, StoreError> {
    let (keys, customers) = store
        .write(async |tx: &mut Tx<'_>| {
            let created_before = tx.now() - TimeDelta::hours(KEY_AGE_HOURS_MIN);
            let keys = storage::delete_keys(tx, created_before, KEYS_PER_ROUND_MAX).await?;
            let customers = storage::delete_old_customers(tx, CUSTOMERS_PER_ROUND_MAX).await?;
            Ok::<_, StoreError>((keys, customers))
        })
        .await?;
    let full =
        keys == u64::from(KEYS_PER_ROUND_MAX) || customers == u64::from(CUSTOMERS_PER_ROUND_MAX);
    let deleted = keys + customers;
    Ok(if full {
        Round::Full(deleted)
    } else {
        Round::Done(deleted)
    })
}

#[cfg(test)]
mod tests;
