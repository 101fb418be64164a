//! The signal to stop.

use tokio_util::sync::CancellationToken;

/// A token that is cancelled when the process is asked to stop: by SIGTERM, or by SIGINT (Ctrl-C).
///
/// The second signal ends the process at once, as it would have without this.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn shutdown_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        asked_to_stop().await;
        tracing::info!("stopping");
        cancelled.cancel();
        asked_to_stop().await;
        tracing::warn!("asked to stop twice: stopping at once");
        std::process::exit(130);
    });
    stop
}

async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
                return;
            }
            Err(error) => tracing::error!(%error, "SIGTERM cannot be waited for"),
        }
    }
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(%error, "Ctrl-C cannot be waited for");
        std::future::pending::<()>().await;
    }
}
