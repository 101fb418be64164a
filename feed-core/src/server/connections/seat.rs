//! Where the request of a connection is worked on, and how one that waits does without its connection.
//!
//! hyper keeps two buffers and its state for each connection, some 20 KiB, of which a request that waits needs nothing. So a
//! handler that waits says so ([`Stopping::waits`]); then the connection is taken apart, and only its stream stays, which
//! tells when the client goes away. When the answer is there, a connection is put together again and reads the request once
//! more, or what matters of it; its answer is the one that is there.
//!
//! [`Stopping::waits`]: crate::server::stopping::Stopping::waits

use std::convert::Infallible;
use std::fmt::Write;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::{Answer, Clock, OpenRequest};
use crate::server::bounded::{Answering, Bounded};

/// The place of one connection's request.
pub(super) struct Seat {
    /// Set by a handler that waits.
    waits: Arc<AtomicBool>,
    work: Mutex<Work>,
}

/// A connection answers its requests one by one, so there is one of this.
#[allow(
    clippy::large_enum_variant,
    reason = "it stands in its place for as long as its connection"
)]
enum Work {
    None,
    Answering {
        answering: Answering,
        open: OpenRequest,
        head: Head,
    },
    /// The answer to a request that waited, until its connection is put together again.
    Answered(Response, OpenRequest),
}

/// What an answer depends on beside what the handler does: how it is framed, and whether the connection goes on.
struct Head {
    /// None for methods by which nobody waits, and where a body is still to come.
    method: Option<&'static str>,
    version: Version,
    connection: Option<HeaderValue>,
}

impl Seat {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Seat {
            waits: Arc::default(),
            work: Mutex::new(Work::None),
        })
    }

    /// The router, whose handlers say here that they wait.
    pub(super) fn router(&self, app: &Bounded) -> Bounded {
        app.waiting_at(self.waits.clone())
    }

    /// Begins to answer a request, or goes on with the one that waited.
    pub(super) fn serve(
        self: &Arc<Self>,
        app: &Bounded,
        clock: &Arc<Clock>,
        request: Request<Incoming>,
    ) -> Serving {
        let mut work = self.work();
        if !matches!(*work, Work::Answered(..)) {
            self.waits.store(false, Ordering::Relaxed);
            let head = Head::of(&request);
            let open = OpenRequest::new(clock);
            let answering = app.answer(request.map(body));
            *work = Work::Answering {
                answering,
                open,
                head,
            };
        }
        Serving(self.clone())
    }

    /// What matters of the request, when it waits and its connection can be taken apart: everything that was written
    /// before has been sent, and nothing of it is still to be read.
    pub(super) fn waiting(&self, clock: &Clock) -> Option<Vec<u8>> {
        if !self.waits.load(Ordering::Relaxed) || clock.is_stalled() {
            return None;
        }
        match &*self.work() {
            Work::Answering { head, .. } => head.bytes(),
            Work::None | Work::Answered(..) => None,
        }
    }

    /// Works on while the request waits; ready when it has its answer, which is kept here.
    pub(super) fn poll_waiting(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut work = self.work();
        work.poll(cx)
            .map(|(answer, open)| *work = Work::Answered(answer, open))
    }

    /// Nothing is left half changed here by a panic: those of handlers are caught further inside.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Response, OpenRequest)> {
        let answer = match self {
            Work::None => return Poll::Pending,
            Work::Answered(..) => None,
            Work::Answering { answering, .. } => match Pin::new(answering).poll(cx) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => return Poll::Pending,
            },
        };
        match (std::mem::replace(self, Work::None), answer) {
            (Work::Answering { open, .. }, Some(answer)) | (Work::Answered(answer, open), _) => {
                Poll::Ready((answer, open))
            }
            _ => Poll::Pending,
        }
    }
}

/// The answer to the request at a seat.
pub(super) struct Serving(Arc<Seat>);

impl Future for Serving {
    type Output = Result<http::Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = self.0.work().poll(cx);
        answered.map(|(answer, open)| Ok(answer.map(|body| Answer::new(body, open))))
    }
}

impl Head {
    fn of(request: &Request<Incoming>) -> Self {
        let method = match *request.method() {
            Method::GET => Some("GET"),
            Method::HEAD => Some("HEAD"),
            _ => None,
        };
        Head {
            method: method.filter(|_| request.body().is_end_stream()),
            version: request.version(),
            connection: connection(request.headers()),
        }
    }

    /// As a request, which is read again for the sake of its answer alone.
    fn bytes(&self) -> Option<Vec<u8>> {
        let minor = match self.version {
            Version::HTTP_10 => 0,
            _ => 1,
        };
        let mut text = format!("{} / HTTP/1.{minor}\r\nhost: waiting\r\n", self.method?);
        if let Some(connection) = &self.connection {
            // A String takes all that is written to it.
            let _ = write!(text, "connection: {}\r\n", connection.to_str().ok()?);
        }
        text.push_str("\r\n");
        Some(text.into_bytes())
    }
}

/// The head of a request that is the last one of its connection.
pub(super) fn closing(mut head: Vec<u8>) -> Vec<u8> {
    // The last word counts.
    head.truncate(head.len().saturating_sub(2));
    head.extend_from_slice(b"connection: close\r\n\r\n");
    head
}

/// What the request says of its connection. Copied: it would keep the buffer that the request was read into.
fn connection(headers: &HeaderMap) -> Option<HeaderValue> {
    let said = headers.get(header::CONNECTION)?;
    HeaderValue::from_bytes(said.as_bytes()).ok()
}

/// The body as axum takes it; one that is not there takes no memory.
fn body(incoming: Incoming) -> Body {
    match incoming.is_end_stream() {
        true => Body::empty(),
        false => Body::new(incoming),
    }
}

/// A stream, and bytes that are read again before what comes out of it.
pub(super) struct Rewound<S> {
    stream: S,
    before: Vec<u8>,
    /// Of `before`, what was read.
    read: usize,
}

impl<S> Rewound<S> {
    pub(super) fn new(stream: S) -> Self {
        Rewound {
            stream,
            before: Vec::new(),
            read: 0,
        }
    }

    fn is_rewound(&self) -> bool {
        self.read < self.before.len()
    }

    /// Has these bytes read next, and behind them those that were to be read anyway.
    pub(super) fn rewind(&mut self, first: Vec<u8>) {
        let rest = std::mem::replace(&mut self.before, first);
        self.before.extend_from_slice(&rest[self.read..]);
        self.read = 0;
    }
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    /// Ready when the client goes away. What it sends meanwhile, which is the next request, is kept, and then no more is
    /// read: as much as fits into what is put aside here.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_rewound() {
            return Poll::Pending;
        }
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                self.rewind(buffer.filled().to_vec());
                Poll::Pending
            }
            Poll::Ready(_) => Poll::Ready(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_rewound() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let left = &self.before[self.read..];
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..taken]);
        self.read += taken;
        if !self.is_rewound() {
            (self.before, self.read) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
