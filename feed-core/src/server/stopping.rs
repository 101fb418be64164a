//! How a handler learns that the service is stopping.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use http::Extensions;
use http::request::Parts;
use tokio_util::sync::CancellationToken;

/// Cancelled when the service stops. Every request carries one, so that what waits for an event can answer instead of
/// being cut off.
///
/// Shared as it is: to clone a token takes a lock that all requests would share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stopping {
    token: Arc<CancellationToken>,
    /// Where a request says to its connection that it waits.
    waiting: Option<Arc<AtomicBool>>,
}

impl Stopping {
    /// Follows `stop`. Handlers get a token below it, so that none of them can stop the service.
    pub(super) fn new(stop: &CancellationToken) -> Self {
        Stopping {
            token: Arc::new(stop.child_token()),
            waiting: None,
        }
    }

    /// The same for the requests of one connection, which learns here that one waits.
    pub(super) fn at(&self, waiting: Arc<AtomicBool>) -> Self {
        Stopping {
            token: self.token.clone(),
            waiting: Some(waiting),
        }
    }

    /// This request waits from now on, perhaps for long: its connection may be put aside.
    pub(super) fn waits(&self) {
        if let Some(waiting) = &self.waiting {
            waiting.store(true, Ordering::Relaxed);
        }
    }

    /// The one that a request carries. A router that is not run by [`serve`](super::serve) is never told to stop.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }
}

impl Deref for Stopping {
    type Target = CancellationToken;

    fn deref(&self) -> &CancellationToken {
        &self.token
    }
}

impl<S: Sync> FromRequestParts<S> for Stopping {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Stopping::of(&parts.extensions))
    }
}
