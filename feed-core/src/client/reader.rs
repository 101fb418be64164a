//! Reading a feed from a place on, document by document, each verified and several fetched ahead.

use url::Url;

use super::ahead::Ahead;
use super::error::ClientError;
use super::fetch::{FeedClient, Fetched};
use super::options::FetchOptions;
use super::verify::{Seen, VerifyError, verify};
use crate::event::Event;
use crate::position::{After, Cursor};

/// Reads all that a feed has behind a cursor, oldest first. It keeps nothing: whoever does keep a cursor, and applies
/// events once, is a [`Consumer`](crate::Consumer).
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use feed_core::client::{ClientOptions, FeedClient};
/// let client = FeedClient::new("http://127.0.0.1:8081/feeds/orders", ClientOptions::default())?;
/// let mut reader = client.reader(None);
/// while let Some(events) = reader.next().await? {
///     println!("{} events up to {}", events.len(), events[events.len() - 1].position);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Reader {
    client: FeedClient,
    seen: Seen,
    /// Where to read next; none: it follows from what was seen.
    next: Option<Url>,
    ahead: Ahead,
    caught_up: bool,
}

/// Reading a feed failed. The reader stands behind what it gave last, and may be asked again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A document could not be had.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A document does not follow on from the one before.
    #[error("{url}: {source}")]
    Unverified {
        /// The document.
        url: String,
        /// Why.
        source: VerifyError,
    },
}

impl FeedClient {
    /// A reader of all events behind `cursor`, or from the feed's start on.
    pub fn reader(&self, cursor: Option<Cursor>) -> Reader {
        Reader {
            client: self.clone(),
            seen: cursor.map_or(Seen::Nothing, Seen::Cursor),
            next: None,
            ahead: Ahead::default(),
            caught_up: false,
        }
    }
}

impl Reader {
    /// The events that come next, one or more; none when there are no more at the moment.
    ///
    /// # Errors
    /// When a document could not be had, or does not follow on from the one before.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>, ReadError> {
        let read = self.read().await;
        if read.is_err() {
            // What led here may be wrong by now; what was seen is not.
            self.next = None;
            self.ahead.clear();
        }
        read
    }

    async fn read(&mut self) -> Result<Option<Vec<Event>>, ReadError> {
        while !std::mem::take(&mut self.caught_up) {
            let url = match self.next.take() {
                Some(next) => next,
                None => self.client.tail(&match self.seen {
                    Seen::Nothing => After::Start,
                    Seen::Cursor(cursor) => After::Cursor(cursor),
                }),
            };
            let fetched = match self.ahead.take(&url).await {
                Some(fetched) => fetched?,
                None => self.client.fetch(&url, FetchOptions::default()).await?,
            };
            // It was asked without a tag.
            let Fetched::Page(mut page) = fetched else {
                return Ok(None);
            };
            let events = std::mem::take(&mut page.document.events);
            let events = verify(self.seen, events).map_err(|source| ReadError::Unverified {
                url: page.url.to_string(),
                source,
            })?;
            self.caught_up = page.document.caught_up == Some(true);
            if !self.caught_up {
                self.ahead.begin(&self.client, &page);
            }
            self.next = page.next;
            let Some(last) = events.last() else {
                // A page that was seen already may lead on; one that leads nowhere is the end.
                if self.next.as_ref().is_none_or(|next| *next == url) {
                    return Ok(None);
                }
                continue;
            };
            self.seen = Seen::Cursor(last.cursor());
            return Ok(Some(events));
        }
        Ok(None)
    }

    /// The cursor of the last event that was given; none before the first.
    pub fn cursor(&self) -> Option<Cursor> {
        match self.seen {
            Seen::Nothing => None,
            Seen::Cursor(cursor) => Some(cursor),
        }
    }
}
