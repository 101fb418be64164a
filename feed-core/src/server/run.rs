//! Listening, serving, and stopping without cutting anybody off.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::bounded::Bounded;
use super::connections::{self, Bounds};
use super::open_files;
use super::stopping::Stopping;

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
    let app = Bounded::new(router, Stopping::new(&stop));
    let bounds = Bounds::of_connections(connections_max);
    connections::run(listener, app, stop, bounds).await;
    Ok(())
}
