//! The event stream (`text/event-stream`, WHATWG HTML, section 9.2): events as they come, with cursors as ids.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

use super::consumers::{Reader, Waiting};
use super::documents::{Asked, after};
use super::feed_query::Begin;
use super::look::{Found, Wanted};
use super::problem::Problem;
use super::resolve;
use super::respond::{self, Caching};
use super::stopping::Stopping;
use super::tips::{Tips, Waiter};
use crate::event::Event;
use crate::json;
use crate::limits::{STREAM_EVENTS_MAX, STREAM_RETRY_MS};
use crate::position::{After, Cursor};
use crate::store::Log;

/// The media type of the event stream.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// What a reader who connects again has seen last.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells some proxies to pass on what comes as it comes.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A stream under way.
struct Stream {
    log: Log,
    tips: Tips,
    wanted: Wanted,
    waiter: Waiter,
    reader: Reader,
    _waiting: Waiting,
    stopping: Stopping,
    /// What was found and not sent yet.
    found: Option<Found>,
    /// The cursor of the last event that was looked at.
    at: Cursor,
    /// Whether the feed goes on behind `at`, as far as is known.
    behind: bool,
    /// After how much silence it says where it is.
    heartbeat: Duration,
    /// When something was sent last.
    sent: Instant,
}

pub(super) async fn stream(
    log: &Log,
    tips: &Tips,
    asked: &Asked,
    last_event_id: Option<HeaderValue>,
    heartbeat: Duration,
) -> Result<Response, Problem> {
    asked.query.check_stream()?;
    // Interest is registered before looking.
    let waiter = tips.wait()?;
    let begin = begin(asked, last_event_id)?;
    let wanted = Wanted {
        filter: asked.query.filter.clone(),
        limit: Some(STREAM_EVENTS_MAX),
    };
    let found = wanted.look(log, tips, &after(log, begin).await?).await?;
    asked.reader.asks_after(found.from.position);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    respond::set_caching(&mut headers, Caching::waited(&asked.query), None);
    let stream = Stream {
        log: log.clone(),
        tips: tips.clone(),
        wanted,
        waiter,
        reader: asked.reader.clone(),
        _waiting: asked.reader.waits(),
        stopping: asked.stopping.clone(),
        heartbeat,
        at: found.from,
        behind: true,
        found: Some(found),
        sent: Instant::now(),
    };
    let opening = format!("retry: {STREAM_RETRY_MS}\nid: {}\n\n", stream.at);
    let pieces = unfold((stream, Some(opening)), |(mut stream, opening)| async {
        let piece = match opening {
            Some(opening) => opening.into_bytes(),
            None => stream.next().await?,
        };
        Some((Ok::<_, Infallible>(piece), (stream, None)))
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// Where to begin: what the reader has seen last goes before what its URL says, which is where it once began.
fn begin(asked: &Asked, last_event_id: Option<HeaderValue>) -> Result<Begin, Problem> {
    let last = last_event_id
        .filter(|id| !id.is_empty())
        .map(|id| String::from_utf8_lossy(id.as_bytes()).parse::<After>())
        .transpose()
        .map_err(|error| resolve::malformed(&error))?;
    let asked_for = last.map(Begin::After).or(asked.query.begin);
    Ok(asked_for.unwrap_or(Begin::After(After::Now)))
}

impl Stream {
    /// The next piece; none when the stream ends.
    async fn next(&mut self) -> Option<Vec<u8>> {
        // It comes for more, so it took what came before.
        self.reader.asks_after(self.at.position);
        loop {
            if self.stopping.is_cancelled() {
                return None;
            }
            if let Some(found) = self.found.take() {
                self.at = found.upto;
                self.behind = !found.is_caught_up();
                if !found.events.is_empty() {
                    self.sent = Instant::now();
                    return Some(events(&found.events));
                }
            }
            if self.sent.elapsed() >= self.heartbeat {
                self.sent = Instant::now();
                return Some(format!("id: {}\n\n", self.at).into_bytes());
            }
            if self.behind {
                self.found = Some(self.look().await?);
                continue;
            }
            tokio::select! {
                tip = self.waiter.beyond(self.at.position) => {
                    self.found = self.wanted.at_tip(&tip, self.at);
                    self.behind = self.found.is_none();
                }
                () = tokio::time::sleep_until(self.sent + self.heartbeat) => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }

    /// Looks on in the store. When it fails, the stream ends: its reader comes again with the last id.
    async fn look(&self) -> Option<Found> {
        let after = After::Cursor(self.at);
        let found = self.wanted.look(&self.log, &self.tips, &after).await;
        // The reason was logged where the problem was made.
        found.ok()
    }
}

/// The events, each with its cursor as id and its CloudEvents JSON as data.
fn events(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        out.extend_from_slice(format!("id: {}\n", event.cursor()).as_bytes());
        let data = json::write_event(event);
        for line in lines(data.trim_ascii_end()) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
    }
    out
}

/// The lines of a text, which may end in CR, LF or both. In JSON they stand in white space only.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.iter().position(|b| matches!(b, b'\r' | b'\n')) else {
            return rest.take();
        };
        let both = text[at..].starts_with(b"\r\n");
        rest = Some(&text[at + 1 + usize::from(both)..]);
        Some(&text[..at])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_break_of_the_format_is_one() {
        let cut = |text: &str| -> Vec<String> {
            lines(text.as_bytes())
                .map(|line| String::from_utf8(line.to_vec()).unwrap())
                .collect()
        };
        assert_eq!(cut("a"), ["a"]);
        assert_eq!(cut("a\nb\r\nc\rd"), ["a", "b", "c", "d"]);
        assert_eq!(cut("a\r\r\n\nb"), ["a", "", "", "b"]);
        assert_eq!(cut("a\n"), ["a", ""]);
    }
}
