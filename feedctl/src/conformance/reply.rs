//! One answer, and what a rule asks of it. Whatever is missing becomes a fault that names the request.

use std::time::Duration;

use feed_core::client::problem_slug;
use feed_core::{Cursor, Event, Format, atom, json};
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::link::{Link, parse_links};
use super::rule::Fault;

/// Longest text of a header or a problem's detail that is told, in characters.
const TOLD_CHARS_MAX: usize = 120;

/// What came back, redirects and errors included.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// `GET /feeds/orders?after=start`, with the headers that matter.
    pub(super) request: String,
    pub(super) url: Url,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// From the request until the whole answer was there.
    pub(super) took: Duration,
}

impl Reply {
    /// The request and its status, for what was seen.
    pub(super) fn said(&self) -> String {
        format!("{}: {}", self.request, self.status)
    }

    /// A broken rule, and what was seen of it.
    pub(super) fn fault(&self, seen: impl std::fmt::Display) -> Fault {
        Fault::Failed(format!("{}: {seen}", self.said()))
    }

    /// Fails unless `holds`; `seen` says what was seen instead.
    pub(super) fn ensure(&self, holds: bool, seen: impl std::fmt::Display) -> Result<(), Fault> {
        if holds { Ok(()) } else { Err(self.fault(seen)) }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The header's values, of all lines with this name, in one list.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|item| item.trim().to_ascii_lowercase())
            .filter(|item| !item.is_empty())
            .collect()
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, Fault> {
        self.header(name)
            .ok_or_else(|| self.fault(format_args!("there is no {name} header")))
    }

    /// The header is exactly this.
    pub(super) fn expect_header(&self, name: &str, value: &str) -> Result<(), Fault> {
        let found = self.need(name)?;
        self.ensure(
            found == value,
            format_args!("{name} is {:?}, expected {value:?}", short(found)),
        )
    }

    pub(super) fn expect(&self, status: u16) -> Result<&Self, Fault> {
        if self.status == status {
            return Ok(self);
        }
        let detail = self
            .problem()
            .map(|(slug, detail)| format!(" ({slug}: {detail})"));
        Err(self.fault(format_args!(
            "expected {status}{}",
            short(&detail.unwrap_or_default())
        )))
    }

    /// A problem with this status and type.
    pub(super) fn expect_problem(&self, status: u16, slug: &str) -> Result<Value, Fault> {
        self.expect(status)?;
        let (found, _) = self
            .problem()
            .ok_or_else(|| self.fault("the body is no problem+json"))?;
        self.ensure(
            found == slug,
            format_args!(
                "the problem's type ends in {:?}, expected {slug:?}",
                short(&found)
            ),
        )?;
        serde_json::from_slice(&self.body).map_err(|error| self.fault(error))
    }

    /// The word and the detail of a problem.
    fn problem(&self) -> Option<(String, String)> {
        if self.media_type() != "application/problem+json" {
            return None;
        }
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        Some((
            problem_slug(text("type")).to_owned(),
            text("detail").to_owned(),
        ))
    }

    /// A redirect of 307. Returns where it leads.
    pub(super) fn expect_redirect(&self) -> Result<Url, Fault> {
        self.expect(307)?;
        let location = self.need("location")?;
        self.url
            .join(location)
            .map_err(|error| self.fault(format_args!("location {:?}: {error}", short(location))))
    }

    /// The media type without its parameters, in lower case.
    pub(super) fn media_type(&self) -> String {
        let found = self.header("content-type").unwrap_or_default();
        let essence = found.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }

    pub(super) fn expect_media_type(&self, media_type: &str) -> Result<(), Fault> {
        let found = self.media_type();
        self.ensure(
            found == media_type,
            format_args!("content-type is {:?}, expected {media_type}", short(&found)),
        )
    }

    pub(super) fn links(&self) -> Result<Vec<Link>, Fault> {
        let mut links = Vec::new();
        for value in self.headers.get_all("link") {
            let text = value.to_str().map_err(|error| self.fault(error))?;
            let parsed = parse_links(text)
                .map_err(|reason| self.fault(format_args!("the Link header is none: {reason}")))?;
            links.extend(parsed);
        }
        Ok(links)
    }

    /// The target of the link with this relation, resolved.
    pub(super) fn link(&self, relation: &str) -> Result<Option<Url>, Fault> {
        let links = self.links()?;
        let Some(link) = links.iter().find(|link| link.has(relation)) else {
            return Ok(None);
        };
        let resolved = self.url.join(&link.target);
        resolved
            .map(Some)
            .map_err(|error| self.fault(format_args!("{:?}: {error}", short(&link.target))))
    }

    pub(super) fn need_link(&self, relation: &str) -> Result<Url, Fault> {
        self.link(relation)?
            .ok_or_else(|| self.fault(format_args!("the Link header has no rel={relation}")))
    }

    /// The representation that its header says.
    pub(super) fn format(&self) -> Result<Format, Fault> {
        let found = self.media_type();
        [Format::Atom, Format::Json]
            .into_iter()
            .find(|format| format.media_type() == found)
            .ok_or_else(|| {
                self.fault(format_args!(
                    "content-type {:?} is no feed document",
                    short(&found)
                ))
            })
    }

    /// The events, in the document's order.
    pub(super) fn events(&self) -> Result<Vec<Event>, Fault> {
        let read = match self.format()? {
            Format::Json => json::read_batch(&self.body),
            Format::Atom => atom::read_feed(&self.body).map(|document| document.events),
        };
        read.map_err(|error| self.fault(error))
    }

    /// The positions of its events.
    pub(super) fn positions(&self) -> Result<Vec<u64>, Fault> {
        Ok(self
            .events()?
            .iter()
            .map(|event| event.position.get())
            .collect())
    }

    pub(super) fn json(&self) -> Result<Value, Fault> {
        serde_json::from_slice(&self.body)
            .map_err(|error| self.fault(format_args!("the body is no JSON: {error}")))
    }

    /// What `Feed-Head` says.
    pub(super) fn head(&self) -> Result<Cursor, Fault> {
        let text = self.need("feed-head")?;
        text.parse()
            .map_err(|error| self.fault(format_args!("Feed-Head: {error}")))
    }

    /// What `Feed-Caught-Up` says.
    pub(super) fn caught_up(&self) -> Result<bool, Fault> {
        match self.need("feed-caught-up")? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(self.fault(format_args!("Feed-Caught-Up is {:?}", short(other)))),
        }
    }

    /// The cursor in the `after` of the link `next`.
    pub(super) fn next_cursor(&self) -> Result<Cursor, Fault> {
        let next = self.need_link("next")?;
        let after = parameter(&next, "after").unwrap_or_default();
        after.parse().map_err(|error| {
            self.fault(format_args!("next has after={:?}: {error}", short(&after)))
        })
    }
}

/// The first value of a URL's parameter.
pub(super) fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

/// A server's text, short enough to be told.
pub(super) fn short(text: &str) -> String {
    crate::text::cut(text, TOLD_CHARS_MAX)
}
