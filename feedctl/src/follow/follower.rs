//! Document by document: what comes next, verified.

use std::time::{Duration, Instant};

use feed_core::client::{
    ClientError, FeedClient, FetchOptions, Fetched, Page, Seen, VerifyError, verify,
};
use feed_core::{Cursor, Event};
use http::StatusCode;
use url::Url;

use super::place::Place;

/// How long a server is asked to wait while there is nothing new, in milliseconds.
const WAIT_MS: u64 = 20_000;

/// How long a server that has too many waiters is not asked to wait, in milliseconds.
const PLAIN_MS: u64 = 60_000;

/// What a step brought.
#[derive(Debug)]
pub(crate) struct Stepped {
    /// The events that are new.
    pub(crate) events: Vec<Event>,
    /// Where a reader of them stands; none while that is not known.
    pub(crate) cursor: Option<Cursor>,
    /// Whether nothing comes behind them.
    pub(crate) caught_up: bool,
}

/// Why a step brought nothing.
#[derive(Debug)]
pub(crate) enum StepError {
    /// It may go better later.
    Transient {
        reason: String,
        retry_after: Option<Duration>,
        /// Whether the server was not reached at all.
        unreached: bool,
    },
    /// It will not: the feed said no, or its history is not the one that was read.
    Halt(String),
}

/// What of the feed is known, to verify against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing: the first event that comes is believed.
    Nothing,
    /// Where the reader stands.
    At(Seen),
}

/// Follows a feed from a place on.
pub(crate) struct Follower {
    client: FeedClient,
    place: Place,
    /// Parameters that choose events: `type` and `subject`.
    filter: Vec<(&'static str, String)>,
    known: Known,
    cursor: Option<Cursor>,
    /// What comes next; none: it follows from the cursor, or from the place.
    next: Option<Url>,
    /// The last document did not follow on: the next one is asked for past all caches.
    doubtful: bool,
    /// Nothing comes behind what was read: the server may wait with its answer.
    caught_up: bool,
    /// Whether the server may be asked to wait, and from when on again if it has too many waiters.
    may_wait: bool,
    waits_again: Option<Instant>,
    /// Whether anything was read at all.
    begun: bool,
}

impl Follower {
    /// Follows the feed of `client` from `place` on. With `may_wait`, the server is asked to wait for events.
    pub(crate) fn new(
        client: FeedClient,
        place: Place,
        filter: Vec<(&'static str, String)>,
        may_wait: bool,
    ) -> Self {
        let known = match place {
            Place::After(feed_core::After::Start) => Known::At(Seen::Nothing),
            place => place
                .cursor()
                .map_or(Known::Nothing, |cursor| Known::At(seen(cursor))),
        };
        Follower {
            client,
            place,
            filter,
            known,
            cursor: place.cursor(),
            next: None,
            doubtful: false,
            caught_up: false,
            may_wait,
            waits_again: None,
            begun: false,
        }
    }

    /// Fetches one document.
    ///
    /// # Errors
    /// See [`StepError`]. After a transient one the next step asks from the same place.
    pub(crate) async fn step(&mut self) -> Result<Stepped, StepError> {
        let url = self.next.clone().unwrap_or_else(|| self.url());
        let waits = self.may_wait && self.waits_again.is_none_or(|again| Instant::now() >= again);
        let options = FetchOptions {
            past_caches: self.doubtful,
            wait: (waits && self.caught_up).then_some(Duration::from_millis(WAIT_MS)),
            ..FetchOptions::default()
        };
        match self.client.fetch(&url, options).await {
            Ok(Fetched::Page(page)) => self.take(*page),
            // Nothing was asked for by a tag.
            Ok(Fetched::NotModified) => Err(StepError::Transient {
                reason: format!("{url}: 304 without a tag"),
                retry_after: None,
                unreached: false,
            }),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The tail behind the cursor, or from the place on.
    fn url(&self) -> Url {
        let place = self.cursor.map_or(self.place, |cursor| {
            Place::After(feed_core::After::Cursor(cursor))
        });
        let (name, value) = place.parameter();
        let mut url = self.client.feed().clone();
        url.query_pairs_mut()
            .append_pair(name, &value)
            .extend_pairs(&self.filter);
        url
    }

    fn take(&mut self, page: Page) -> Result<Stepped, StepError> {
        let verified = match self.filter.is_empty() {
            true => self.verify(page.document.events),
            false => self.rising(page.document.events),
        };
        let events = match verified {
            Ok(events) => events,
            Err(reason) => return Err(self.unverified(&page.url, &reason)),
        };
        self.doubtful = false;
        self.begun = true;
        // Without saying so, a tail without events stands for the end.
        self.caught_up = page.document.caught_up.unwrap_or(events.is_empty());
        let looked_at = || {
            let next = page.next.as_ref()?;
            let (_, after) = next.query_pairs().find(|(name, _)| name == "after")?;
            after.parse::<Cursor>().ok()
        };
        let stands_at = match events.last() {
            // A filter may have looked further than to its last event.
            _ if !self.filter.is_empty() => looked_at().or(events.last().map(Event::cursor)),
            Some(last) => Some(last.cursor()),
            // Nobody has told yet where `now`, a time or an id is: at the newest event, when nothing comes behind.
            None if self.cursor.is_none() && self.caught_up => page.document.head,
            None => None,
        };
        if let Some(cursor) = stands_at {
            self.cursor = Some(cursor);
            self.known = Known::At(seen(cursor));
        }
        self.next = page.next;
        Ok(Stepped {
            events,
            cursor: self.cursor,
            caught_up: self.caught_up,
        })
    }

    /// The new events of a document, by their running check.
    fn verify(&self, mut events: Vec<Event>) -> Result<Vec<Event>, VerifyError> {
        match self.known {
            Known::At(seen) => verify(seen, events),
            Known::Nothing if events.is_empty() => Ok(events),
            Known::Nothing => {
                // What comes first is believed; all else has to follow on from it.
                let first = events.remove(0);
                let mut following = verify(seen(first.cursor()), events)?;
                following.insert(0, first);
                Ok(following)
            }
        }
    }

    /// The new events of a filtered document, of which only the order of the positions can be known.
    fn rising(&self, mut events: Vec<Event>) -> Result<Vec<Event>, VerifyError> {
        let mut at = self.cursor.map_or(0, |cursor| cursor.position.get());
        events.retain(|event| event.position.get() > at);
        for event in &events {
            if event.position.get() <= at {
                return Err(VerifyError::Position {
                    expected: at + 1,
                    found: event.position,
                });
            }
            at = event.position.get();
        }
        Ok(events)
    }

    fn unverified(&mut self, url: &Url, reason: &VerifyError) -> StepError {
        self.next = None;
        if std::mem::replace(&mut self.doubtful, true) {
            let at = self
                .cursor
                .map_or_else(|| self.place.to_string(), |cursor| cursor.to_string());
            return StepError::Halt(format!(
                "what {url} sends does not follow on from {at}, also past all caches: {reason}. Find out what happened \
                 to the feed; to go on elsewhere, give another --from, and remove the resume file"
            ));
        }
        StepError::Transient {
            reason: format!("what {url} sent does not follow on: {reason}; asking past all caches"),
            retry_after: None,
            unreached: false,
        }
    }

    fn failed(&mut self, error: ClientError) -> StepError {
        self.next = None;
        let hopeless = match &error {
            ClientError::Refused { .. } | ClientError::Url { .. } => true,
            // A feed that never answered well is not there, or not for us.
            ClientError::Status { status, .. } => !self.begun && is_no(*status),
            ClientError::Connection { .. } => false,
            _ => !self.begun,
        };
        if hopeless {
            return StepError::Halt(format!("{error}{}", advice(&error)));
        }
        if matches!(
            error,
            ClientError::Status {
                status: StatusCode::SERVICE_UNAVAILABLE,
                ..
            }
        ) {
            self.waits_again = Some(Instant::now() + Duration::from_millis(PLAIN_MS));
        }
        StepError::Transient {
            retry_after: error.retry_after(),
            unreached: !self.begun && matches!(error, ClientError::Connection { .. }),
            reason: error.to_string(),
        }
    }
}

/// Whether asking again does not help.
fn is_no(status: StatusCode) -> bool {
    let passes = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_client_error() && !passes.contains(&status)
}

/// What helps.
fn advice(error: &ClientError) -> &'static str {
    match error {
        ClientError::Status {
            status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
            ..
        } => "; give a token by --token-file or FEEDCTL_TOKEN",
        ClientError::Status {
            status: StatusCode::NOT_FOUND,
            ..
        }
        | ClientError::ContentType { .. }
        | ClientError::Document { .. } => {
            "; is this the feed's own URL, such as http://127.0.0.1:8081/feeds/orders?"
        }
        ClientError::Refused { .. } => {
            "; to go on elsewhere, give another --from, and remove the resume file"
        }
        _ => "",
    }
}

fn seen(cursor: Cursor) -> Seen {
    match cursor.position {
        feed_core::Position::START => Seen::Nothing,
        _ => Seen::Cursor(cursor),
    }
}
