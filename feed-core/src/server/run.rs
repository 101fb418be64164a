//! Listening, serving, and stopping without cutting anybody off.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::trace::TraceLayer;

use super::connections::{self, Bounds};
use super::open_files;
use super::problem::Problem;
use super::problem_types;
use super::stopping::Stopping;
use crate::limits::{REQUEST_BODY_BYTES_MAX, REQUEST_MS_MAX, URL_BYTES_MAX};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else listens there.
    #[error(
        "{0} is in use by another program: stop it, or choose another address with --listen IP:PORT"
    )]
    InUse(SocketAddr),
    /// Anything else that the system says.
    #[error("cannot listen on {address}: {source}; choose another address with --listen IP:PORT")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Listens on `address`; port 0 takes a free one.
///
/// # Errors
/// When the address is in use or not ours.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            _ => BindError::Failed { address, source },
        })
}

/// Serves `router` until `stop` is cancelled, then answers the requests that are open, for [`DRAIN_MS_MAX`] at most.
///
/// Raises the process's limit on open files as far as it may. What clients may ask is bounded in [`limits`]: connections,
/// the size of what they send, and the time that they take for it and for reading the answers.
///
/// [`DRAIN_MS_MAX`]: crate::limits::DRAIN_MS_MAX
/// [`limits`]: crate::limits
///
/// # Errors
/// When the listener has no address. That a connection cannot be accepted ends nothing: it is tried again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let connections_max = open_files::connections_max();
    tracing::debug!(%address, connections_max, "accepting connections");
    let app = bounded(router, Stopping::new(&stop));
    let bounds = Bounds::of_connections(connections_max);
    connections::run(listener, app, stop, bounds).await;
    Ok(())
}

/// The router within the bounds of a request.
pub(super) fn bounded(router: Router, stopping: Stopping) -> Router {
    router
        .layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
        .layer(from_fn(in_time))
        .layer(Extension(stopping))
        .layer(from_fn(short_enough))
        .layer(from_fn(without_panics))
        // A failure was logged where it happened, with its reason.
        .layer(TraceLayer::new_for_http().on_failure(()))
}

/// Refuses URLs that are longer than [`URL_BYTES_MAX`].
async fn short_enough(request: Request, next: Next) -> Response {
    let url = request.uri().path_and_query();
    let bytes = url.map_or(0, |url| url.as_str().len());
    if bytes <= URL_BYTES_MAX {
        return next.run(request).await;
    }
    let detail = format!("path and query have {bytes} bytes, {URL_BYTES_MAX} at most are taken");
    Problem::new(&problem_types::URI_TOO_LONG, detail).into_response()
}

/// A handler that panics has failed that one request, and nothing else.
async fn without_panics(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let reason = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("unknown");
            tracing::error!(reason, "a request failed by a panic");
            let detail = "its log says why; trying again will not help";
            Problem::new(&problem_types::INTERNAL, detail).into_response()
        }
    }
}

/// Answers for a request that takes longer than [`REQUEST_MS_MAX`]. What it had begun to write may still be committed.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(Duration::from_millis(REQUEST_MS_MAX), next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!(
                "no answer within {REQUEST_MS_MAX} ms; what was asked for may be done all the same"
            );
            Problem::new(&problem_types::TIMEOUT, detail)
                .retry_after(1)
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests;
