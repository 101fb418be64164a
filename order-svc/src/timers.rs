//! What this service does at a later time: an order that no answer came for expires.
//!
//! The timer is set in the transaction that places the order and cancelled in the one that settles it; see
//! [`storage::place`] and [`storage::carry_out`].

use feed_core::{DecideError, DueTimer, HandlerError, Store, StoreError, Timers, Tx};

use crate::domain::{OrderCommand, OrderError, OrderId};
use crate::storage;

/// The runner, with a handler for each kind of timer.
pub(crate) fn timers(store: &Store) -> Timers {
    Timers::new(store).on(storage::EXPIRY, expire)
}

/// The order's time is over. One that was settled all the same stays as it is.
async fn expire(tx: &mut Tx<'_>, timer: &DueTimer) -> Result<(), HandlerError> {
    let order_id = OrderId::try_from(timer.key.clone())
        .map_err(|error| StoreError::Corrupt(format!("timer {}: {error}", timer.kind)))?;
    match storage::carry_out(tx, &order_id, &OrderCommand::Expire).await {
        Ok(_) => {
            tracing::info!(%order_id, due = %timer.due, "order expired");
            Ok(())
        }
        Err(DecideError::Refused(OrderError::Settled { status, .. })) => {
            tracing::warn!(%order_id, %status, "not expired: the order is settled");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
