//! The sweeper: orders that no answer came for in time expire, and old idempotency keys are deleted.

use std::time::Duration;

use chrono::TimeDelta;
use feed_core::{DecideError, Store, Tx};
use tokio_util::sync::CancellationToken;

use crate::domain::{OrderCommand, OrderError};
use crate::storage;

/// Time between two sweeps that found little to do, in milliseconds.
const SWEEP_INTERVAL_MS: u64 = 1_000;
/// Orders that one transaction lets expire at most: it holds up other writers.
const EXPIRED_PER_SWEEP_MAX: u32 = 50;
/// Idempotency keys that one transaction deletes at most.
const KEYS_PER_SWEEP_MAX: u32 = 500;
/// How long an idempotency key is kept at least, in hours.
const KEY_AGE_HOURS_MIN: i64 = 24;

/// What one sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Orders that expired.
    pub(crate) orders: u32,
    /// Idempotency keys that were deleted.
    pub(crate) keys: u64,
    /// A batch was full: there may be more.
    pub(crate) more: bool,
}

/// Sweeps until `stop`.
pub(crate) async fn run(store: Store, order_expiry: Duration, stop: CancellationToken) {
    loop {
        let more = match step(&store, order_expiry).await {
            Ok(swept) => {
                if swept.orders > 0 {
                    tracing::info!(orders = swept.orders, "orders expired");
                }
                swept.more
            }
            Err(error) => {
                tracing::error!(%error, "the sweep failed and will be tried again");
                false
            }
        };
        let wait = if more { 0 } else { SWEEP_INTERVAL_MS };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
        }
    }
}

/// One sweep, in one transaction of bounded size.
///
/// # Errors
/// When the store fails; nothing was changed then.
pub(crate) async fn step(
    store: &Store,
    order_expiry: Duration,
) -> Result<Swept, DecideError<OrderError>> {
    // Longer than any clock counts means never.
    let order_expiry = TimeDelta::from_std(order_expiry).unwrap_or(TimeDelta::MAX);
    store
        .write_retrying(async move |tx: &mut Tx<'_>| sweep(tx, order_expiry).await)
        .await
}

async fn sweep(tx: &mut Tx<'_>, order_expiry: TimeDelta) -> Result<Swept, DecideError<OrderError>> {
    let mut swept = Swept {
        orders: 0,
        keys: 0,
        more: false,
    };
    if let Some(created_until) = tx.now().checked_sub_signed(order_expiry) {
        let overdue = storage::orders_overdue(tx, created_until, EXPIRED_PER_SWEEP_MAX).await?;
        swept.more = overdue.len() == EXPIRED_PER_SWEEP_MAX as usize;
        let expire = OrderCommand::Expire { created_until };
        for order_id in overdue {
            match storage::carry_out(tx, &order_id, &expire).await {
                Ok(_) => swept.orders += 1,
                // Answered meanwhile, on a store with several writers.
                Err(DecideError::Refused(OrderError::Settled { .. })) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let keys_before = tx.now() - TimeDelta::hours(KEY_AGE_HOURS_MIN);
    swept.keys = storage::delete_keys(tx, keys_before, KEYS_PER_SWEEP_MAX).await?;
    swept.more |= swept.keys == u64::from(KEYS_PER_SWEEP_MAX);
    Ok(swept)
}
