//! How a task waits for what the writer says to its command.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::limits::{ANSWER_SPIN_US_MAX, WRITE_SPIN_US_MAX};

/// Those who wait for the writer of one store.
pub(super) struct Callers {
    waiting: AtomicUsize,
    /// There is another processor that the writer works on meanwhile.
    may_spin: bool,
    base: Instant,
    /// When the last one was answered, in microseconds after `base`.
    answered_us: AtomicU64,
}

impl Callers {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Callers {
            waiting: AtomicUsize::new(0),
            may_spin: processors > 1,
            base: Instant::now(),
            answered_us: AtomicU64::new(0),
        }
    }

    /// To be called before the command is sent, so that it is known to be alone.
    pub(super) fn enter(&self) -> Caller<'_> {
        let others = self.waiting.fetch_add(1, Ordering::Relaxed);
        let since = self.now_us() - self.answered_us.load(Ordering::Relaxed).min(self.now_us());
        Caller {
            callers: self,
            spins: self.may_spin && others == 0 && since < WRITE_SPIN_US_MAX,
        }
    }

    fn now_us(&self) -> u64 {
        self.base.elapsed().as_micros() as u64
    }
}

/// One of them, until this is dropped.
pub(super) struct Caller<'c> {
    callers: &'c Callers,
    /// It is the only one, and sends one command right after the other.
    spins: bool,
}

impl Caller<'_> {
    /// Waits for the answer; none when the writer is gone.
    ///
    /// For a task that does nothing but write, a good part of each round is to be put to sleep and woken again by
    /// another thread. So while it is alone it yields instead: other tasks of its thread, and what its sockets bring,
    /// go on in between, and only a thread that had nothing to do looks again and again, for the time of a commit.
    pub(super) async fn answer<T>(self, mut answer: oneshot::Receiver<T>) -> Option<T> {
        if self.spins {
            let ends = Instant::now() + Duration::from_micros(ANSWER_SPIN_US_MAX);
            while self.callers.waiting.load(Ordering::Relaxed) == 1 && Instant::now() < ends {
                match answer.try_recv() {
                    Ok(result) => return Some(result),
                    Err(TryRecvError::Closed) => return None,
                    Err(TryRecvError::Empty) => tokio::task::yield_now().await,
                }
            }
        }
        answer.await.ok()
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.callers.waiting.fetch_sub(1, Ordering::Relaxed);
        self.callers
            .answered_us
            .store(self.callers.now_us(), Ordering::Relaxed);
    }
}
