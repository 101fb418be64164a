//! Most of these run on streams in memory and on a clock that stands still until everybody waits: the times are those of
//! the service, to the millisecond.

mod accepting;
mod clients;
mod waiting;
mod wires;

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::limits::REQUEST_MS_MAX;
use crate::server::bounded::Bounded;
use crate::server::stopping::Stopping;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Bytes of the document at `/large`.
const LARGE: usize = 32 << 10;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// A service as `serve` runs it.
fn app(stop: &CancellationToken) -> Bounded {
    Bounded::new(routes(), Stopping::new(stop))
}

fn routes() -> Router {
    Router::new()
        .route("/", get(async || "well"))
        .route("/later", get(later))
        .route("/large", get(async || Bytes::from(vec![b'x'; LARGE])))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/silent", get(silent))
        .route("/stopping", get(until_stopped))
        .route("/panic", get(panics))
        .route("/half-panic", get(half_panics))
}

async fn later() -> &'static str {
    sleep(ms(5_000)).await;
    "later"
}

/// Says something at the beginning and after an hour, as a live feed without events does.
async fn silent() -> Body {
    Body::from_stream(futures_util::stream::unfold(0, async |said| {
        match said {
            0 => {}
            1 => sleep(Duration::from_secs(3_600)).await,
            _ => return None,
        }
        Some((Ok::<_, Infallible>("still here "), said + 1))
    }))
}

async fn until_stopped(stopping: Stopping) -> &'static str {
    stopping.cancelled().await;
    "stopped"
}

async fn panics() -> &'static str {
    panic!("a handler that panics")
}

async fn half_panics() -> Body {
    Body::from_stream(futures_util::stream::unfold(false, async |said| {
        assert!(!said, "a body that panics");
        Some((Ok::<_, Infallible>("half"), true))
    }))
}

/// A clock that stands still until everybody waits has nothing to wait for when there is no bound.
async fn within_a_day<T>(future: impl Future<Output = T>) -> T {
    let day = Duration::from_secs(86_400);
    timeout(day, future).await.expect("this never ends")
}

/// One connection, answered in a task of its own, over a stream that holds `bytes` in each direction.
fn connection(bytes: usize) -> (DuplexStream, JoinHandle<()>) {
    connection_within(Bounds::default(), bytes)
}

fn connection_within(bounds: Bounds, bytes: usize) -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = duplex(bytes);
    let stop = CancellationToken::new();
    let answered = answer(server, peer(), app(&stop), stop, bounds);
    (client, tokio::spawn(within_a_day(answered)))
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

/// Reads one answer that says how long it is.
async fn reply(stream: &mut (impl AsyncRead + Unpin)) -> Reply {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = within_a_day(stream.read_u8()).await;
        head.push(byte.expect("the head of an answer"));
    }
    let head = String::from_utf8(head).unwrap();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let length = header("content-length: ").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        body: String::from_utf8(body).unwrap(),
        head,
    }
}

/// Sends a request and reads its answer.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> Reply {
    stream.write_all(request).await.unwrap();
    reply(stream).await
}

/// How long it takes until the connection is closed, with nothing more in it.
async fn closed_after(stream: &mut (impl AsyncRead + Unpin)) -> Duration {
    let since = Instant::now();
    let mut rest = Vec::new();
    // Closed with a reset is closed, too.
    let _ = within_a_day(stream.read_to_end(&mut rest)).await;
    assert_eq!(String::from_utf8_lossy(&rest), "");
    since.elapsed()
}

/// Timers go by whole milliseconds.
#[track_caller]
fn assert_about(found: Duration, expected_ms: u64) {
    let tolerated = expected_ms.saturating_sub(2)..=expected_ms + 2;
    let found_ms = u64::try_from(found.as_millis()).unwrap();
    assert!(tolerated.contains(&found_ms), "{found:?}");
}
