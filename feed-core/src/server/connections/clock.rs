//! What a connection is waiting for, and how long it may.
//!
//! hyper's own timer for a request's head is not used. It starts when the answer before has been sent, so one time holds
//! for an idle connection and for a head that comes in pieces: too short for the one, or too long for the other. And it
//! knows nothing of clients that do not read.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// How long a client may let a connection wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the head of a request, from its first byte on; for the first one from the beginning of the connection on.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// For a client that reads nothing of its answer.
    pub(super) stall: Duration,
}

/// What came too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    Head,
    NextRequest,
    Reader,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Late::Head => "the head of a request did not come in time",
            Late::NextRequest => "no further request came",
            Late::Reader => "the client reads nothing of its answer",
        })
    }
}

/// The clock of one connection. Stream and requests tell it what happens; [`overdue`] looks at it.
#[derive(Debug)]
pub(super) struct Clock {
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests whose answer is not yet handed over to the stream: one at most, since a connection answers one by one.
    requests_open: usize,
    /// Whether anything of the next request's head is here, and since when its time runs.
    head_begun: bool,
    since: Instant,
    /// Since when bytes wait for the client to read some.
    stalled_since: Option<Instant>,
}

impl Clock {
    pub(super) fn new(patience: Patience) -> Arc<Self> {
        Arc::new(Clock {
            patience,
            state: Mutex::new(State {
                requests_open: 0,
                // A new connection is there for a request, so its time runs at once.
                head_begun: true,
                since: Instant::now(),
                stalled_since: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the connection has waited long enough, and for what. An answer that is being made is not the client's
    /// fault; it may also be one that has nothing to say for hours.
    fn due(&self) -> Option<(Instant, Late)> {
        let state = self.state();
        let head = match (state.requests_open, state.head_begun, state.stalled_since) {
            (0, true, _) => Some((state.since + self.patience.head, Late::Head)),
            (0, false, None) => Some((state.since + self.patience.idle, Late::NextRequest)),
            _ => None,
        };
        let stalled = state.stalled_since;
        let reader = stalled.map(|since| (since + self.patience.stall, Late::Reader));
        head.into_iter().chain(reader).min_by_key(|(at, _)| *at)
    }

    /// No request is open and no answer is being read: nobody misses the connection. Whoever has sent half a head can
    /// send it again elsewhere.
    pub(super) fn is_at_rest(&self) -> bool {
        let state = self.state();
        state.requests_open == 0 && state.stalled_since.is_none()
    }

    fn received(&self) {
        let mut state = self.state();
        // While a request is open, these bytes may be its body, and they say nothing: its end begins anew.
        if !state.head_begun {
            state.head_begun = true;
            state.since = Instant::now();
        }
    }

    fn write_waits(&self) {
        self.state().stalled_since.get_or_insert_with(Instant::now);
    }

    fn write_went_on(&self) {
        let mut state = self.state();
        // The client was still reading: only from now on it has nothing to do.
        if state.stalled_since.take().is_some() && !state.head_begun {
            state.since = Instant::now();
        }
    }
}

/// Waits until the client let the connection wait for too long.
///
/// To be polled after the connection, in the same task: it looks at the clock as the connection has left it.
pub(super) async fn overdue(clock: &Clock) -> Late {
    let mut alarm = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            let Some((at, late)) = clock.due() else {
                return Poll::Pending;
            };
            if at <= Instant::now() {
                return Poll::Ready(late);
            }
            // An alarm that comes too early is cheaper than one that is set anew for each request.
            if alarm.is_elapsed() || at < alarm.deadline() {
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Clock>);

impl OpenRequest {
    pub(super) fn new(clock: &Arc<Clock>) -> Self {
        clock.state().requests_open += 1;
        OpenRequest(Arc::clone(clock))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests_open -= 1;
        state.head_begun = false;
        state.since = Instant::now();
    }
}

/// The body of an answer; its request is open until it has been handed over to the stream.
#[derive(Debug)]
pub(super) struct Answer {
    body: axum::body::Body,
    _open: OpenRequest,
}

impl Answer {
    pub(super) fn new(body: axum::body::Body, open: OpenRequest) -> Self {
        Answer { body, _open: open }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells the clock what passes through it.
#[derive(Debug)]
pub(super) struct Clocked<S> {
    stream: S,
    clock: Arc<Clock>,
}

impl<S> Clocked<S> {
    pub(super) fn new(stream: S, clock: &Arc<Clock>) -> Self {
        Clocked {
            stream,
            clock: Arc::clone(clock),
        }
    }

    fn told<T>(&self, written: Poll<T>) -> Poll<T> {
        match written {
            Poll::Pending => self.clock.write_waits(),
            Poll::Ready(_) => self.clock.write_went_on(),
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Clocked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.clock.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Clocked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.told(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.told(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.told(shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.told(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
