//! Answers, whole and harmed.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use feed_core::Format;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::damage::Damage;
use super::document;
use super::plan::FaultPlan;

/// Pieces that a dripping body comes in, at most.
const DRIPS_MAX: usize = 16;
/// Pause before a connection is cut, so that what stands before it is on its way.
const BEFORE_CUT: Duration = Duration::from_millis(2);
/// A page for people, as a proxy's login or a maintenance page is.
const HTML_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><p>Please log in.</p></body></html>\n";

/// The connection ends here.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

/// An answer whose body is known. It is cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a body is made of.
enum Piece {
    Bytes(Bytes),
    Pause(Duration),
    Cut,
}

impl Answer {
    fn new(status: StatusCode, media_type: &'static str, body: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Answer {
            status,
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[cfg(test)]
    pub(super) fn json(batch: &str) -> Self {
        Answer::new(StatusCode::OK, Format::Json.media_type(), batch)
    }

    /// The answer that stands for this damage whatever the upstream would say. A failing one never says that a cursor is
    /// refused.
    pub(super) fn made_up(damage: Damage, random: &mut SmallRng, plan: &FaultPlan) -> Option<Self> {
        let failing = |status: StatusCode, word: &str| {
            let title = status.canonical_reason().unwrap_or_default();
            let body = format!(
                "{{\"type\":\"/problems/{word}\",\"title\":\"{title}\",\"status\":{}}}\n",
                status.as_u16()
            );
            Answer::new(status, "application/problem+json", &body)
        };
        let seconds = random.random_range(0..=plan.retry_after_s_max);
        let later = |mut answer: Answer| {
            answer.headers.insert(header::RETRY_AFTER, seconds.into());
            answer
        };
        match damage {
            Damage::InternalError => Some(failing(StatusCode::INTERNAL_SERVER_ERROR, "internal")),
            Damage::Unavailable => Some(later(failing(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
            ))),
            Damage::TooManyRequests => Some(later(failing(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
            ))),
            Damage::HtmlPage => Some(Answer::new(
                StatusCode::OK,
                "text/html; charset=utf-8",
                HTML_PAGE,
            )),
            _ => None,
        }
    }

    /// The form of the feed document that this is; none when it is anything else.
    pub(super) fn format(&self) -> Option<Format> {
        if self.status == StatusCode::OK {
            format_of(&self.headers)
        } else {
            None
        }
    }

    /// Whether it is a feed document with events.
    pub(super) fn has_events(&self) -> bool {
        self.format()
            .is_some_and(|format| document::has_events(format, &self.body))
    }

    /// This answer, harmed; none when that cannot be done to it.
    pub(super) fn harmed(
        &self,
        damage: Damage,
        random: &mut SmallRng,
        plan: &FaultPlan,
    ) -> Option<Response<Body>> {
        let length = self.body.len();
        match damage {
            Damage::DelayBody if length > 1 => {
                let pause = millis_up_to(plan.delay_ms_max, random);
                let (begin, end) = self.split(random.random_range(1..length));
                Some(self.in_pieces([begin, Piece::Pause(pause), end]))
            }
            Damage::CutBody if length > 1 => {
                let (begin, _) = self.split(random.random_range(1..length));
                Some(self.in_pieces([begin, Piece::Pause(BEFORE_CUT), Piece::Cut]))
            }
            Damage::Drip if length > 1 => Some(self.dripping(plan.drip_ms_max)),
            _ => {
                let format = self.format()?;
                let mut answer = self.clone();
                match damage {
                    Damage::WrongType => {
                        let wrong = HeaderValue::from_static("application/octet-stream");
                        answer.headers.insert(header::CONTENT_TYPE, wrong);
                    }
                    Damage::Truncated => {
                        answer.body = document::truncated(&self.body, random)?.into();
                    }
                    Damage::Corrupted => {
                        answer.body = document::corrupted(&self.body, random).into();
                    }
                    lie => {
                        answer.body =
                            document::told_wrongly(lie, format, &self.body, random)?.into();
                    }
                }
                Some(answer.whole())
            }
        }
    }

    /// This answer as it is.
    pub(super) fn whole(self) -> Response<Body> {
        self.with(Body::from(self.body.clone()))
    }

    fn dripping(&self, ms_max: u64) -> Response<Body> {
        let length = self.body.len().div_ceil(DRIPS_MAX).max(1);
        let count = self.body.len().div_ceil(length) as u64;
        let pause = Duration::from_millis(ms_max / count.max(1));
        let drops = (0..self.body.len()).step_by(length).flat_map(|begin| {
            let end = (begin + length).min(self.body.len());
            [
                Piece::Pause(pause),
                Piece::Bytes(self.body.slice(begin..end)),
            ]
        });
        self.in_pieces(drops)
    }

    fn split(&self, at: usize) -> (Piece, Piece) {
        (
            Piece::Bytes(self.body.slice(..at)),
            Piece::Bytes(self.body.slice(at..)),
        )
    }

    fn in_pieces(&self, pieces: impl IntoIterator<Item = Piece>) -> Response<Body> {
        let mut response = self.with(Body::from_stream(stream::unfold(
            pieces.into_iter().collect::<VecDeque<_>>(),
            next_bytes,
        )));
        // What is missing in the end was announced.
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, self.body.len().into());
        response
    }

    fn with(&self, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

async fn next_bytes(mut pieces: VecDeque<Piece>) -> Option<(Result<Bytes, Cut>, VecDeque<Piece>)> {
    loop {
        match pieces.pop_front()? {
            Piece::Bytes(bytes) => return Some((Ok(bytes), pieces)),
            Piece::Pause(pause) => tokio::time::sleep(pause).await,
            Piece::Cut => return Some((Err(Cut), VecDeque::new())),
        }
    }
}

/// The form of feed documents that these headers tell of.
pub(super) fn format_of(headers: &HeaderMap) -> Option<Format> {
    let media_type = headers.get(header::CONTENT_TYPE)?;
    [Format::Atom, Format::Json]
        .into_iter()
        .find(|format| media_type == format.media_type())
}

/// A time from 0 to `ms_max` milliseconds.
pub(super) fn millis_up_to(ms_max: u64, random: &mut SmallRng) -> Duration {
    Duration::from_millis(random.random_range(0..=ms_max))
}
