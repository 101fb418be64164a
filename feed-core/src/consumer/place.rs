//! Where a subscription begins: a place that is resolved to a cursor once, and saved before anything is read.

use chrono::{DateTime, SecondsFormat, Utc};
use url::Url;

use crate::client::{ClientError, FeedClient, FetchOptions, Fetched, Page};
use crate::event::Event;
use crate::position::{After, Cursor};

/// Where a subscription begins that has no cursor yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// Behind this: the start, what is newest at the time of the first step, a cursor, the event with an id, or that at a
    /// position.
    After(After),
    /// With the first event that was recorded at that time or later.
    Since(DateTime<Utc>),
}

impl StartAt {
    /// Before the first event.
    pub const START: StartAt = StartAt::After(After::Start);
    /// Behind the newest event.
    pub const NOW: StartAt = StartAt::After(After::Now);
}

impl Default for StartAt {
    fn default() -> Self {
        StartAt::START
    }
}

impl FeedClient {
    /// The cursor behind which a reader begins who begins at `place`; none for the start of the feed.
    ///
    /// What is asked for is asked past all caches. A bare position is believed; all that is read behind it is verified.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch); [`ClientError::Refused`] when the feed does not know the place.
    pub async fn resolve(&self, place: StartAt) -> Result<Option<Cursor>, ClientError> {
        match place {
            StartAt::After(After::Start) => Ok(None),
            StartAt::After(After::Cursor(cursor)) => Ok(Some(cursor)),
            StartAt::After(After::Now) => {
                self.head(self.asked(&[("after", "now")])).await.map(Some)
            }
            StartAt::After(After::Position(position)) => self.cursor_at(position.get()).await,
            StartAt::After(after @ After::Event(_)) => {
                self.before_first_of(&[("after", &after.to_string())]).await
            }
            StartAt::Since(time) => {
                let time = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                self.before_first_of(&[("since", &time)]).await
            }
        }
    }

    /// The cursor before the first event that is asked for by these parameters; the newest one's if there is none.
    async fn before_first_of(
        &self,
        parameters: &[(&str, &str)],
    ) -> Result<Option<Cursor>, ClientError> {
        let url = self.asked(&[parameters, &[("limit", "1")]].concat());
        let page = self.document(&url).await?;
        match page.document.events.first() {
            Some(first) => self.cursor_at(first.position.get() - 1).await,
            None => head_of(&url, &page).map(Some),
        }
    }

    /// The cursor of the event at `position`; none for the start.
    async fn cursor_at(&self, position: u64) -> Result<Option<Cursor>, ClientError> {
        if position == 0 {
            return Ok(None);
        }
        Ok(Some(self.event_at(position).await?.cursor()))
    }

    /// The event at `position`, from 1.
    pub(super) async fn event_at(&self, position: u64) -> Result<Event, ClientError> {
        let before = match position.saturating_sub(1) {
            0 => "start".to_owned(),
            before => before.to_string(),
        };
        let url = self.asked(&[("after", &before), ("limit", "1")]);
        let page = self.document(&url).await?;
        let found = page
            .document
            .events
            .into_iter()
            .next()
            .filter(|event| event.position.get() == position);
        found.ok_or_else(|| ClientError::Connection {
            url: url.to_string(),
            reason: format!("it did not send the event at position {position}"),
        })
    }

    async fn head(&self, url: Url) -> Result<Cursor, ClientError> {
        head_of(&url, &self.document(&url).await?)
    }

    fn asked(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.feed().clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    async fn document(&self, url: &Url) -> Result<Page, ClientError> {
        let options = FetchOptions {
            past_caches: true,
            ..FetchOptions::default()
        };
        match self.fetch(url, options).await? {
            Fetched::Page(page) => Ok(*page),
            Fetched::NotModified => Err(ClientError::Connection {
                url: url.to_string(),
                reason: "304 without a tag".into(),
            }),
        }
    }
}

fn head_of(url: &Url, page: &Page) -> Result<Cursor, ClientError> {
    page.document.head.ok_or_else(|| ClientError::Connection {
        url: url.to_string(),
        reason: "it did not say its head".into(),
    })
}
