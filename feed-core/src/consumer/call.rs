//! Calls of handlers to other systems: made before the transaction, with the event's id as idempotency key.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue};

use super::handler_error::HandlerError;
use crate::error::StoreError;
use crate::event::Event;
use crate::limits::CALL_MS_MAX;

/// A call to another system on account of an event.
///
/// It is made before the transaction in which its answer is applied, so it may be made again, after a crash or a failure:
/// the other system has to know by the key that it has done it already.
#[derive(Debug, Clone)]
pub struct Call {
    event: Arc<Event>,
}

impl Call {
    pub(super) fn new(event: &Event) -> Self {
        Call {
            event: Arc::new(event.clone()),
        }
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The same for every try: the event's id.
    pub fn idempotency_key(&self) -> String {
        self.event.id.to_string()
    }

    /// `Idempotency-Key` with the event's id (draft-ietf-httpapi-idempotency-key-header), and the event's `traceparent`
    /// (W3C Trace Context), for a request.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // A structured field of the type string has quotes around it.
        let key = format!("\"{}\"", self.event.id);
        if let Ok(key) = HeaderValue::from_str(&key) {
            headers.insert("idempotency-key", key);
        }
        let trace = self.event.traceparent.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(trace)) = trace {
            headers.insert("traceparent", trace);
        }
        headers
    }
}

/// What a call was answered, with its type erased.
pub(super) type Answer = Box<dyn Any + Send + Sync>;

pub(super) type Calling = Pin<Box<dyn Future<Output = Result<Answer, HandlerError>> + Send>>;

/// Makes the call, within [`CALL_MS_MAX`]. A panic is a permanent error, being too slow a transient one.
pub(super) async fn make(calling: Calling) -> Result<Answer, HandlerError> {
    let limit = Duration::from_millis(CALL_MS_MAX);
    match tokio::time::timeout(limit, AssertUnwindSafe(calling).catch_unwind()).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(panic)) => Err(StoreError::panicked(&*panic).into()),
        Err(_) => Err(HandlerError::transient(format!(
            "the call to another system took longer than {CALL_MS_MAX} ms"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_too_long_may_succeed_later() {
        let began = tokio::time::Instant::now();
        let made = make(Box::pin(std::future::pending())).await;
        let error = made.expect_err("nobody answers");
        assert!(error.is_transient(), "{error}");
        assert_eq!(began.elapsed(), Duration::from_millis(CALL_MS_MAX));
    }
}
