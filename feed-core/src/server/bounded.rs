//! A router within the bounds of a request: length of the URL, size of the body, time; and no panic goes further.
//!
//! One future around the router's does all of it. Layers would each box the request's future once more, and that is most of
//! what a small answer costs.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use futures_util::FutureExt;
use futures_util::future::{CatchUnwind, Map};
use hyper::body::Body;
use tokio::time::{Instant, Sleep};
use tower::Service;
use tracing::{Instrument, Span};

use super::problem::Problem;
use super::problem_types;
use super::stopping::Stopping;
use crate::limits::{REQUEST_BODY_BYTES_MAX, REQUEST_MS_MAX, URL_BYTES_MAX};

/// The router within the bounds of a request. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bounded {
    router: Router,
    stopping: Stopping,
}

impl Bounded {
    pub(super) fn new(router: Router, stopping: Stopping) -> Self {
        Bounded {
            router: router.with_state(()),
            stopping,
        }
    }

    /// The same for the requests of one connection, which learns there that one waits.
    pub(super) fn waiting_at(&self, waiting: Arc<AtomicBool>) -> Self {
        Bounded {
            router: self.router.clone(),
            stopping: self.stopping.at(waiting),
        }
    }

    /// Answers; there is always an answer.
    pub(super) fn answer(&self, mut request: Request) -> Answering {
        if let Some(problem) = too_long(&request) {
            return Answering::Refused(Some(problem));
        }
        let span = span(&request);
        request.extensions_mut().insert(self.stopping.clone());
        if !request.body().is_end_stream() {
            DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX).apply(&mut request);
        }
        // A router is always ready.
        let routed = self.router.clone().call(request);
        let answered = InTime::new(AssertUnwindSafe(routed).catch_unwind());
        match span.is_disabled() {
            true => Answering::Quietly(answered),
            false => Answering::Told(Box::pin(told(answered).instrument(span))),
        }
    }
}

impl Service<Request> for Bounded {
    type Response = Response;
    type Error = Infallible;
    type Future = Map<Answering, fn(Response) -> Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.answer(request)
            .map(Ok as fn(Response) -> Result<Response, Infallible>)
    }
}

/// The answer to a request. Written out, since there is one of it for each connection, and it is smaller so.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are of the large kind"
)]
pub(super) enum Answering {
    Refused(Option<Problem>),
    Quietly(InTime<CatchUnwind<AssertUnwindSafe<RouteFuture<Infallible>>>>),
    Told(Pin<Box<dyn Future<Output = Response> + Send>>),
}

impl Future for Answering {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match &mut *self {
            Answering::Refused(problem) => match problem.take() {
                Some(problem) => Poll::Ready(problem.into_response()),
                None => Poll::Pending,
            },
            Answering::Quietly(answered) => Pin::new(answered).poll(cx).map(after),
            Answering::Told(answered) => answered.as_mut().poll(cx),
        }
    }
}

/// What came of a request in its time: an answer, or a panic; none when the time was over.
type Answered = Option<std::thread::Result<Result<Response, Infallible>>>;

/// Of what is done for a request, at the level of debugging.
fn span(request: &Request) -> Span {
    tracing::debug_span!(
        "request",
        method = %request.method(),
        uri = %request.uri(),
        version = ?request.version(),
    )
}

/// Tells of the request. That it failed was told where it happened, with the reason.
async fn told(answered: impl Future<Output = Answered>) -> Response {
    let began = Instant::now();
    tracing::debug!("started processing request");
    let response = after(answered.await);
    let latency_ms = began.elapsed().as_millis() as u64;
    let status = response.status().as_u16();
    tracing::debug!(latency_ms, status, "finished processing request");
    response
}

/// Refuses URLs that are longer than [`URL_BYTES_MAX`].
fn too_long(request: &Request) -> Option<Problem> {
    let url = request.uri().path_and_query();
    let bytes = url.map_or(0, |url| url.as_str().len());
    if bytes <= URL_BYTES_MAX {
        return None;
    }
    let detail = format!("path and query have {bytes} bytes, {URL_BYTES_MAX} at most are taken");
    Some(Problem::new(&problem_types::URI_TOO_LONG, detail))
}

/// A handler that panics has failed that one request, and nothing else. One that takes longer than [`REQUEST_MS_MAX`] is
/// answered for; what it had begun to write may still be committed.
fn after(answered: Answered) -> Response {
    match answered {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(never))) => match never {},
        Some(Err(panic)) => {
            let reason = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("unknown");
            tracing::error!(reason, "a request failed by a panic");
            let detail = "its log says why; trying again will not help";
            Problem::new(&problem_types::INTERNAL, detail).into_response()
        }
        None => {
            let detail = format!(
                "no answer within {REQUEST_MS_MAX} ms; what was asked for may be done all the same"
            );
            Problem::new(&problem_types::TIMEOUT, detail)
                .retry_after(1)
                .into_response()
        }
    }
}

/// What is done within [`REQUEST_MS_MAX`]. Most answers are there at once, and for them no clock is looked at.
pub(super) struct InTime<F> {
    work: F,
    /// Set when there is something to wait for.
    over: Option<Pin<Box<Sleep>>>,
}

impl<F> InTime<F> {
    fn new(work: F) -> Self {
        InTime { work, over: None }
    }
}

impl<F: Future + Unpin> Future for InTime<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(done) = Pin::new(&mut self.work).poll(cx) {
            return Poll::Ready(Some(done));
        }
        let time = Duration::from_millis(REQUEST_MS_MAX);
        let over = self
            .over
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        over.as_mut().poll(cx).map(|()| None)
    }
}

#[cfg(test)]
mod tests;
