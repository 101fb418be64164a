//! Listening, serving, and stopping without cutting anybody off.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::trace::TraceLayer;

use super::problem::Problem;
use super::problem_types;
use super::stopping::Stopping;
use crate::limits::{DRAIN_MS_MAX, REQUEST_BODY_BYTES_MAX, REQUEST_MS_MAX};

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
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let app = router
        .layer(axum::Extension(Stopping(stop.clone())))
        .layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
        .layer(from_fn(in_time))
        // A failure was logged where it happened, with its reason.
        .layer(TraceLayer::new_for_http().on_failure(()));
    let served = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_millis(DRAIN_MS_MAX)).await;
    };
    tokio::select! {
        result = served => result,
        () = drained => {
            tracing::warn!(ms_max = DRAIN_MS_MAX, "connections were cut off that did not finish in time");
            Ok(())
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
mod tests {
    use super::*;
    use axum::routing::get;
    use http::StatusCode;
    use tower::ServiceExt;

    #[tokio::test(start_paused = true)]
    async fn i12_a_request_that_takes_too_long_is_answered_by_a_problem() {
        let app = Router::new()
            .route("/", get(std::future::pending::<()>))
            .layer(from_fn(in_time));
        let request = Request::get("/").body(axum::body::Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        assert_eq!(header("content-type"), Some("application/problem+json"));
        assert_eq!(
            (header("cache-control"), header("retry-after")),
            (Some("no-store"), Some("1"))
        );
    }
}
