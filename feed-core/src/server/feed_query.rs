//! The parameters of a feed's own URL: parsed at the edge, and written into links again. Pure.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use url::form_urlencoded;

use crate::document::Format;
use crate::error::InvalidValue;
use crate::event::{EventType, Subject};
use crate::filter::Filter;
use crate::limits::{PAGE_CAPACITY_MAX, WAIT_MS_MAX};
use crate::position::After;

/// Where the tail that is asked for begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Behind this.
    After(After),
    /// With the first event that was recorded at that time or later.
    Since(DateTime<Utc>),
}

/// The representations of a feed's own URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForm {
    /// A document.
    Document(Format),
    /// The event stream (`text/event-stream`).
    Stream,
}

/// What the query string of a feed's own URL asks for.
///
/// ```
/// use feed_core::server::FeedQuery;
/// let query = FeedQuery::parse("after=start&type=OrderCreated&limit=5")?;
/// assert_eq!(query.limit, Some(5));
/// assert_eq!(query.carried(), "&type=OrderCreated&limit=5");
/// assert!(FeedQuery::parse("after=start&tpye=OrderCreated").is_err());
/// # Ok::<(), feed_core::server::QueryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedQuery {
    /// Where the tail begins; none: the head document.
    pub begin: Option<Begin>,
    /// Which events are wanted.
    pub filter: Filter,
    /// Most events.
    pub limit: Option<u32>,
    /// The representation, whatever `Accept` says.
    pub form: Option<FeedForm>,
    /// How long to wait for an event; [`WAIT_MS_MAX`] at most.
    pub wait: Option<Duration>,
    /// Whether it is asked by the HTTP Feeds convention.
    pub http_feeds: bool,
}

/// A query that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing is known by this name.
    #[error(
        "{0:?} is unknown; after, since, type, subject, limit, format and wait are known, and lastEventId and timeout"
    )]
    Unknown(String),
    /// It may stand once.
    #[error("{0:?} is given twice")]
    Twice(String),
    /// It is no cursor.
    #[error(transparent)]
    Cursor(InvalidValue),
    /// The parameter cannot have this value.
    #[error(transparent)]
    Invalid(InvalidValue),
    /// These do not go together.
    #[error("{0}")]
    Conflict(&'static str),
}

/// The parameters as texts, each once.
#[derive(Default)]
struct Texts<'a> {
    after: Option<Text<'a>>,
    since: Option<Text<'a>>,
    limit: Option<Text<'a>>,
    format: Option<Text<'a>>,
    wait: Option<Text<'a>>,
    last_event_id: Option<Text<'a>>,
    timeout: Option<Text<'a>>,
}

type Text<'a> = std::borrow::Cow<'a, str>;

impl FeedQuery {
    /// Parses what stands behind the `?`.
    ///
    /// # Errors
    /// [`QueryError`] names the parameter and what it may be.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        // What nearly all pollers ask for, in characters that mean nothing else.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
        if let Some(after) = query.strip_prefix("after=")
            && after.bytes().all(plain)
        {
            let after = after.parse().map_err(QueryError::Cursor)?;
            return Ok(FeedQuery {
                begin: Some(Begin::After(after)),
                ..FeedQuery::default()
            });
        }
        let mut texts = Texts::default();
        let mut filter = Filter::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "type" => {
                    let one = EventType::new(value).map_err(QueryError::Invalid)?;
                    filter.add_type(one).map_err(QueryError::Invalid)?;
                    continue;
                }
                "subject" => {
                    let one = Subject::new(value).map_err(QueryError::Invalid)?;
                    filter.add_subject(one).map_err(QueryError::Invalid)?;
                    continue;
                }
                "after" => &mut texts.after,
                "since" => &mut texts.since,
                "limit" => &mut texts.limit,
                "format" => &mut texts.format,
                "wait" => &mut texts.wait,
                "lastEventId" => &mut texts.last_event_id,
                "timeout" => &mut texts.timeout,
                _ => return Err(QueryError::Unknown(name.chars().take(80).collect())),
            };
            if place.replace(value).is_some() {
                return Err(QueryError::Twice(name.into_owned()));
            }
        }
        Ok(FeedQuery {
            begin: texts.begin()?,
            filter,
            limit: texts.limit.as_deref().map(limit).transpose()?,
            form: texts.format.as_deref().map(form).transpose()?,
            wait: texts.wait()?,
            http_feeds: texts.last_event_id.is_some() || texts.timeout.is_some(),
        })
    }

    /// Whether the head document can be had by this query.
    pub(super) fn check_head(&self) -> Result<(), QueryError> {
        if !self.filter.is_empty() {
            return Err(QueryError::Conflict(
                "the head document is not filtered: ask for the tail, such as after=start",
            ));
        }
        if self.wait.is_some() {
            return Err(QueryError::Conflict(
                "the head document is not waited for: ask for the tail, such as after=now",
            ));
        }
        Ok(())
    }

    /// Whether the event stream can be had by this query.
    pub(super) fn check_stream(&self) -> Result<(), QueryError> {
        if self.limit.is_some() || self.wait.is_some() {
            return Err(QueryError::Conflict(
                "an event stream has no end: limit, wait and timeout are for documents",
            ));
        }
        Ok(())
    }

    /// The part of the query that links to the head document carry on: as [`carried`](Self::carried), without the
    /// filter, which the head does not take.
    pub(super) fn carried_to_head(&self) -> String {
        let unfiltered = FeedQuery {
            limit: self.limit,
            form: self.form,
            ..FeedQuery::default()
        };
        unfiltered.carried()
    }

    /// The part of the query that links to the same feed carry on, behind a cursor: empty, or begins with `&`.
    pub fn carried(&self) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for one in self.filter.types() {
            pairs.append_pair("type", one.as_str());
        }
        for one in self.filter.subjects() {
            pairs.append_pair("subject", one.as_str());
        }
        if let Some(limit) = self.limit {
            pairs.append_pair("limit", &limit.to_string());
        }
        match self.form {
            Some(FeedForm::Document(format)) => {
                pairs.append_pair("format", format.extension());
            }
            Some(FeedForm::Stream) | None => {}
        }
        let pairs = pairs.finish();
        if pairs.is_empty() {
            pairs
        } else {
            format!("&{pairs}")
        }
    }
}

impl Texts<'_> {
    fn begin(&self) -> Result<Option<Begin>, QueryError> {
        let cursor = |text: &str| text.parse().map(Begin::After).map_err(QueryError::Cursor);
        let after = self.last_event_id.as_deref().or(self.after.as_deref());
        match (after, self.since.as_deref()) {
            (Some(_), Some(_)) => Err(QueryError::Conflict(
                "since and a cursor are two places to begin at: give one of them",
            )),
            (None, Some(since)) => Ok(Some(Begin::Since(time(since)?))),
            (Some(""), None) if self.last_event_id.is_some() => {
                Ok(Some(Begin::After(After::Start)))
            }
            (Some(after), None) => cursor(after).map(Some),
            // A client of the HTTP Feeds convention that has seen nothing yet begins at the start.
            (None, None) => Ok(self.timeout.is_some().then_some(Begin::After(After::Start))),
        }
    }

    fn wait(&self) -> Result<Option<Duration>, QueryError> {
        let milliseconds = match (&self.wait, &self.timeout) {
            (Some(_), Some(_)) => {
                return Err(QueryError::Conflict(
                    "wait and timeout mean the same: give one of them",
                ));
            }
            (Some(wait), None) => Some(number("wait", wait, "seconds")?.saturating_mul(1_000)),
            (None, Some(timeout)) => Some(number("timeout", timeout, "milliseconds")?),
            (None, None) => None,
        };
        Ok(milliseconds.map(|wait| Duration::from_millis(wait.min(WAIT_MS_MAX))))
    }
}

fn number(name: &'static str, text: &str, unit: &'static str) -> Result<u64, QueryError> {
    let invalid = || {
        let allowed = if unit == "seconds" {
            "a whole number of seconds"
        } else {
            "a whole number of milliseconds"
        };
        QueryError::Invalid(InvalidValue::new(name, text, allowed))
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(invalid());
    }
    // So many digits that they are no u64 any more still ask for a long time.
    Ok(text.parse().unwrap_or(u64::MAX))
}

fn limit(text: &str) -> Result<u32, QueryError> {
    match text.parse() {
        Ok(limit @ 1..=PAGE_CAPACITY_MAX) if !text.starts_with('+') => Ok(limit),
        _ => Err(QueryError::Invalid(InvalidValue::new(
            "limit",
            text,
            "a whole number from 1 to 10000",
        ))),
    }
}

fn form(text: &str) -> Result<FeedForm, QueryError> {
    match text {
        "atom" => Ok(FeedForm::Document(Format::Atom)),
        "json" => Ok(FeedForm::Document(Format::Json)),
        "sse" => Ok(FeedForm::Stream),
        _ => Err(QueryError::Invalid(InvalidValue::new(
            "format",
            text,
            "atom, json or sse",
        ))),
    }
}

/// A time as in RFC 3339, or a date, which is its midnight in UTC.
fn time(text: &str) -> Result<DateTime<Utc>, QueryError> {
    let invalid = || {
        let allowed = "a time such as 2026-01-31T12:00:00Z, or a date such as 2026-01-31";
        QueryError::Invalid(InvalidValue::new("since", text, allowed))
    };
    // Years have four digits in RFC 3339; chrono takes others too.
    let year = text.bytes().take_while(u8::is_ascii_digit).count();
    if year != 4 {
        return Err(invalid());
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(date.and_time(NaiveTime::MIN).and_utc());
    }
    // A + that was typed into a URL as it is arrives as a space.
    let time = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).map_err(|_| invalid())?;
    // Events are recorded to the microsecond: what was recorded before a fraction of one is not wanted.
    let fraction_ns = i64::from(time.timestamp_subsec_nanos() % 1_000);
    let up = (1_000 - fraction_ns) % 1_000;
    time.to_utc()
        .checked_add_signed(TimeDelta::nanoseconds(up))
        .ok_or_else(invalid)
}

#[cfg(test)]
mod tests;
