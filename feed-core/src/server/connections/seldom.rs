//! A future that is polled only when it has something to say, in a task that is polled for other reasons all the time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polled at first, and then when it woke its task. To poll the token of a stop takes a lock that all connections share.
pub(super) struct Seldom<F> {
    future: Pin<Box<F>>,
    called: Arc<Called>,
    caller: Waker,
}

/// Whether the future called since it was polled last, and whom to pass that on to.
struct Called {
    is_calling: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_calling.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F> Seldom<F> {
    pub(super) fn new(future: F) -> Self {
        let called = Arc::new(Called {
            is_calling: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        Seldom {
            future: Box::pin(future),
            caller: called.clone().into(),
            called,
        }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Registered before looking, so that no call falls in between.
        self.called.task.register(cx.waker());
        if !self.called.is_calling.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let this = &mut *self;
        let mut cx = Context::from_waker(&this.caller);
        this.future.as_mut().poll(&mut cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::ready;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn it_is_polled_when_it_calls_and_not_when_others_do() {
        let (say, said) = oneshot::channel();
        let polled = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (counted, mut said) = (polled.clone(), Box::pin(said));
        let mut seldom = Seldom::new(std::future::poll_fn(move |cx| {
            counted.fetch_add(1, Ordering::Relaxed);
            let said: Result<&str, _> = ready!(said.as_mut().poll(cx));
            Poll::Ready(said)
        }));
        for _ in 0..10 {
            let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut seldom).poll(cx)));
            assert!(polled.await.is_pending());
        }
        assert_eq!(polled.load(Ordering::Relaxed), 1);
        tokio::spawn(async move { say.send("stop") });
        assert_eq!(seldom.await, Ok("stop"));
        assert_eq!(polled.load(Ordering::Relaxed), 2);
    }
}
