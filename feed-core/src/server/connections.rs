//! Accepting connections and answering what comes over them, within bounds that no client can move.

mod clock;
mod seat;
mod seldom;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::clock::{Clock, Clocked, Patience, overdue};
use self::seat::{Rewound, Seat};
use self::seldom::Seldom;
use super::bounded::Bounded;
use crate::limits::{
    ACCEPT_PAUSE_MS, CONNECTION_BUFFER_BYTES_MAX, CONNECTION_IDLE_MS_MAX, CONNECTIONS_MAX,
    DRAIN_MS_MAX, KEEPALIVE_INTERVAL_MS, KEEPALIVE_MS, REQUEST_HEAD_BYTES_MAX, REQUEST_HEAD_MS_MAX,
    REQUEST_HEADERS_MAX, VANISHED_MS_MAX, WRITE_STALL_MS_MAX,
};

/// What clients may ask of a service. Tests make it smaller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Connections that are open at the same time; further ones wait in the kernel's queue.
    connections_max: usize,
    /// How long clients may let a connection wait.
    patience: Patience,
    /// How long nothing is accepted after a failure.
    accept_pause: Duration,
    /// How long open requests have to finish after a stop.
    drain: Duration,
}

impl Default for Bounds {
    /// Those of [`limits`](crate::limits).
    fn default() -> Self {
        Bounds {
            connections_max: CONNECTIONS_MAX,
            patience: Patience {
                head: Duration::from_millis(REQUEST_HEAD_MS_MAX),
                idle: Duration::from_millis(CONNECTION_IDLE_MS_MAX),
                stall: Duration::from_millis(WRITE_STALL_MS_MAX),
            },
            accept_pause: Duration::from_millis(ACCEPT_PAUSE_MS),
            drain: Duration::from_millis(DRAIN_MS_MAX),
        }
    }
}

impl Bounds {
    /// The usual ones, but for this many connections.
    pub(super) fn of_connections(connections_max: usize) -> Self {
        Bounds {
            connections_max,
            ..Bounds::default()
        }
    }
}

/// Where connections come from.
pub(super) trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection and who is at its other end. Nothing is lost when the future is dropped.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // An answer is written whole: waiting for more to send would only delay its end. It works without, too.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY cannot be set");
        }
        if let Err(error) = notice_vanished(&stream) {
            tracing::debug!(%peer, %error, "TCP keep-alive cannot be set");
        }
        Ok((stream, peer))
    }
}

/// Lets the kernel ask a silent peer whether it is still there: one that vanished without a word would keep its place,
/// and a request that waits would not notice.
fn notice_vanished(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_millis(KEEPALIVE_MS))
        .with_interval(Duration::from_millis(KEEPALIVE_INTERVAL_MS));
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_millis(VANISHED_MS_MAX)))?;
    Ok(())
}

/// Answers connections until `stop` is cancelled, then finishes the requests that are open. When the future is dropped,
/// all connections are.
pub(super) async fn run(
    acceptor: impl Accept,
    app: Bounded,
    stop: CancellationToken,
    bounds: Bounds,
) {
    let mut connections = JoinSet::new();
    accept_until_stopped(acceptor, app, &stop, bounds, &mut connections).await;
    let finished = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(bounds.drain, finished).await.is_err() {
        let ms_max = bounds.drain.as_millis();
        let cut_off = connections.len();
        tracing::warn!(cut_off, %ms_max, "connections were cut off that did not finish in time");
    }
}

/// The acceptor ends with this, so that nobody waits in its queue while the open requests finish.
async fn accept_until_stopped(
    mut acceptor: impl Accept,
    app: Bounded,
    stop: &CancellationToken,
    bounds: Bounds,
    connections: &mut JoinSet<()>,
) {
    let mut failed = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = acceptor.accept(), if connections.len() < bounds.connections_max => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failed = false;
                connections.spawn(answer(stream, peer, app.clone(), stop.clone(), bounds));
            }
            // That one is gone; the next may be well.
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                // Most likely there are no more open files. It stays so until something is closed, so trying again at
                // once would only burn time, and the log would have a line for each try.
                if !failed {
                    tracing::error!(%error, "connections cannot be accepted; trying again");
                }
                failed = true;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(bounds.accept_pause) => {}
                }
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// A panic in a handler is answered where it happens; here are those that happen while an answer is streamed.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a panic");
    }
}

/// Answers the requests of one connection until either side ends it, or the client lets it wait for too long.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: SocketAddr,
    app: Bounded,
    stop: CancellationToken,
    bounds: Bounds,
) {
    let clock = Clock::new(bounds.patience);
    let seat = Seat::new();
    let app = seat.router(&app);
    let mut stream = Rewound::new(stream);
    let mut late = pin!(overdue(&clock));
    let mut stopped = pin!(Seldom::new(stop.cancelled()));
    let mut stopping = false;
    // A connection, until a request waits; then that, until it has its answer; and so on.
    loop {
        let service = service_fn(|request| seat.serve(&app, &clock, request));
        let clocked = TokioIo::new(Clocked::new(stream, &clock));
        let mut connection = http().serve_connection(clocked, service);
        let head = loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "a connection failed");
                    }
                    return;
                }
                head = poll_fn(|_| seat.waiting(&clock).map_or(Poll::Pending, Poll::Ready)) => break head,
                () = stopped.as_mut(), if !stopping => {
                    if clock.is_at_rest() {
                        return;
                    }
                    stopping = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
                // Told quietly: whoever can connect can make it happen.
                late = late.as_mut() => {
                    tracing::debug!(%peer, reason = %late, "a connection was closed");
                    return;
                }
            }
        };
        let parts = connection.into_parts();
        stream = parts.io.into_inner().into_inner();
        if !parts.read_buf.is_empty() {
            stream.rewind(parts.read_buf.to_vec());
        }
        drop(parts.read_buf);
        loop {
            tokio::select! {
                biased;
                // First: the answer that is there because of it says that the connection ends.
                () = stopped.as_mut(), if !stopping => stopping = true,
                () = poll_fn(|cx| seat.poll_waiting(cx)) => break,
                () = poll_fn(|cx| stream.poll_gone(cx)) => {
                    tracing::debug!(%peer, "a client went away while it waited");
                    return;
                }
            }
        }
        // hyper would close a connection that it is to shut down and has read nothing from.
        stream.rewind(if stopping { seat::closing(head) } else { head });
    }
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    // Those that hyper takes by itself. Said in words, they would be put aside anew for each request.
    const { assert!(REQUEST_HEADERS_MAX == 100) };
    http.header_read_timeout(None)
        .max_header_size(REQUEST_HEAD_BYTES_MAX)
        .max_buf_size(CONNECTION_BUFFER_BYTES_MAX);
    http
}
