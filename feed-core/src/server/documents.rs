//! The head and the tail: what stands at a feed's own URL.

use std::time::Duration;

use axum::response::Response;
use http::HeaderValue;
use http::request::Parts;
use tokio::time::Instant;

use super::conditional::Known;
use super::consumers::Reader;
use super::feed_query::{Begin, FeedQuery};
use super::look::{Found, Wanted};
use super::prefer::{self, PREFERENCE_APPLIED};
use super::problem::Problem;
use super::problem_types;
use super::rendered::Rendered;
use super::respond::{self, Caching};
use super::stopping::Stopping;
use super::tips::{DocumentKey, DocumentKind, Tip, Tips, Waiter};
use super::{build, resolve};
use crate::document::Format;
use crate::feed::FeedState;
use crate::position::{After, Cursor};
use crate::store::{Log, Window};

/// What a request at a feed's own URL says. Nothing of the request itself is kept, since it may wait for long.
pub(super) struct Asked {
    pub(super) query: FeedQuery,
    pub(super) reader: Reader,
    pub(super) stopping: Stopping,
    known: Known,
    /// How long it would like to wait by a header; the query goes before.
    preferred: Option<Duration>,
}

impl Asked {
    pub(super) fn new(parts: &Parts, query: FeedQuery, reader: Reader) -> Self {
        Asked {
            reader,
            stopping: Stopping::of(&parts.extensions),
            known: Known::by(&parts.headers),
            preferred: prefer::wait(&parts.headers).filter(|_| query.wait.is_none()),
            query,
        }
    }

    /// Without what is borrowed of the request.
    fn detached(mut self) -> Self {
        self.known = self.known.detached();
        self
    }

    fn wait(&self) -> Option<Duration> {
        self.query.wait.or(self.preferred)
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            filter: self.query.filter.clone(),
            limit: self.query.limit,
        }
    }

    fn caching(&self) -> Caching {
        match self.wait() {
            Some(_) => Caching::waited(&self.query),
            None => Caching::of(&self.query),
        }
    }

    /// Nobody waits for the head, whatever the request would like.
    fn head_key(&self, kind: DocumentKind, format: Format) -> DocumentKey {
        DocumentKey {
            is_waited: false,
            ..self.key(kind, format)
        }
    }

    fn key(&self, kind: DocumentKind, format: Format) -> DocumentKey {
        DocumentKey {
            kind,
            format,
            is_format_asked: self.query.form.is_some(),
            is_waited: self.wait().is_some(),
        }
    }

    /// The document, or 304; and how long it was waited for at most, if a header asked for that.
    fn answer(&self, rendered: &Rendered) -> Response {
        let mut response = rendered.respond(&self.known);
        if let Some(preferred) = self.preferred
            && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", preferred.as_secs()))
        {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        response
    }
}

pub(super) async fn head(
    log: &Log,
    tips: &Tips,
    asked: &Asked,
    format: Format,
) -> Result<Response, Problem> {
    let query = &asked.query;
    query.check_head()?;
    if query.limit.is_some() {
        let (_, rendered) = newest_page(log, tips, query, format).await?;
        return Ok(rendered.respond(&asked.known));
    }
    let tip = tips.current().await?;
    let key = |kind| asked.head_key(kind, format);
    let unchanged = kept(&tip, key(DocumentKind::HeadUnchanged), || {
        let document = build::head(&tip.state, Vec::new(), format, &query.carried());
        let tag = respond::tag(&document, format, "head", query);
        let headers = respond::headers(&document, format, &tag, Caching::of(query));
        Some(Rendered::new(headers, Vec::new()))
    });
    if let Some(unchanged) = unchanged.filter(|unchanged| asked.known.is(unchanged.tag())) {
        return Ok(unchanged.unchanged());
    }
    let key = key(DocumentKind::Head);
    if let Some(rendered) = tip.document(&key) {
        return Ok(rendered.respond(&asked.known));
    }
    let (state, rendered) = Box::pin(newest_page(log, tips, query, format)).await?;
    // Something may have been appended meanwhile.
    if state == tip.state {
        tip.keep(key, &rendered);
    }
    Ok(rendered.respond(&asked.known))
}

/// The whole open page, padded from the last sealed one, and the feed at that moment.
async fn newest_page(
    log: &Log,
    tips: &Tips,
    query: &FeedQuery,
    format: Format,
) -> Result<(FeedState, Rendered), Problem> {
    let (state, mut events) = log.read(Window::NewestPage).await?;
    tips.saw(&state);
    if let Some(limit) = query.limit {
        let more = events.len().saturating_sub(limit as usize);
        events.drain(..more);
    }
    let document = build::head(&state, events, format, &query.carried());
    let tag = respond::tag(&document, format, "head", query);
    let rendered = respond::rendered(&document, format, &tag, Caching::of(query));
    Ok((state, rendered))
}

/// What the feed's known end says to a request for its tail.
pub(super) enum AtKnownEnd {
    /// The answer.
    Answer(Response),
    /// There is nothing behind this yet, and the reader would like to wait so long.
    Waits(Cursor, Duration),
    /// The store has to be asked.
    Unknown,
}

/// The head document, if it was made before.
pub(super) fn known_head(tips: &Tips, asked: &Asked, format: Format) -> Option<Response> {
    let is_plain = asked.query.check_head().is_ok() && asked.query.limit.is_none();
    let tip = tips.known().filter(|_| is_plain)?;
    let unchanged = tip.document(&asked.head_key(DocumentKind::HeadUnchanged, format))?;
    if asked.known.is(unchanged.tag()) {
        return Some(unchanged.unchanged());
    }
    let head = tip.document(&asked.head_key(DocumentKind::Head, format))?;
    Some(head.respond(&asked.known))
}

/// The tail, without a look at the store where the feed's end is known and is all that is asked for.
pub(super) fn known_tail(tips: &Tips, asked: &Asked, format: Format, begin: Begin) -> AtKnownEnd {
    let wants_all = asked.query.filter.is_empty() && asked.query.limit.is_none();
    let Begin::After(after) = begin else {
        return AtKnownEnd::Unknown;
    };
    let Some(tip) = tips.known().filter(|_| wants_all) else {
        return AtKnownEnd::Unknown;
    };
    let Some(from) = tip.place(&after) else {
        return AtKnownEnd::Unknown;
    };
    // Behind a page's end there may be a whole page to be redirected to.
    if build::sealed_after(&tip.state, from.position).is_some() {
        return AtKnownEnd::Unknown;
    }
    if let Some(wait) = asked.wait().filter(|wait| !wait.is_zero())
        && from == tip.state.head
    {
        asked.reader.asks_after(from.position);
        return AtKnownEnd::Waits(from, wait);
    }
    let Some(rendered) = at_tip(&tip, asked, format, from) else {
        return AtKnownEnd::Unknown;
    };
    asked.reader.asks_after(from.position);
    AtKnownEnd::Answer(asked.answer(&rendered))
}

pub(super) async fn tail(
    log: &Log,
    tips: &Tips,
    asked: Asked,
    format: Format,
    begin: Begin,
) -> Result<Response, Problem> {
    let wanted = asked.wanted();
    let from = after(log, begin).await?;
    let found = wanted.look(log, tips, &from).await?;
    asked.reader.asks_after(found.from.position);
    if is_redirected(&asked.query, begin, &wanted)
        && let Some(page) = build::sealed_after(&found.state, found.from.position)
    {
        let location = build::archive_link(&found.state, page, format);
        return Ok(respond::redirect(&location));
    }
    match asked.wait().filter(|wait| !wait.is_zero()) {
        Some(wait) if found.is_in_vain() => {
            let places = (found.from, found.upto);
            Box::pin(waited(log, tips, asked, format, places, wait)).await
        }
        _ => Ok(asked.answer(&rendered(found, &asked, &wanted, format))),
    }
}

/// The tail document of a feed's known end for those who want all that is behind `from`: made once for all of them.
fn at_tip(tip: &Tip, asked: &Asked, format: Format, from: Cursor) -> Option<Rendered> {
    kept(tip, asked.key(DocumentKind::Tail(from), format), || {
        let wanted = asked.wanted();
        let found = wanted.at_tip(tip, from)?;
        Some(rendered(found, asked, &wanted, format))
    })
}

/// A document that was made of the tip before, or that `make` makes of it now.
fn kept(tip: &Tip, key: DocumentKey, make: impl FnOnce() -> Option<Rendered>) -> Option<Rendered> {
    if let Some(rendered) = tip.document(&key) {
        return Some(rendered);
    }
    let rendered = make()?;
    tip.keep(key, &rendered);
    Some(rendered)
}

fn rendered(found: Found, asked: &Asked, wanted: &Wanted, format: Format) -> Rendered {
    let from = found.from.to_string();
    let document = build::tail(found, wanted, format, &asked.query);
    let tag = respond::tag(&document, format, &from, &asked.query);
    respond::rendered(&document, format, &tag, asked.caching())
}

/// The place to begin at, when a time may stand for it.
pub(super) async fn after(log: &Log, begin: Begin) -> Result<After, Problem> {
    Ok(match begin {
        Begin::After(after) => after,
        Begin::Since(time) => After::Cursor(Box::pin(log.cursor_before(time)).await?),
    })
}

/// Whether a whole page of the archive does as well: only for readers who gave a place that a page can begin at, and
/// who want all that is on it.
fn is_redirected(query: &FeedQuery, begin: Begin, wanted: &Wanted) -> bool {
    let is_place = matches!(begin, Begin::After(After::Start | After::Cursor(_)));
    is_place && !query.http_feeds && wanted.is_all()
}

/// Waits until there is a wanted event, the time is over, or the service stops. What was looked at without finding any is
/// not looked at again: the document is the one behind `from`, up to `upto` nothing was found.
pub(super) async fn waited(
    log: &Log,
    tips: &Tips,
    asked: Asked,
    format: Format,
    (from, mut upto): (Cursor, Cursor),
    wait: Duration,
) -> Result<Response, Problem> {
    let asked = asked.detached();
    let wanted = asked.wanted();
    // Only now a place is taken, so that those who need not wait are never sent away.
    let mut waiter = tips.wait()?;
    let _waiting = asked.reader.waits();
    let deadline = Instant::now() + wait;
    let mut is_over = false;
    loop {
        // Interest is registered: what was appended meanwhile is seen by looking again.
        let mut found = wanted.look(log, tips, &After::Cursor(upto)).await?;
        if is_over || !found.is_in_vain() {
            found.from = from;
            return Ok(asked.answer(&rendered(found, &asked, &wanted, format)));
        }
        upto = found.upto;
        drop(found);
        asked.stopping.waits();
        let Some(tip) = woken(&mut waiter, upto, deadline, &asked.stopping).await else {
            is_over = true;
            continue;
        };
        if wanted.is_all()
            && let Some(rendered) = at_tip(&tip, &asked, format, from)
        {
            return Ok(asked.answer(&rendered));
        }
        match wanted.at_tip(&tip, upto) {
            Some(mut found) if !found.is_in_vain() => {
                found.from = from;
                return Ok(asked.answer(&rendered(found, &asked, &wanted, format)));
            }
            Some(found) => upto = found.upto,
            // It may be the end of a history that is lost: without a look at it, it would end the waiting for ever.
            None => drop(tips.current().await?),
        }
    }
}

/// The feed's end once it has events behind `upto`; none when the time is over, or the service stops.
async fn woken(
    waiter: &mut Waiter,
    upto: Cursor,
    deadline: Instant,
    stopping: &Stopping,
) -> Option<std::sync::Arc<Tip>> {
    tokio::select! {
        tip = waiter.beyond(upto.position) => Some(tip),
        () = tokio::time::sleep_until(deadline) => None,
        () = stopping.cancelled() => None,
    }
}

impl From<super::feed_query::QueryError> for Problem {
    fn from(error: super::feed_query::QueryError) -> Self {
        use super::feed_query::QueryError;
        let kind = match &error {
            QueryError::Unknown(_) | QueryError::Twice(_) => &problem_types::PARAMETER_UNKNOWN,
            QueryError::Cursor(error) => return resolve::malformed(error),
            QueryError::Invalid(_) => &problem_types::PARAMETER_INVALID,
            QueryError::Conflict(_) => &problem_types::PARAMETER_CONFLICT,
        };
        Problem::new(kind, error.to_string())
    }
}
