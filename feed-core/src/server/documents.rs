//! The head and the tail: what stands at a feed's own URL.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use super::consumers::Reader;
use super::feed_query::{Begin, FeedQuery};
use super::look::{Found, Wanted};
use super::prefer::{self, PREFERENCE_APPLIED};
use super::problem::Problem;
use super::problem_types;
use super::respond::{self, Caching};
use super::stopping::Stopping;
use super::tips::{Tips, Waiter};
use super::{build, resolve};
use crate::document::Format;
use crate::position::{After, Cursor};
use crate::store::{Log, Window};

/// What a request at a feed's own URL says, in the order in which it goes through here.
pub(super) struct Asked<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: &'a FeedQuery,
    pub(super) reader: Reader,
    pub(super) stopping: Stopping,
}

pub(super) async fn head(
    log: &Log,
    asked: &Asked<'_>,
    format: Format,
) -> Result<Response, Problem> {
    asked.query.check_head()?;
    // The whole open page, padded from the last sealed one.
    let (state, mut events) = log.read(Window::NewestPage).await?;
    if let Some(limit) = asked.query.limit {
        let more = events.len().saturating_sub(limit as usize);
        events.drain(..more);
    }
    let document = build::head(&state, events, format, &asked.query.carried());
    let tag = respond::tag(&document, format, "head", asked.query);
    Ok(respond::document(
        asked.headers,
        &document,
        format,
        &tag,
        Caching::of(asked.query),
    ))
}

pub(super) async fn tail(
    log: &Log,
    tips: &Tips,
    asked: &Asked<'_>,
    format: Format,
    begin: Begin,
) -> Result<Response, Problem> {
    let query = asked.query;
    let preferred = prefer::wait(asked.headers).filter(|_| query.wait.is_none());
    let wait = query.wait.or(preferred);
    let wanted = Wanted {
        filter: query.filter.clone(),
        limit: query.limit,
    };
    let mut found = wanted.look(log, &after(log, begin).await?).await?;
    asked.reader.asks_after(found.from.position);
    if is_redirected(query, begin, &wanted)
        && let Some(page) = build::sealed_after(&found.state, found.from.position)
    {
        let location = build::archive_link(&found.state, page, format);
        return Ok(respond::redirect(&location));
    }
    if let Some(wait) = wait.filter(|wait| !wait.is_zero())
        && found.is_in_vain()
    {
        // Only now a place is taken, so that those who need not wait are never sent away.
        let waiter = tips.wait()?;
        let _waiting = asked.reader.waits();
        let after = After::Cursor(found.upto);
        // Interest is registered: what was appended meanwhile is seen by looking again.
        let again = wanted.look(log, &after).await?;
        found = until_found(
            log,
            &wanted,
            (found.from, again),
            waiter,
            wait,
            &asked.stopping,
        )
        .await?;
    }
    let from = found.from.to_string();
    let document = build::tail(found, &wanted, format, query);
    let tag = respond::tag(&document, format, &from, query);
    let caching = match wait {
        Some(_) => Caching::waited(query),
        None => Caching::of(query),
    };
    let mut response = respond::document(asked.headers, &document, format, &tag, caching);
    if let Some(preferred) = preferred
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", preferred.as_secs()))
    {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// The place to begin at, when a time may stand for it.
pub(super) async fn after(log: &Log, begin: Begin) -> Result<After, Problem> {
    Ok(match begin {
        Begin::After(after) => after,
        Begin::Since(time) => After::Cursor(log.cursor_before(time).await?),
    })
}

/// Whether a whole page of the archive does as well: only for readers who gave a place that a page can begin at, and
/// who want all that is on it.
fn is_redirected(query: &FeedQuery, begin: Begin, wanted: &Wanted) -> bool {
    let is_place = matches!(begin, Begin::After(After::Start | After::Cursor(_)));
    is_place && !query.http_feeds && wanted.is_all()
}

/// Looks again and again until there is a wanted event, the time is over, or the service stops. What was looked at
/// without finding any is not looked at again.
async fn until_found(
    log: &Log,
    wanted: &Wanted,
    (asked_from, mut found): (Cursor, Found),
    mut waiter: Waiter,
    wait: Duration,
    stopping: &Stopping,
) -> Result<Found, Problem> {
    let deadline = Instant::now() + wait;
    while found.is_in_vain() {
        let from = found.upto;
        let tip = tokio::select! {
            tip = waiter.beyond(from.position) => tip,
            () = tokio::time::sleep_until(deadline) => break,
            () = stopping.cancelled() => break,
        };
        found = match wanted.at_tip(&tip, from) {
            Some(found) => found,
            None => wanted.look(log, &After::Cursor(from)).await?,
        };
    }
    // The document is the one behind the cursor that was asked for.
    found.from = asked_from;
    Ok(found)
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
