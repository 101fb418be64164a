//! Planted bugs of the consumer's transaction: see [`Bug`].

use super::apply::{Applied, Batch, BatchError};
use super::lease::Lease;
use super::partition::Part;
use super::storage::{self, Advance};
use crate::error::StoreError;
use crate::faults::{Bug, Point, at, planted};
use crate::store::{Store, Tx};

impl Batch {
    /// Applies the batch in two transactions, if that is planted: one for the cursor, one for the effects.
    pub(super) async fn apply_torn(
        &self,
        store: &Store,
        limit: usize,
    ) -> Option<Result<Applied, BatchError>> {
        if planted(Bug::CursorBeforeEffects) {
            let moved = self.clone().move_cursor(store, limit).await;
            return Some(match moved {
                Ok(applied) => {
                    at(Point::CursorMoved);
                    self.clone().effects(store, limit).await.map(|()| applied)
                }
                error => error,
            });
        }
        if planted(Bug::EffectsBeforeCursor) {
            return Some(match self.clone().effects(store, limit).await {
                Ok(()) => {
                    at(Point::Handled);
                    self.clone().move_cursor(store, limit).await
                }
                Err(error) => Err(error),
            });
        }
        None
    }

    async fn effects(self, store: &Store, limit: usize) -> Result<(), BatchError> {
        store
            .write(async move |tx: &mut Tx<'_>| self.apply_all(tx, limit).await)
            .await
    }

    async fn move_cursor(self, store: &Store, limit: usize) -> Result<Applied, BatchError> {
        store
            .write(async move |tx: &mut Tx<'_>| self.pass_all(tx, limit).await)
            .await
    }
}

/// With what the row is compared: what is true, or what a planted bug takes for it.
pub(super) async fn forged(
    tx: &mut Tx<'_>,
    part: &Part,
    held: &Lease,
    advance: &Advance,
) -> Result<(Lease, Advance), StoreError> {
    let (mut held, mut advance) = (*held, advance.clone());
    if (planted(Bug::NoFence) || planted(Bug::StaleCursorOnTakeOver))
        && let Some(stored) = storage::find(tx, part).await?
    {
        advance.from = stored.subscription.cursor;
        if planted(Bug::NoFence) {
            held.fence = stored.subscription.fence;
            if let Some(lease) = stored.lease {
                held.holder = lease.holder;
            }
        }
    }
    Ok((held, advance))
}
