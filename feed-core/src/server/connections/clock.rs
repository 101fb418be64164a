//! What a connection is waiting for, and how long it may.
//!
//! hyper's own timer for a request's head is not used. It starts when the answer before has been sent, so one time holds
//! for an idle connection and for a head that comes in pieces: too short for the one, or too long for the other. And it
//! knows nothing of clients that do not read.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
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
///
/// All of them are parts of one task, so nothing here is ever done at the same time: the atomics are plain numbers, and
/// only make sure of that in the eyes of the compiler.
#[derive(Debug)]
pub(super) struct Clock {
    patience: Patience,
    /// Moments are told from here on.
    base: Instant,
    /// Requests whose answer is not yet handed over to the stream: one at most, since a connection answers one by one.
    requests_open: AtomicUsize,
    /// Whether anything of the next request's head is here, and since when its time runs.
    head_begun: AtomicBool,
    since: Moment,
    /// Since when bytes wait for the client to read some.
    stalled_since: Moment,
}

/// A moment, in nanoseconds behind the base of a clock; or never.
#[derive(Debug)]
struct Moment(AtomicU64);

impl Moment {
    const NEVER: u64 = u64::MAX;

    fn get(&self, base: Instant) -> Option<Instant> {
        match self.0.load(Relaxed) {
            Moment::NEVER => None,
            nanos => Some(base + Duration::from_nanos(nanos)),
        }
    }

    fn set_now(&self, base: Instant) {
        // It takes 584 years to get to the number that means never.
        let nanos = u64::try_from(base.elapsed().as_nanos()).unwrap_or_default();
        self.0.store(nanos, Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Relaxed) != Moment::NEVER
    }
}

impl Clock {
    pub(super) fn new(patience: Patience) -> Arc<Self> {
        Arc::new(Clock {
            patience,
            base: Instant::now(),
            requests_open: AtomicUsize::new(0),
            // A new connection is there for a request, so its time runs at once.
            head_begun: AtomicBool::new(true),
            since: Moment(AtomicU64::new(0)),
            stalled_since: Moment(AtomicU64::new(Moment::NEVER)),
        })
    }

    /// When the connection has waited long enough, and for what. An answer that is being made is not the client's
    /// fault; it may also be one that has nothing to say for hours.
    fn due(&self) -> Option<(Instant, Late)> {
        let stalled = self.stalled_since.get(self.base);
        let reader = stalled.map(|since| (since + self.patience.stall, Late::Reader));
        if self.requests_open.load(Relaxed) > 0 {
            return reader;
        }
        let since = self.since.get(self.base)?;
        let head = match (self.head_begun.load(Relaxed), stalled) {
            (true, _) => Some((since + self.patience.head, Late::Head)),
            (false, None) => Some((since + self.patience.idle, Late::NextRequest)),
            (false, Some(_)) => None,
        };
        head.into_iter().chain(reader).min_by_key(|(at, _)| *at)
    }

    /// No request is open and no answer is being read: nobody misses the connection. Whoever has sent half a head can
    /// send it again elsewhere.
    pub(super) fn is_at_rest(&self) -> bool {
        self.requests_open.load(Relaxed) == 0 && !self.stalled_since.is_set()
    }

    /// Whether bytes wait for the client to read some; else all that was written has been sent.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled_since.is_set()
    }

    fn received(&self) {
        // While a request is open, these bytes may be its body, and they say nothing: its end begins anew.
        if !self.head_begun.load(Relaxed) {
            self.head_begun.store(true, Relaxed);
            self.since.set_now(self.base);
        }
    }

    fn write_waits(&self) {
        if !self.stalled_since.is_set() {
            self.stalled_since.set_now(self.base);
        }
    }

    fn write_went_on(&self) {
        if !self.stalled_since.is_set() {
            return;
        }
        self.stalled_since.0.store(Moment::NEVER, Relaxed);
        // The client was still reading: only from now on it has nothing to do.
        if !self.head_begun.load(Relaxed) {
            self.since.set_now(self.base);
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
            // An alarm that comes too early is cheaper than one that is set anew for each request; and as long as it has
            // not come, nobody needs to know what time it is.
            if alarm.is_elapsed() || at < alarm.deadline() {
                if at <= Instant::now() {
                    return Poll::Ready(late);
                }
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
        clock.requests_open.fetch_add(1, Relaxed);
        OpenRequest(Arc::clone(clock))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.requests_open.fetch_sub(1, Relaxed);
        self.0.head_begun.store(false, Relaxed);
        self.0.since.set_now(self.0.base);
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

    pub(super) fn into_inner(self) -> S {
        self.stream
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
