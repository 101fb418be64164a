//! Handlers of timers, with their types erased.

use super::timer::DueTimer;
use crate::consumer::{Applying, HandlerError};
use crate::store::Tx;

/// A handler with its type erased.
pub(super) trait Fire: Send + Sync {
    fn fire<'a>(&'a self, tx: &'a mut Tx<'_>, timer: &'a DueTimer) -> Applying<'a>;
}

impl<H> Fire for H
where
    H: AsyncFn(&mut Tx<'_>, &DueTimer) -> Result<(), HandlerError> + Send + Sync,
{
    fn fire<'a>(&'a self, tx: &'a mut Tx<'_>, timer: &'a DueTimer) -> Applying<'a> {
        Box::pin(self(tx, timer))
    }
}
