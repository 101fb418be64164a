//! Running a handler so that whatever it does is an answer.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use futures_util::FutureExt;

use super::handler_error::HandlerError;
use crate::error::StoreError;
use crate::store::Waiting;

/// A handler at work.
pub(crate) type Applying<'a> = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + 'a>>;

/// Runs a handler of a transaction that may be [pending](crate::Tx::waiting) for this. One that panics, or awaits what is
/// not the transaction, has failed for good; only here is it known on what. Whether a statement of it failed is asked of
/// the transaction afterwards ([`unfailed`](crate::Tx::unfailed)).
pub(crate) async fn guarded<'t>(
    waiting: &Waiting,
    run: impl FnOnce() -> Applying<'t>,
) -> Result<(), HandlerError> {
    let begun = catch_unwind(AssertUnwindSafe(run));
    let applying = begun.map_err(|panic| StoreError::panicked(&*panic))?;
    let mut applying = AssertUnwindSafe(applying).catch_unwind();
    let done = poll_fn(|context| match applying.poll_unpin(context) {
        Poll::Pending if !waiting.is_for_a_statement() => {
            Poll::Ready(Ok(Err(StoreError::ForeignAwait.into())))
        }
        polled => polled,
    });
    done.await
        .unwrap_or_else(|panic| Err(StoreError::panicked(&*panic).into()))
}
