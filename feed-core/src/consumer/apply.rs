//! Applying a batch: handlers, follow-up events and cursor in one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handler::{HandlerError, Handlers};
use super::subscription;
use crate::error::StoreError;
use crate::event::{Event, SubscriptionName};
use crate::limits::BATCH_MS_MAX;
use crate::position::Cursor;
use crate::store::{Cause, Store, Tx};

/// Events that follow on from `from`, to be applied by one transaction.
#[derive(Clone)]
pub(super) struct Batch {
    pub(super) subscription: SubscriptionName,
    pub(super) from: Option<Cursor>,
    pub(super) events: Arc<[Event]>,
    pub(super) handlers: Arc<Handlers>,
}

/// What became of a batch.
pub(super) struct Applied {
    /// The events that were applied or passed over: the first ones of the batch.
    pub(super) events: usize,
    /// Those of them that no handler is for.
    pub(super) unhandled: usize,
    /// Where the subscription stands now.
    pub(super) cursor: Cursor,
}

/// Why a batch was rolled back.
pub(super) enum BatchError {
    /// The handler failed on the event with this index; those before it are good.
    Handler { index: usize, source: HandlerError },
    /// Another instance has moved the cursor.
    Superseded,
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> Self {
        BatchError::Store(error)
    }
}

impl Batch {
    /// Applies the first events of the batch, as many as fit into [`BATCH_MS_MAX`], at least one and at most `limit`.
    pub(super) async fn apply(self, store: &Store, limit: usize) -> Result<Applied, BatchError> {
        store
            .write(async move |tx: &mut Tx<'_>| self.apply_in(tx, limit).await)
            .await
    }

    async fn apply_in(&self, tx: &mut Tx<'_>, limit: usize) -> Result<Applied, BatchError> {
        // Looked at first, so that the handlers do not work for nothing; `advance` below is what decides.
        if subscription::cursor(tx, &self.subscription).await? != self.from {
            return Err(BatchError::Superseded);
        }
        let began = Instant::now();
        let (mut events, mut unhandled) = (0_usize, 0_usize);
        for (index, event) in self.events.iter().take(limit).enumerate() {
            tx.set_cause(Some(Cause::new(self.subscription.as_str(), event)));
            let handled = self.handlers.apply(tx, event).await;
            let handled = handled.map_err(|source| BatchError::Handler { index, source })?;
            events += 1;
            unhandled += usize::from(!handled);
            if began.elapsed() >= Duration::from_millis(BATCH_MS_MAX) {
                break;
            }
        }
        tx.set_cause(None);
        let Some(last) = events.checked_sub(1).and_then(|last| self.events.get(last)) else {
            return Err(StoreError::Statement("a batch without events was applied".into()).into());
        };
        let cursor = last.cursor();
        if !subscription::advance(tx, &self.subscription, self.from, cursor, events as i64).await? {
            return Err(BatchError::Superseded);
        }
        Ok(Applied {
            events,
            unhandled,
            cursor,
        })
    }
}
