//! The feed from its start on, read once for all rules.

use std::ops::Range;

use feed_core::{Event, Format};

use super::kit::Kit;
use super::reply::Reply;
use super::rule::Fault;

/// Most bytes of documents that are kept.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The documents, in the order of the walk, in JSON.
    pub(super) documents: Vec<Walked>,
    /// The events of all of them, in their order.
    pub(super) events: Vec<Event>,
    /// Why it did not come to the newest event, if something is wrong there.
    pub(super) broken: Option<String>,
    /// Whether it ended because it was long enough.
    pub(super) cut: bool,
}

/// One document of the walk.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) reply: Reply,
    /// Its events among those of the walk.
    pub(super) events: Range<usize>,
}

impl Walked {
    /// Whether it is a sealed page, by its URL.
    pub(super) fn is_sealed(&self) -> bool {
        self.reply.url.query().is_none() && self.reply.url.path().contains("/archive/")
    }
}

impl Walk {
    /// Events in the first sealed page that was met.
    pub(super) fn sealed_length(&self) -> Option<u64> {
        let sealed = self
            .documents
            .iter()
            .find(|document| document.is_sealed())?;
        Some(sealed.events.len() as u64).filter(|length| *length > 0)
    }

    /// Why there are not more events, to be put behind what is missing.
    pub(super) fn why_short(&self) -> String {
        match &self.broken {
            Some(reason) => format!(", up to {reason}"),
            None if self.cut => " (--events-max)".to_owned(),
            None => "; --append makes more".to_owned(),
        }
    }
}

/// Follows `next` from the start until nothing comes behind.
pub(super) async fn walk(kit: &Kit, events_max: usize) -> Walk {
    let mut walk = Walk::default();
    if let Err(Fault::Failed(reason) | Fault::Skipped(reason)) =
        follow(kit, events_max, &mut walk).await
    {
        walk.broken = Some(reason);
    }
    walk
}

async fn follow(kit: &Kit, events_max: usize, walk: &mut Walk) -> Result<(), Fault> {
    let mut url = kit.after("start");
    let mut bytes = 0;
    loop {
        let reply = kit.document(&url, Format::Json).await?;
        let begun = walk.events.len();
        let events = reply.events();
        // A document that cannot be read is kept too: rules look at it to say why.
        walk.events
            .extend(events.as_deref().unwrap_or_default().iter().cloned());
        bytes += reply.body.len();
        walk.documents.push(Walked {
            reply: reply.clone(),
            events: begun..walk.events.len(),
        });
        let came = events?.len();
        let sealed = walk.documents.last().is_some_and(Walked::is_sealed);
        // Without the header, a tail without events has to stand for the end.
        let caught_up = match reply.header("feed-caught-up") {
            Some(value) => value == "true",
            None => came == 0 && !sealed,
        };
        if caught_up {
            return Ok(());
        }
        if walk.events.len() >= events_max || bytes > KEPT_BYTES_MAX {
            walk.cut = true;
            return Ok(());
        }
        let next = reply.need_link("next")?;
        reply.ensure(
            next.origin() == kit.feed.origin(),
            format_args!("next leads to another origin, {next}"),
        )?;
        reply.ensure(
            came > 0 || next != url,
            "no event, next leads to itself, and Feed-Caught-Up is not true",
        )?;
        // Each document has an event, but for a few: else a circle of empty ones has no end.
        reply.ensure(
            walk.documents.len() <= walk.events.len() + 10,
            "too many documents without events in a row",
        )?;
        url = next;
    }
}
