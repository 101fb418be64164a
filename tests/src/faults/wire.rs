//! Below HTTP: a line that can be interrupted, and connections that can be made to talk nonsense.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What all connections of a proxy go over.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: Mutex<LineState>,
}

#[derive(Debug, Default)]
struct LineState {
    interrupted: bool,
    /// Who waits for the line.
    waiting: Vec<Waker>,
}

impl Line {
    /// From now on nothing goes in or out.
    pub(super) fn interrupt(&self) {
        self.lock().interrupted = true;
    }

    /// What waits goes on.
    pub(super) fn mend(&self) {
        let waiting = {
            let mut state = self.lock();
            state.interrupted = false;
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.interrupted {
            return Poll::Ready(());
        }
        if !state
            .waiting
            .iter()
            .any(|waker| waker.will_wake(cx.waker()))
        {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that a connection sends instead of all that it was to send.
#[derive(Debug, Default)]
pub(super) struct Noise(Mutex<Option<Vec<u8>>>);

impl Noise {
    /// Sends these bytes from now on, and then nothing.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    line: Arc<Line>,
    noise: Arc<Noise>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, line: Arc<Line>, noise: Arc<Noise>) -> Self {
        Wire {
            stream,
            line,
            noise,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.line.poll(cx));
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.line.poll(cx));
        let noise = self.noise.clone();
        let mut noise = noise.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(noise) = noise.as_mut() else {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        };
        while !noise.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, noise))?;
            noise.drain(..written);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.line.poll(cx));
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.line.poll(cx));
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
