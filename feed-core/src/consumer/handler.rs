//! Handlers: what a service does with the events of a feed that it follows.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Poll;

use futures_util::FutureExt;

use crate::aggregate::DecideError;
use crate::error::{AppendError, InvalidValue, StoreError};
use crate::event::{DecodeError, Event};
use crate::store::Tx;

/// An event that could not be applied; nothing of what its handler did is kept.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The same may succeed later: the event is tried again.
    #[error("{0}")]
    Transient(String),
    /// Trying again does not help: somebody has to look at it.
    #[error("{0}")]
    Permanent(String),
}

impl HandlerError {
    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, HandlerError::Transient(_))
    }

    fn new(transient: bool, error: &dyn std::error::Error) -> Self {
        if transient {
            HandlerError::Transient(error.to_string())
        } else {
            HandlerError::Permanent(error.to_string())
        }
    }
}

impl From<StoreError> for HandlerError {
    fn from(error: StoreError) -> Self {
        HandlerError::new(error.is_transient(), &error)
    }
}

impl From<AppendError> for HandlerError {
    fn from(error: AppendError) -> Self {
        HandlerError::new(error.is_transient(), &error)
    }
}

impl From<DecodeError> for HandlerError {
    fn from(error: DecodeError) -> Self {
        HandlerError::new(false, &error)
    }
}

impl From<InvalidValue> for HandlerError {
    fn from(error: InvalidValue) -> Self {
        HandlerError::new(false, &error)
    }
}

impl<E: std::error::Error> From<DecideError<E>> for HandlerError {
    fn from(error: DecideError<E>) -> Self {
        let transient = matches!(&error, DecideError::Append(append) if append.is_transient());
        HandlerError::new(transient, &error)
    }
}

type Applying<'a> = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + 'a>>;

/// A handler with its type erased.
trait Apply: Send + Sync {
    fn apply<'a>(&'a self, tx: &'a mut Tx<'_>, event: &'a Event) -> Applying<'a>;
}

impl<H> Apply for H
where
    H: AsyncFn(&mut Tx<'_>, &Event) -> Result<(), HandlerError> + Send + Sync,
{
    fn apply<'a>(&'a self, tx: &'a mut Tx<'_>, event: &'a Event) -> Applying<'a> {
        Box::pin(self(tx, event))
    }
}

/// The handlers of one subscription, by event type. Events of other types are passed over.
///
/// ```
/// use feed_core::{Event, Handlers, Tx};
/// let handlers = Handlers::new().on("OrderCreated", async |tx: &mut Tx<'_>, event: &Event| {
///     tx.execute("INSERT INTO seen (subject) VALUES ($1)", &[event.subject.as_str().into()]).await?;
///     Ok(())
/// });
/// ```
#[derive(Default)]
pub struct Handlers {
    by_type: HashMap<&'static str, Box<dyn Apply>>,
}

impl Handlers {
    /// None yet.
    pub fn new() -> Self {
        Handlers::default()
    }

    /// Handles events of `event_type` by `handler`; the last one given for a type counts.
    ///
    /// The handler works in the consumer's transaction and may await nothing else. It may run several times for an
    /// event; its effects are kept once (invariant I7).
    #[must_use]
    pub fn on<H>(mut self, event_type: &'static str, handler: H) -> Self
    where
        H: AsyncFn(&mut Tx<'_>, &Event) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        self.by_type.insert(event_type, Box::new(handler));
        self
    }

    /// Applies the event. Returns whether there was a handler for it.
    ///
    /// A handler that panics, or awaits what is not the transaction, has failed for good on this event; only here is it
    /// known which event that was.
    pub(super) async fn apply(&self, tx: &mut Tx<'_>, event: &Event) -> Result<bool, HandlerError> {
        let Some(handler) = self.by_type.get(event.event_type.as_str()) else {
            return Ok(false);
        };
        let may_wait = tx.may_wait();
        let mut applying = AssertUnwindSafe(handler.apply(tx, event)).catch_unwind();
        let applied = poll_fn(|context| match applying.poll_unpin(context) {
            Poll::Pending if !may_wait => Poll::Ready(Ok(Err(StoreError::ForeignAwait.into()))),
            polled => polled,
        });
        let applied = applied.await;
        let applied = applied.unwrap_or_else(|panic| Err(StoreError::panicked(&*panic).into()));
        applied.map(|()| true)
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_type.keys()).finish()
    }
}
