//! What all rules share: where the feed is, how new events are made, and what was read before they began.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use feed_core::client::{ClientError, ClientOptions, FeedClient};
use feed_core::limits::PAGE_CAPACITY_MAX;
use feed_core::{Cursor, Event, Format};
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::Options;
use super::append::Append;
use super::ask::error_chain;
use super::problems::Journal;
use super::rule::{Fault, skipped};
use super::walk::{Walk, walk};
use crate::text::counted;

/// Most runs of the appender before the rules begin.
const FILL_RUNS_MAX: u64 = 250;
/// Pages that are to be sealed before the rules begin.
const SEALED_WANTED: u64 = 2;
/// How long an appended event may take to become visible, in milliseconds.
const VISIBLE_MS_MAX: u64 = 10_000;
/// Time between two looks for an appended event, in milliseconds.
const LOOK_INTERVAL_MS: u64 = 25;

/// Why no rule could be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A rule that there is not.
    #[error("{0}")]
    Rule(String),
    /// The feed's URL cannot be used.
    #[error(transparent)]
    Url(#[from] ClientError),
    /// The server was not reached.
    #[error("{url} cannot be reached: {reason}")]
    Connect {
        /// The feed's URL.
        url: String,
        /// What happened, with its causes.
        reason: String,
    },
    /// The appender failed.
    #[error("no event could be appended: {0}")]
    Append(String),
}

/// What all rules ask with, and what was found out before they began.
pub(super) struct Kit {
    pub(super) http: reqwest::Client,
    /// The feed's own URL.
    pub(super) feed: Url,
    pub(super) token: Option<String>,
    pub(super) timeout: Duration,
    append: Option<Append>,
    /// Requests in a row that were not answered.
    pub(super) silent: AtomicU32,
    /// Bytes that were read.
    pub(super) bytes: AtomicU64,
    pub(super) journal: Mutex<Journal>,
    /// The feed's entry in the list of feeds.
    pub(super) listed: Option<Value>,
    /// Events in a page, as the list says it, else as a sealed page shows it.
    pub(super) capacity: Option<u64>,
    /// The feed from its start on.
    pub(super) walk: Walk,
}

impl Kit {
    /// Looks at the feed, appends what the rules need, and walks over it.
    ///
    /// # Errors
    /// When the URL cannot be used, nobody answers there, or the appender fails.
    pub(super) async fn prepare(options: &Options) -> Result<Kit, SetupError> {
        let client = FeedClient::new(&options.feed_url, ClientOptions::default())?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Bytes and headers are judged as they come.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .connect_timeout(options.timeout)
            .user_agent(concat!("feedctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| unreachable(client.feed(), &error))?;
        let mut kit = Kit {
            http,
            feed: client.feed().clone(),
            token: options.bearer_token.clone(),
            timeout: options.timeout,
            append: options.append.clone(),
            silent: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            journal: Mutex::default(),
            listed: None,
            capacity: None,
            walk: Walk::default(),
        };
        if let Err(error) = kit
            .begin(Method::GET, &kit.feed, &[], options.timeout)
            .await
            && error.is_connect()
        {
            return Err(unreachable(&kit.feed, &error));
        }
        kit.listed = kit.list_entry().await;
        let listed = kit.listed.as_ref();
        kit.capacity = listed
            .and_then(|entry| entry.get("page_capacity")?.as_u64())
            // With another one nothing is reckoned; that it is wrong is for rule B1 to tell.
            .filter(|capacity| (1..=u64::from(PAGE_CAPACITY_MAX)).contains(capacity));
        kit.fill().await?;
        kit.walk = walk(&kit, options.events_max).await;
        kit.capacity = kit.capacity.or_else(|| kit.walk.sealed_length());
        Ok(kit)
    }

    /// The feed's entry in the list; what is wrong with the list is rule R1's to tell.
    async fn list_entry(&self) -> Option<Value> {
        let list = self.list();
        let reply = self.get(&list, &[]).await.ok()?;
        let body = reply.json().ok()?;
        let entries = body.get("feeds")?.as_array()?;
        let is_ours = |entry: &&Value| {
            let href = entry.get("href").and_then(Value::as_str);
            href.and_then(|href| list.join(href).ok()).as_ref() == Some(&self.feed)
        };
        entries.iter().find(is_ours).cloned()
    }

    /// Appends until there are two sealed pages and something behind them, if that takes not too many runs.
    async fn fill(&self) -> Result<(), SetupError> {
        let Some(append) = &self.append else {
            return Ok(());
        };
        // A server that does not tell its head is judged by the rules; the appender has to work all the same.
        let Ok(head) = self.newest().await else {
            return append.run().await.map_err(SetupError::Append);
        };
        let position = head.position.get();
        let pages = |pages: u64| self.capacity.map(|capacity| pages * capacity + 1);
        let target = (1..=SEALED_WANTED)
            .rev()
            .filter_map(pages)
            .find(|target| target.saturating_sub(position) <= FILL_RUNS_MAX)
            .unwrap_or(0)
            .max(position + 1)
            .max(4);
        let mut at = position;
        for _ in 0..FILL_RUNS_MAX {
            if at >= target {
                break;
            }
            append.run().await.map_err(SetupError::Append)?;
            match self.newest().await {
                Ok(head) => at = head.position.get(),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// The list of feeds, which the feed's own URL is below of.
    pub(super) fn list(&self) -> Url {
        let mut list = self.feed.clone();
        if let Ok(mut segments) = list.path_segments_mut() {
            segments.pop();
        }
        list
    }

    /// The feed's own URL with these parameters.
    pub(super) fn at(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.feed.clone();
        for (name, value) in parameters {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    }

    /// The tail behind `after`.
    pub(super) fn after(&self, after: impl ToString) -> Url {
        self.at(&[("after", &after.to_string())])
    }

    /// A URL below the feed's own, such as `events/…`.
    pub(super) fn below(&self, path: &str) -> Url {
        let mut url = self.feed.clone();
        url.set_path(&format!("{}/{path}", self.feed.path()));
        url
    }

    /// A sealed page among those that were walked over.
    pub(super) fn page_url(&self, page: u64, format: Format) -> Option<Url> {
        let last = usize::try_from(page.checked_mul(self.capacity?)?.checked_sub(1)?).ok()?;
        let epoch = self.walk.events.get(last)?.epoch;
        Some(self.below(&format!("archive/{epoch}/{page}.r1.{}", format.extension())))
    }

    /// How many sealed pages were walked over.
    pub(super) fn sealed_pages(&self) -> u64 {
        let capacity = self.capacity.unwrap_or(u64::MAX);
        self.walk.events.len() as u64 / capacity
    }

    /// # Errors
    /// Skips when fewer than `pages` sealed pages were walked over.
    pub(super) fn need_sealed(&self, pages: u64) -> Result<u64, Fault> {
        let Some(capacity) = self.capacity else {
            return skipped(format!(
                "the feed does not tell its page capacity, and has no sealed page{}",
                self.walk.why_short()
            ));
        };
        let sealed = self.sealed_pages();
        if sealed >= pages {
            return Ok(capacity);
        }
        let needed = pages.saturating_mul(capacity);
        skipped(format!(
            "needs {}, {} could be read{}",
            counted(needed, "event"),
            self.walk.events.len(),
            self.walk.why_short()
        ))
    }

    /// The events that were walked over.
    ///
    /// # Errors
    /// Skips when they are fewer than `count`.
    pub(super) fn need_events(&self, count: usize) -> Result<&[Event], Fault> {
        let events = &self.walk.events;
        if events.len() >= count {
            return Ok(events);
        }
        skipped(format!(
            "needs {}, {} could be read{}",
            counted(count as u64, "event"),
            events.len(),
            self.walk.why_short()
        ))
    }

    /// The cursor of the newest event.
    pub(super) async fn newest(&self) -> Result<Cursor, Fault> {
        let json = [("accept", Format::Json.media_type())];
        let reply = self.get(&self.after("now"), &json).await?;
        reply.expect(200)?.head()
    }

    /// Whether new events can be made.
    ///
    /// # Errors
    /// Skips when they cannot.
    pub(super) fn need_append(&self) -> Result<&Append, Fault> {
        match &self.append {
            Some(append) => Ok(append),
            None => skipped("needs a new event: say by --append how one is made"),
        }
    }

    /// Makes an event, and waits until it is visible behind the newest one of now.
    ///
    /// # Errors
    /// Skips when no event can be made; fails when none comes into sight.
    pub(super) async fn append(&self) -> Result<Vec<Event>, Fault> {
        let append = self.need_append()?;
        let before = self.newest().await?;
        if let Err(reason) = append.run().await {
            return skipped(format!("no event could be appended: {reason}"));
        }
        let url = self.after(before);
        let begun = Instant::now();
        loop {
            let reply = self.document(&url, Format::Json).await?;
            let events = reply.events()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if begun.elapsed() > Duration::from_millis(VISIBLE_MS_MAX) {
                return Err(reply.fault("an event was appended, and none came within 10 s"));
            }
            tokio::time::sleep(Duration::from_millis(LOOK_INTERVAL_MS)).await;
        }
    }
}

fn unreachable(url: &Url, error: &reqwest::Error) -> SetupError {
    SetupError::Connect {
        url: url.to_string(),
        reason: error_chain(error),
    }
}
