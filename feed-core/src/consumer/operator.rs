//! What an operator says: who it is, which events are meant, whether it is only tried; and what came of it.

use super::state::EventState;
use super::subscription::{Subscription, SubscriptionEvent};
use crate::error::{InvalidValue, StoreError};
use crate::event::{EventId, SubscriptionName};
use crate::limits::OPERATOR_TEXT_BYTES_MAX;

/// Who changes a subscription, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    pub(super) name: String,
    pub(super) why: String,
}

impl Operator {
    /// Texts of 1 to [`OPERATOR_TEXT_BYTES_MAX`] bytes without control characters; the reason may be empty.
    ///
    /// # Errors
    /// When a text is anything else.
    pub fn new(name: &str, why: &str) -> Result<Self, InvalidValue> {
        let fits = |text: &str| {
            text.len() <= OPERATOR_TEXT_BYTES_MAX && !text.chars().any(char::is_control)
        };
        if name.is_empty() || !fits(name) {
            return Err(InvalidValue::new(
                "operator",
                name,
                "a name of 1 to 500 bytes without control characters",
            ));
        }
        if !fits(why) {
            return Err(InvalidValue::new(
                "reason",
                why,
                "a text of at most 500 bytes without control characters",
            ));
        }
        Ok(Operator {
            name: name.to_owned(),
            why: why.to_owned(),
        })
    }

    /// Who and why, as it is kept: `by NAME: REASON`.
    pub fn sentence(&self) -> String {
        if self.why.is_empty() {
            format!("by {}", self.name)
        } else {
            format!("by {}: {}", self.name, self.why)
        }
    }
}

/// Which parked events are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// This one.
    Event(EventId),
    /// Those of this ordering key.
    Key(String),
    /// All.
    All,
}

/// Whether a change is made or only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is made.
    Do,
    /// All of it is done in a transaction that is rolled back, so that what it says is what would happen.
    DryRun,
}

/// What a change did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Changed {
    /// The subscription before.
    pub before: Subscription,
    /// The subscription after.
    pub after: Subscription,
    /// The events that got into another state, as they are now, by position.
    pub events: Vec<SubscriptionEvent>,
    /// How many kept events were forgotten, since they will come again.
    pub forgotten: u64,
}

/// A change that was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// There is no such subscription in this database.
    #[error("there is no subscription {0:?} in this database")]
    UnknownSubscription(String),
    /// Nothing is kept of the event.
    #[error(
        "event {0} is not among the events that are kept of subscription {1}: it was applied, or not read yet"
    )]
    UnknownEvent(EventId, SubscriptionName),
    /// No event of the key is kept.
    #[error("subscription {1} has no parked event with the ordering key {0:?}")]
    UnknownKey(String, SubscriptionName),
    /// The event is in another state than the change is for.
    #[error("event {id} is {state}: {help}")]
    State {
        /// The event.
        id: EventId,
        /// How it is doing.
        state: EventState,
        /// What can be done instead.
        help: String,
    },
    /// No event is being retried, so there is nothing to skip.
    #[error(
        "subscription {0} is not stuck at an event: there is nothing to skip. See its state and its reason"
    )]
    NotStuck(SubscriptionName),
    /// It halts or waits for a reason that resuming does not concern.
    #[error("subscription {0} is running already")]
    Running(SubscriptionName),
    /// Several partitions are stuck at an event.
    #[error(
        "several partitions of subscription {0} are stuck at an event, of which each is another one: say which (--partition)"
    )]
    SeveralStuck(SubscriptionName),
    /// There is no partition with this number.
    #[error("subscription {0} has {2} partitions, from 0: there is no partition {1}")]
    UnknownPartition(SubscriptionName, u32, u32),
    /// The change is one of all partitions.
    #[error(
        "all partitions of subscription {0} are reset together: they would not follow one feed otherwise"
    )]
    AllPartitions(SubscriptionName),
    /// All of the feed is the ordering key.
    #[error(
        "subscription {0} applies all of its feed in order, so it cannot be split into partitions"
    )]
    CannotBeSplit(SubscriptionName),
    /// It has that many partitions.
    #[error("subscription {0} has {1} partitions already")]
    SplitAlready(SubscriptionName, u32),
    /// Its number of partitions is not about to change.
    #[error(
        "the number of partitions of subscription {0} is not about to change: there is nothing to cancel"
    )]
    NotResizing(SubscriptionName),
    /// A number that cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dry run's end: what was done is rolled back.
    #[doc(hidden)]
    #[error("a dry run")]
    Rehearsed(Box<Changed>),
}
