//! The consumer's way to its feed: which document comes next, some of them fetched ahead, all of them verified.

use std::time::{Duration, Instant};

use http::StatusCode;
use url::Url;

use super::error::{ConsumerError, Halt, cursor_text};
use crate::client::ahead::Ahead;
use crate::client::{
    ClientError, FeedClient, FetchOptions, Fetched, Page, Seen, VerifyError, verify,
};
use crate::document::ReadDocument;
use crate::event::Event;
use crate::faults::{Bug, Point, at, planted};
use crate::limits::PLAIN_POLL_MS;
use crate::position::{After, Cursor, Position};

/// Reads one feed, document by document.
pub(super) struct Fetching {
    client: FeedClient,
    /// Where to read next; none after a start or an error: then it follows from the cursor.
    next: Option<Url>,
    /// The ETag of the last document at `next`.
    etag: Option<String>,
    /// The document at `next` and those behind it, while the present one is applied.
    ahead: Ahead,
    /// What was wrong with a document that was taken before it was needed.
    failed: Option<ConsumerError>,
    /// Whether the last document had nothing behind it.
    caught_up: bool,
    /// The last document did not follow on, so the next one is asked for past all caches.
    doubtful: bool,
    /// The last document left out what its feed has, so the next one is asked for past all caches.
    left_out: bool,
    /// The newest event that was heard of.
    head: Option<Cursor>,
    /// Whether the server waited with its last answer, as it was asked to.
    waited: bool,
    /// Until when the server is not asked to wait, since it has too many waiters.
    plain_until: Option<Instant>,
}

impl Fetching {
    pub(super) fn new(client: FeedClient) -> Self {
        Fetching {
            client,
            next: None,
            etag: None,
            ahead: Ahead::default(),
            failed: None,
            caught_up: false,
            doubtful: false,
            left_out: false,
            head: None,
            waited: false,
            plain_until: None,
        }
    }

    pub(super) fn client(&self) -> &FeedClient {
        &self.client
    }

    /// Forgets where to read next: it follows from the cursor.
    pub(super) fn start_over(&mut self) {
        self.next = None;
        self.etag = None;
        self.ahead.clear();
        self.failed = None;
        self.caught_up = false;
    }

    pub(super) fn head(&self) -> Option<Cursor> {
        self.head
    }

    /// Whether the server waited with its last answer, so that the next question may follow at once.
    pub(super) fn has_waited(&self) -> bool {
        self.waited
    }

    /// Whether the server may be asked to wait: there is nothing behind what was read, and it has room for one more.
    pub(super) fn may_wait(&self) -> bool {
        self.caught_up && self.plain_until.is_none_or(|until| Instant::now() >= until)
    }

    /// The events that come next behind `cursor`; none when there is nothing new.
    ///
    /// # Errors
    /// When the document could not be had, or does not follow on. The next one is asked for by the cursor then.
    pub(super) async fn fetch(
        &mut self,
        cursor: Option<Cursor>,
        wait: Option<Duration>,
    ) -> Result<Vec<Event>, ConsumerError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let tail = || {
            self.client
                .tail(&cursor.map_or(After::Start, After::Cursor))
        };
        let by_link = self.next.is_some();
        let url = self.next.clone().unwrap_or_else(tail);
        self.waited = false;
        let fetched = match self.ahead.take(&url).await {
            Some(fetched) => fetched,
            None => self.ask(&url, wait).await,
        };
        match fetched {
            Ok(Fetched::NotModified) => Ok(Vec::new()),
            Ok(Fetched::Page(page)) => self.take(cursor, &url, *page),
            Err(ClientError::Status {
                status: StatusCode::SERVICE_UNAVAILABLE,
                ..
            }) if wait.is_some() => {
                // It may have no room for one more who waits; asked without, it will say whether it is that.
                self.plain_until = Some(Instant::now() + Duration::from_millis(PLAIN_POLL_MS));
                Ok(Vec::new())
            }
            Err(error) => {
                // What led here may be wrong by now; the cursor is not.
                self.start_over();
                Err(match error {
                    // It is the link that is refused: the cursor is asked about next.
                    ClientError::Refused { .. } if by_link => return Ok(Vec::new()),
                    ClientError::Refused { refusal, .. } => Halt::CursorRefused {
                        cursor: cursor_text(cursor),
                        reason: refusal.to_string(),
                    }
                    .into(),
                    error => error.into(),
                })
            }
        }
    }

    /// Adds the events of documents that are there already to those of the first one, up to about `limit`, so that they are
    /// applied together. It waits for nothing.
    pub(super) async fn add_fetched(&mut self, events: &mut Vec<Event>, limit: usize) {
        while events.len() < limit
            && let Some(last) = events.last().map(Event::cursor)
            && self.next.as_ref().is_some_and(|next| self.ahead.has(next))
        {
            match self.fetch(Some(last), None).await {
                Ok(more) if more.is_empty() => break,
                Ok(more) => events.extend(more),
                Err(error) => {
                    // The events before it are good: it is told when they are applied.
                    self.failed = Some(error);
                    break;
                }
            }
        }
    }

    async fn ask(&self, url: &Url, wait: Option<Duration>) -> Result<Fetched, ClientError> {
        let options = FetchOptions {
            // A server that holds an answer back for news has no use for a tag.
            etag: self.etag.as_deref().filter(|_| wait.is_none()),
            past_caches: self.doubtful || self.left_out,
            wait,
        };
        self.client.fetch(url, options).await
    }

    /// Takes the events of a document, if they follow on from the cursor.
    fn take(
        &mut self,
        cursor: Option<Cursor>,
        asked: &Url,
        mut page: Page,
    ) -> Result<Vec<Event>, ConsumerError> {
        let seen = cursor.map_or(Seen::Nothing, Seen::Cursor);
        let events = match verified(seen, std::mem::take(&mut page.document.events)) {
            Ok(events) => events,
            Err(reason) => return Err(self.unverified(cursor, &page.url, reason)),
        };
        at(Point::Fetched);
        self.doubtful = false;
        self.waited = page.waited.is_some();
        self.caught_up = page.document.caught_up == Some(true);
        self.head = page.document.head.or(self.head);
        if self.leaves_out(cursor, &events, &page.document) {
            return self.ask_again(cursor, events, &page.url);
        }
        self.left_out = false;
        // A tag is for the URL that it came from: it is kept only while the next request goes there again.
        let again = page
            .next
            .as_ref()
            .map_or(events.is_empty(), |next| next == asked);
        self.etag = page.etag.take().filter(|_| again);
        if self.caught_up || events.is_empty() {
            self.ahead.clear();
        } else {
            self.ahead.begin(&self.client, &page);
        }
        // Without a link, as in a sealed page that came without its headers, the way on follows from the cursor.
        self.next = page.next;
        Ok(events)
    }

    /// Whether what comes behind the reader is there, and the document neither sends it nor leads to it: whoever follows
    /// on from such a one would wait for ever.
    fn leaves_out(
        &self,
        cursor: Option<Cursor>,
        events: &[Event],
        document: &ReadDocument,
    ) -> bool {
        let stands = events.last().map(Event::cursor).or(cursor);
        let stands = stands.map_or(Position::START, |cursor| cursor.position);
        let behind = document.head.is_some_and(|head| head.position > stands);
        match document.caught_up {
            Some(true) => behind,
            Some(false) => events.is_empty(),
            None => behind && events.is_empty(),
        }
    }

    /// A document that left something out is asked for again by the cursor, past all caches. One that is no better then
    /// is a failure.
    fn ask_again(
        &mut self,
        cursor: Option<Cursor>,
        events: Vec<Event>,
        url: &Url,
    ) -> Result<Vec<Event>, ConsumerError> {
        self.start_over();
        let again = std::mem::replace(&mut self.left_out, true);
        if again && events.is_empty() {
            return Err(ConsumerError::NothingComes {
                url: url.to_string(),
                cursor: cursor_text(cursor),
            });
        }
        Ok(events)
    }

    fn unverified(
        &mut self,
        cursor: Option<Cursor>,
        url: &Url,
        reason: VerifyError,
    ) -> ConsumerError {
        self.start_over();
        if std::mem::replace(&mut self.doubtful, true) {
            return Halt::Diverged {
                cursor: cursor_text(cursor),
                reason,
            }
            .into();
        }
        ConsumerError::Unverified {
            url: url.to_string(),
            source: reason,
        }
    }
}

fn verified(seen: Seen, events: Vec<Event>) -> Result<Vec<Event>, VerifyError> {
    if planted(Bug::RepeatsApplied) && events.len() > 1 {
        return Ok(events);
    }
    if planted(Bug::GapSkipped) {
        let known = match seen {
            Seen::Nothing => 0,
            Seen::Cursor(cursor) => cursor.position.get(),
        };
        return Ok(events
            .into_iter()
            .filter(|event| event.position.get() > known)
            .collect());
    }
    verify(seen, events)
}
