//! Handlers: what a service does with the events of a feed that it follows.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use serde::de::DeserializeOwned;

use super::call::{self, Answer, Call, Calling};
use super::guard::{Applying, guarded};
use super::handler_error::HandlerError;
use crate::error::StoreError;
use crate::event::{Event, SubscriptionName};
use crate::store::{Following, Tx};

/// A handler of single events, with its types erased.
trait Apply: Send + Sync {
    /// The call to another system that comes first, if there is one.
    fn call(&self, _: &Event) -> Option<Calling> {
        None
    }

    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        event: &'a Event,
        answer: Option<&'a Answer>,
    ) -> Applying<'a>;
}

/// A handler of several events at once.
trait ApplyBatch: Send + Sync {
    fn apply<'a>(&'a self, tx: &'a mut Tx<'_>, events: &'a [Event]) -> Applying<'a>;
}

struct Plain<H>(H);

impl<H> Apply for Plain<H>
where
    H: AsyncFn(&mut Tx<'_>, &Event) -> Result<(), HandlerError> + Send + Sync,
{
    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        event: &'a Event,
        _: Option<&'a Answer>,
    ) -> Applying<'a> {
        Box::pin((self.0)(tx, event))
    }
}

struct Typed<H, T>(H, std::marker::PhantomData<fn() -> T>);

impl<H, T> Apply for Typed<H, T>
where
    T: DeserializeOwned,
    H: AsyncFn(&mut Tx<'_>, &Event, T) -> Result<(), HandlerError> + Send + Sync,
{
    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        event: &'a Event,
        _: Option<&'a Answer>,
    ) -> Applying<'a> {
        Box::pin(async move { (self.0)(tx, event, event.decode()?).await })
    }
}

struct WithCall<C, H, T>(C, H, std::marker::PhantomData<fn() -> T>);

impl<C, F, H, T> Apply for WithCall<C, H, T>
where
    T: Any + Send + Sync,
    C: Fn(Call) -> F + Send + Sync,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
    H: AsyncFn(&mut Tx<'_>, &Event, &T) -> Result<(), HandlerError> + Send + Sync,
{
    fn call(&self, event: &Event) -> Option<Calling> {
        let calling = (self.0)(Call::new(event));
        Some(Box::pin(async move {
            calling.await.map(|answer| Box::new(answer) as Answer)
        }))
    }

    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        event: &'a Event,
        answer: Option<&'a Answer>,
    ) -> Applying<'a> {
        let answer = answer.and_then(|answer| answer.downcast_ref::<T>());
        Box::pin(async move {
            let missing = || HandlerError::transient("the call was not answered yet");
            (self.1)(tx, event, answer.ok_or_else(missing)?).await
        })
    }
}

struct Batched<H>(H);

impl<H> ApplyBatch for Batched<H>
where
    H: AsyncFn(&mut Tx<'_>, &[Event]) -> Result<(), HandlerError> + Send + Sync,
{
    fn apply<'a>(&'a self, tx: &'a mut Tx<'_>, events: &'a [Event]) -> Applying<'a> {
        Box::pin((self.0)(tx, events))
    }
}

enum Handler {
    Each { apply: Box<dyn Apply>, calls: bool },
    Batch(Box<dyn ApplyBatch>),
}

/// What is done with events of a type that no handler is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownTypes {
    /// They are passed over and counted.
    #[default]
    Skip,
    /// They are errors that trying again does not help: parked, like any other.
    Refuse,
}

/// The handlers of one subscription, by event type. Several for one type run one after another, as they were given.
///
/// A handler works in the consumer's transaction and may await nothing else. It may run several times for an event; its
/// effects are kept once (invariant I7). One that panics has failed for good on that event.
///
/// ```
/// use feed_core::{Event, Handlers, Tx};
/// #[derive(serde::Deserialize)]
/// struct OrderCreated { order_id: String }
/// let handlers = Handlers::new().on_data("OrderCreated", async |tx: &mut Tx<'_>, event: &Event, created: OrderCreated| {
///     tx.execute("INSERT INTO seen (order_id) VALUES ($1)", &[(&created.order_id).into()]).await?;
///     Ok(())
/// });
/// ```
#[derive(Default)]
pub struct Handlers {
    by_type: HashMap<&'static str, Vec<Handler>>,
    unknown: UnknownTypes,
}

/// Events of a run that were not applied.
pub(super) struct RunError {
    /// The index in the run of the event that failed; none when a handler of several events at once failed on all.
    pub(super) index: Option<usize>,
    pub(super) source: HandlerError,
}

/// The answers of the calls that one event's handlers make, in their order.
pub(super) type Answers = Vec<Option<Answer>>;

impl Handlers {
    /// None yet.
    pub fn new() -> Self {
        Handlers::default()
    }

    /// Handles events of `event_type` by `handler`.
    #[must_use]
    pub fn on<H>(self, event_type: &'static str, handler: H) -> Self
    where
        H: AsyncFn(&mut Tx<'_>, &Event) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        self.each(event_type, Plain(handler), false)
    }

    /// Handles events of `event_type` by `handler`, with their JSON data as a `T`. Data that is none is a permanent error.
    #[must_use]
    pub fn on_data<T, H>(self, event_type: &'static str, handler: H) -> Self
    where
        T: DeserializeOwned + 'static,
        H: AsyncFn(&mut Tx<'_>, &Event, T) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        self.each(event_type, Typed(handler, std::marker::PhantomData), false)
    }

    /// Handles events of `event_type` in two parts: `call` speaks to another system and may wait, up to [`CALL_MS_MAX`];
    /// `handler` applies what it answered, in the transaction.
    ///
    /// The call may be made several times for one event, each time with the same
    /// [`idempotency_key`](Call::idempotency_key). All events before it are committed when it is made.
    ///
    /// ```no_run
    /// use feed_core::{Call, Event, HandlerError, Handlers, Tx};
    /// let http = reqwest::Client::new();
    /// let charge = move |call: Call| {
    ///     let request = http.post("http://127.0.0.1:9/charges").headers(call.headers());
    ///     async move { Ok(request.send().await?.error_for_status()?.text().await?) }
    /// };
    /// let handlers = Handlers::new().on_call("OrderConfirmed", charge, async |tx: &mut Tx<'_>, event: &Event, receipt: &String| {
    ///     let subject = event.subject.as_str();
    ///     tx.execute("UPDATE orders SET receipt = $1 WHERE subject = $2", &[receipt.into(), subject.into()]).await?;
    ///     Ok(())
    /// });
    /// ```
    ///
    /// [`CALL_MS_MAX`]: crate::limits::CALL_MS_MAX
    #[must_use]
    pub fn on_call<C, F, T, H>(self, event_type: &'static str, call: C, handler: H) -> Self
    where
        T: Any + Send + Sync,
        C: Fn(Call) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, HandlerError>> + Send + 'static,
        H: AsyncFn(&mut Tx<'_>, &Event, &T) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        self.each(
            event_type,
            WithCall(call, handler, std::marker::PhantomData),
            true,
        )
    }

    /// Handles events of `event_type` that follow one another at once, as many as a transaction takes.
    ///
    /// When it fails on several, it is run again with each by itself, so that the one at fault is found. What it appends
    /// has to name its cause by [`Tx::follow`], since ids of follow-ups derive from it.
    ///
    /// ```
    /// use feed_core::{Event, Handlers, Tx};
    /// let handlers = Handlers::new().on_batch("Measured", async |tx: &mut Tx<'_>, events: &[Event]| {
    ///     tx.execute("UPDATE totals SET measured = measured + $1", &[(events.len() as i64).into()]).await?;
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn on_batch<H>(mut self, event_type: &'static str, handler: H) -> Self
    where
        H: AsyncFn(&mut Tx<'_>, &[Event]) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        let handler = Handler::Batch(Box::new(Batched(handler)));
        self.by_type.entry(event_type).or_default().push(handler);
        self
    }

    /// Does this with events of a type that no handler is for.
    #[must_use]
    pub fn unknown_types(mut self, unknown: UnknownTypes) -> Self {
        self.unknown = unknown;
        self
    }

    fn each(mut self, event_type: &'static str, apply: impl Apply + 'static, calls: bool) -> Self {
        let apply = Box::new(apply);
        let handlers = self.by_type.entry(event_type).or_default();
        handlers.push(Handler::Each { apply, calls });
        self
    }

    fn of(&self, event: &Event) -> &[Handler] {
        self.by_type
            .get(event.event_type.as_str())
            .map_or(&[], Vec::as_slice)
    }

    /// Whether a handler of the event speaks to another system first.
    pub(super) fn calls(&self, event: &Event) -> bool {
        self.of(event)
            .iter()
            .any(|handler| matches!(handler, Handler::Each { calls: true, .. }))
    }

    /// Whether events of its type are handled several at once.
    pub(super) fn batches(&self, event: &Event) -> bool {
        self.of(event)
            .iter()
            .any(|handler| matches!(handler, Handler::Batch(_)))
    }

    /// Makes the calls of the event's handlers.
    pub(super) async fn call(&self, event: &Event) -> Result<Answers, HandlerError> {
        let mut answers = Vec::new();
        for handler in self.of(event) {
            let calling = match handler {
                Handler::Each { apply, .. } => {
                    let begun = std::panic::catch_unwind(AssertUnwindSafe(|| apply.call(event)));
                    begun.map_err(|panic| StoreError::panicked(&*panic))?
                }
                Handler::Batch(_) => None,
            };
            answers.push(match calling {
                Some(calling) => Some(call::make(calling).await?),
                None => None,
            });
        }
        Ok(answers)
    }

    /// Applies a run of events of one type; of one event, unless they are handled several at once. Returns how many of
    /// them no handler is for.
    pub(super) async fn apply(
        &self,
        tx: &mut Tx<'_>,
        subscription: &SubscriptionName,
        run: &[Event],
        answers: Option<&Answers>,
    ) -> Result<usize, RunError> {
        let Some(first) = run.first() else {
            return Ok(0);
        };
        let handlers = self.of(first);
        if handlers.is_empty() {
            return match self.unknown {
                UnknownTypes::Skip => Ok(run.len()),
                UnknownTypes::Refuse => Err(RunError {
                    index: Some(0),
                    source: HandlerError::permanent(format!(
                        "there is no handler for {}",
                        first.event_type
                    )),
                }),
            };
        }
        tx.set_following(Following::subscription(subscription.as_str()));
        let waiting = tx.waiting();
        for (number, handler) in handlers.iter().enumerate() {
            match handler {
                Handler::Each { apply, .. } => {
                    let answer = answers.and_then(|answers| answers.get(number)?.as_ref());
                    for (index, event) in run.iter().enumerate() {
                        tx.follow(event);
                        let applied = guarded(&waiting, || apply.apply(tx, event, answer)).await;
                        failed(tx, applied, Some(index))?;
                    }
                }
                Handler::Batch(apply) => {
                    tx.follow_nothing();
                    let applied = guarded(&waiting, || apply.apply(tx, run)).await;
                    failed(tx, applied, (run.len() == 1).then_some(0))?;
                }
            }
        }
        tx.set_following(Following::Nothing);
        #[cfg(feature = "faults")]
        fail_on_purpose(run)?;
        Ok(0)
    }
}

/// Events that are to fail do so after all that their handlers did, so that there is something to undo.
#[cfg(feature = "faults")]
fn fail_on_purpose(run: &[Event]) -> Result<(), RunError> {
    for (index, event) in run.iter().enumerate() {
        let source = match crate::faults::poison(event) {
            Some((true, reason)) => HandlerError::permanent(reason),
            Some((false, reason)) => HandlerError::transient(reason),
            None => continue,
        };
        return Err(RunError {
            index: Some(index),
            source,
        });
    }
    Ok(())
}

/// A handler that goes on after a statement that failed has failed as well.
fn failed(
    tx: &Tx<'_>,
    applied: Result<(), HandlerError>,
    index: Option<usize>,
) -> Result<(), RunError> {
    applied
        .and_then(|()| tx.unfailed().map_err(HandlerError::from))
        .map_err(|source| RunError { index, source })
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_type.keys()).finish()
    }
}
