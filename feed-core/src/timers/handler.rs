//! Handlers of timers, with their types erased, and called so that whatever they do is an answer.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Poll;

use futures_util::FutureExt;

use super::timer::DueTimer;
use crate::consumer::HandlerError;
use crate::error::StoreError;
use crate::store::Tx;

type Firing<'a> = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + 'a>>;

/// A handler with its type erased.
pub(super) trait Fire: Send + Sync {
    fn fire<'a>(&'a self, tx: &'a mut Tx<'_>, timer: &'a DueTimer) -> Firing<'a>;
}

impl<H> Fire for H
where
    H: AsyncFn(&mut Tx<'_>, &DueTimer) -> Result<(), HandlerError> + Send + Sync,
{
    fn fire<'a>(&'a self, tx: &'a mut Tx<'_>, timer: &'a DueTimer) -> Firing<'a> {
        Box::pin(self(tx, timer))
    }
}

/// Calls the handler. One that panics, awaits what is not the transaction, or goes on after a statement that failed, has
/// failed for good on this timer; only here is it known which one that was.
pub(super) async fn call(
    handler: &dyn Fire,
    tx: &mut Tx<'_>,
    timer: &DueTimer,
) -> Result<(), HandlerError> {
    let may_wait = tx.may_wait();
    let mut firing = AssertUnwindSafe(handler.fire(tx, timer)).catch_unwind();
    let fired = poll_fn(|context| match firing.poll_unpin(context) {
        Poll::Pending if !may_wait => Poll::Ready(Ok(Err(StoreError::ForeignAwait.into()))),
        polled => polled,
    })
    .await;
    drop(firing);
    fired.unwrap_or_else(|panic| Err(StoreError::panicked(&*panic).into()))?;
    if tx.has_failed() {
        return Err(StoreError::FailedStatement.into());
    }
    Ok(())
}
