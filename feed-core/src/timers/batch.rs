//! Firing a batch: each timer is taken away, and what its handler does and appends is kept, in one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handler::Fire;
use super::storage;
use super::timer::DueTimer;
use crate::consumer::{HandlerError, guarded};
use crate::error::StoreError;
use crate::event::EventId;
use crate::faults::{Point, at};
use crate::limits::BATCH_MS_MAX;
use crate::store::{Following, Store, Tx};

/// Timers that are due, with their handlers, in the order in which they fire.
pub(super) type Batch = Arc<[(DueTimer, Arc<dyn Fire>)]>;

/// Why a batch was rolled back.
pub(super) enum BatchError {
    /// The handler failed on the timer with this index; those before it are good.
    Handler { index: usize, source: HandlerError },
    /// The database failed, or the commit was refused.
    Store(StoreError),
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> Self {
        BatchError::Store(error)
    }
}

/// Fires the first timers of the batch, as many as fit into [`BATCH_MS_MAX`] and at most `limit`. Returns how many fired:
/// those are left out that somebody else has fired, moved or cancelled meanwhile.
pub(super) async fn fire(store: &Store, batch: Batch, limit: usize) -> Result<usize, BatchError> {
    store
        .write(async move |tx: &mut Tx<'_>| fire_in(tx, &batch, limit).await)
        .await
}

async fn fire_in(
    tx: &mut Tx<'_>,
    batch: &[(DueTimer, Arc<dyn Fire>)],
    limit: usize,
) -> Result<usize, BatchError> {
    let began = Instant::now();
    let mut fired = 0;
    for (index, (timer, handler)) in batch.iter().take(limit).enumerate() {
        if storage::take(tx, timer).await? {
            let firing = EventId::firing(&timer.kind, &timer.key, timer.setting, timer.due);
            let following = Following::timer(&timer.kind, firing, timer.origin.clone());
            tx.set_following(following);
            let waiting = tx.waiting();
            let done = guarded(&waiting, || handler.fire(tx, timer)).await;
            done.and_then(|()| tx.unfailed().map_err(HandlerError::from))
                .map_err(|source| BatchError::Handler { index, source })?;
            at(Point::TimerFired);
            fired += 1;
        }
        if began.elapsed() >= Duration::from_millis(BATCH_MS_MAX) {
            break;
        }
    }
    tx.set_following(Following::Nothing);
    Ok(fired)
}
