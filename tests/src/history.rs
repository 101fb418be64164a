//! All events of a feed, read over HTTP and verified as any reader would.

use feed_core::client::{ClientOptions, FeedClient, FetchOptions, Fetched, Seen, verify};
use feed_core::{After, Event};
use url::Url;

use crate::failure::{Context, Failure};

/// Part of the failure when a document's head lies before its own events.
pub const HEAD_BEHIND: &str = "lies before its last event";

/// What a feed has said so far.
#[derive(Debug)]
pub struct History {
    client: FeedClient,
    seen: Seen,
    /// Where to read on.
    next: Url,
    events: Vec<Event>,
}

impl History {
    /// Nothing yet of the feed `feed` of the service at `base_url`.
    ///
    /// # Errors
    /// When that is no URL.
    pub fn new(base_url: &str, feed: &str) -> Result<Self, Failure> {
        let url = format!("{base_url}/feeds/{feed}");
        let client = FeedClient::new(&url, ClientOptions::default()).context("the feed")?;
        Ok(History {
            next: client.tail(&After::Start),
            seen: Seen::Nothing,
            events: Vec::new(),
            client,
        })
    }

    /// The whole feed as it is now.
    ///
    /// # Errors
    /// When it cannot be read or does not hold together.
    pub async fn read(base_url: &str, feed: &str) -> Result<Vec<Event>, Failure> {
        let mut history = History::new(base_url, feed)?;
        while history.read_on().await? {}
        Ok(history.events)
    }

    /// The feed's URL.
    pub fn url(&self) -> &Url {
        self.client.feed()
    }

    /// All that was read, oldest first.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Reads one document. Returns whether more can be read at once.
    ///
    /// # Errors
    /// When it cannot be read, or its events do not follow on from those before.
    pub async fn read_on(&mut self) -> Result<bool, Failure> {
        let fetched = self.client.fetch(&self.next, FetchOptions::default()).await;
        let page = match fetched.context("reading a feed")? {
            Fetched::Page(page) => *page,
            Fetched::NotModified => return Ok(false),
        };
        let fresh = verify(self.seen, page.document.events).context(&page.url)?;
        if let Some(last) = fresh.last() {
            self.seen = Seen::Cursor(last.cursor());
            if let Some(head) = page
                .document
                .head
                .filter(|head| head.position < last.position)
            {
                return Err(Failure::new(format!(
                    "{}: its head {} {HEAD_BEHIND} {}",
                    page.url,
                    head.position,
                    last.cursor()
                )));
            }
        }
        self.events.extend(fresh);
        let after = match self.seen {
            Seen::Nothing => After::Start,
            Seen::Cursor(cursor) => After::Cursor(cursor),
        };
        let caught_up = page.document.caught_up.unwrap_or(false);
        self.next = match page.next {
            Some(next) if !caught_up => next,
            _ => self.client.tail(&after),
        };
        Ok(!caught_up)
    }
}
