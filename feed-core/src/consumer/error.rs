//! Why a consumer does not get on.

use std::time::Duration;

use super::handler_error::{HandlerError, HandlerErrorKind};
use crate::client::{ClientError, VerifyError};
use crate::error::{InvalidValue, StoreError};
use crate::event::{Event, EventId, SubscriptionName};
use crate::position::{Cursor, Position};

/// A step that did not get on. Nothing was applied, the cursor stands where it stood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The consumer cannot be made so.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// The feed could not be read.
    #[error("the feed could not be read: {0}")]
    Client(#[from] ClientError),
    /// What was read does not follow on from the cursor; it is read again past all caches.
    #[error("what {url} sent does not follow on: {source}")]
    Unverified {
        /// The document.
        url: String,
        /// What does not fit.
        source: VerifyError,
    },
    /// The feed says that there is more, and sends nothing of it, also past all caches.
    #[error("{url} says that there is more behind {cursor}, and sends nothing of it")]
    NothingComes {
        /// The document.
        url: String,
        /// Behind what something was to come.
        cursor: String,
    },
    /// The handler failed on an event and may succeed later.
    #[error("{event} could not be applied: {source}")]
    Handler {
        /// The event.
        event: EventName,
        /// What the handler said.
        source: HandlerError,
    },
    /// A rebuild's switch failed and may succeed later.
    #[error("the rebuild could not switch over: {0}")]
    Switch(HandlerError),
    /// The database failed.
    #[error("the consumer's database: {0}")]
    Store(#[from] StoreError),
    /// It is to be split, or is, and all of the feed is to be applied in order.
    #[error(
        "subscription {0} applies all of its feed in order, so it cannot be split into partitions: ask for one (feedctl sub \
         partitions {0} 1, if it was split before)"
    )]
    CannotBeSplit(SubscriptionName),
    /// It is split by something else than the consumer's ordering key: events would go to other partitions, some of them
    /// twice and some never.
    #[error(
        "subscription {name} is split by {stored:?}, and this program's ordering key is {given:?}: first let the program that \
         split it bring it back to one partition (feedctl sub partitions {name} 1)"
    )]
    SplitByAnother {
        /// The subscription.
        name: SubscriptionName,
        /// By what it is split.
        stored: String,
        /// By what this consumer would split it.
        given: &'static str,
    },
    /// The subscription halts until somebody has looked at it.
    #[error("halted: {0}")]
    Halted(#[from] Halt),
}

impl ConsumerError {
    /// Whether the next step may get on by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            ConsumerError::Client(error) => error.is_transient(),
            ConsumerError::Store(error) => error.is_transient(),
            ConsumerError::Handler { .. }
            | ConsumerError::NothingComes { .. }
            | ConsumerError::Switch(_)
            | ConsumerError::Unverified { .. } => true,
            ConsumerError::Invalid(_)
            | ConsumerError::CannotBeSplit(_)
            | ConsumerError::SplitByAnother { .. }
            | ConsumerError::Halted(_) => false,
        }
    }

    /// How long to wait at least: what the server or the handler asked for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            ConsumerError::Client(error) => error.retry_after(),
            ConsumerError::Handler { source, .. } | ConsumerError::Switch(source) => source.wait(),
            _ => None,
        }
    }

    /// A rebuild's switch failed.
    pub(super) fn switch(source: HandlerError) -> Self {
        match source.kind() {
            HandlerErrorKind::Transient | HandlerErrorKind::Lasting => {
                ConsumerError::Switch(source)
            }
            HandlerErrorKind::Permanent => Halt::NotSwitched {
                reason: source.to_string(),
            }
            .into(),
        }
    }
}

/// Why a subscription halts. It never resets by itself (invariant I11).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Halt {
    /// The feed says that the cursor is not of its history.
    #[error(
        "the feed refuses cursor {cursor}: {reason}. Nothing is skipped: find out what was read that the feed lost, \
         then put the cursor elsewhere (feedctl sub reset)"
    )]
    CursorRefused {
        /// The cursor, or what was asked for instead of one.
        cursor: String,
        /// What the feed said.
        reason: String,
    },
    /// Read twice, the second time past all caches, the feed does not follow on from the cursor.
    #[error(
        "what follows {cursor} is of another history: {reason}. Nothing was applied: compare the feed with what was \
         read before, then put the cursor elsewhere (feedctl sub reset)"
    )]
    Diverged {
        /// The cursor.
        cursor: String,
        /// What does not fit.
        reason: VerifyError,
    },
    /// An event cannot be applied, trying again does not help, and all of the feed is to be applied in order.
    #[error(
        "{event} cannot be applied: {reason}. Mend the handler or the data, then let it be tried again (feedctl sub \
         resume); or leave the event out (feedctl sub skip)"
    )]
    Poisoned {
        /// The event.
        event: EventName,
        /// What the handler said.
        reason: String,
    },
    /// Too much is parked; one more event would have to be.
    #[error(
        "{keys} ordering keys have parked events, {events} events wait in all, and {event} would be one more. Mend what \
         parks them and let them be applied (feedctl sub retry --all), or drop them (feedctl sub drop), then feedctl sub \
         resume"
    )]
    TooMuchParked {
        /// Keys with parked events.
        keys: usize,
        /// Events that are parked or wait behind a parked one.
        events: usize,
        /// The event that found no place.
        event: EventName,
    },
    /// A rebuild's switch failed, and trying again does not help.
    #[error(
        "the rebuild could not switch over: {reason}. Mend what it switches, then let it be tried again (feedctl sub resume)"
    )]
    NotSwitched {
        /// What the switch said.
        reason: String,
    },
    /// The feed's URL or the database cannot be used at all.
    #[error("{0}")]
    Unusable(String),
}

/// How an event is named in errors and logs: enough to find it in the feed.
#[derive(Debug, Clone)]
pub struct EventName {
    /// Its id.
    pub id: EventId,
    /// Its place in the feed.
    pub position: Position,
    /// Its type and subject.
    pub what: String,
}

impl EventName {
    pub(super) fn of(event: &Event) -> Self {
        EventName {
            id: event.id,
            position: event.position,
            what: format!("{} about {}", event.event_type, event.subject),
        }
    }
}

impl std::fmt::Display for EventName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "event {} at position {} ({})",
            self.id, self.position, self.what
        )
    }
}

/// How a cursor that may not be there yet is told.
pub(super) fn cursor_text(cursor: Option<Cursor>) -> String {
    cursor.map_or_else(|| "start".to_owned(), |cursor| cursor.to_string())
}
