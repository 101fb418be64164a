//! How a handler learns that the service is stopping.

use std::convert::Infallible;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio_util::sync::CancellationToken;

/// Cancelled when the service stops. Every request carries one, so that what waits for an event can answer instead of
/// being cut off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stopping(CancellationToken);

impl Stopping {
    /// Follows `stop`. Handlers get a token below it, so that none of them can stop the service.
    pub(super) fn new(stop: &CancellationToken) -> Self {
        Stopping(stop.child_token())
    }
}

impl Deref for Stopping {
    type Target = CancellationToken;

    fn deref(&self) -> &CancellationToken {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Stopping {
    type Rejection = Infallible;

    /// A router that is not run by [`serve`](super::serve) is never told to stop.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
