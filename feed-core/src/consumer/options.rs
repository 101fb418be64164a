//! How a consumer is made.

use std::sync::Arc;
use std::time::Duration;

use super::apply::Rules;
use super::error::ConsumerError;
use super::handler::Handlers;
use super::instance::Consumer;
use super::ordering::OrderingKey;
use super::partition;
use super::place::StartAt;
use crate::client::{ClientOptions, FeedClient};
use crate::error::InvalidValue;
use crate::event::SubscriptionName;
use crate::limits::{
    BACKOFF_MS_MAX, LEASE_MS_DEFAULT, PARKED_EVENTS_MAX, PARKED_KEYS_MAX, POLL_INTERVAL_MS_DEFAULT,
};
use crate::store::Store;

/// What can be chosen beside the handlers.
#[derive(Clone)]
pub(super) struct ConsumerOptions {
    pub(super) client: ClientOptions,
    pub(super) poll_interval: Duration,
    pub(super) start_at: StartAt,
    pub(super) lease: Duration,
    pub(super) backoff_max: Duration,
    pub(super) parking: ParkingLimits,
    /// How many partitions are asked for; none: one, or as many as there are.
    pub(super) partitions: Option<u32>,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        ConsumerOptions {
            client: ClientOptions::default(),
            poll_interval: Duration::from_millis(POLL_INTERVAL_MS_DEFAULT),
            start_at: StartAt::default(),
            lease: Duration::from_millis(LEASE_MS_DEFAULT),
            backoff_max: Duration::from_millis(BACKOFF_MS_MAX),
            parking: ParkingLimits::default(),
            partitions: None,
        }
    }
}

/// How much may be parked before a subscription halts, instead of filling the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkingLimits {
    /// Ordering keys that have parked events, [`PARKED_KEYS_MAX`] unless set.
    pub keys: usize,
    /// Events that are parked or wait behind a parked one, [`PARKED_EVENTS_MAX`] unless set.
    pub events: usize,
}

impl Default for ParkingLimits {
    fn default() -> Self {
        ParkingLimits {
            keys: PARKED_KEYS_MAX,
            events: PARKED_EVENTS_MAX,
        }
    }
}

impl Consumer {
    /// A consumer of the feed at `feed_url` that keeps its cursor in `store` under the name `subscription`.
    ///
    /// # Errors
    /// When the name or the URL cannot be used.
    pub fn new(store: &Store, subscription: &str, feed_url: &str) -> Result<Self, ConsumerError> {
        let name = SubscriptionName::new(subscription)?;
        FeedClient::new(feed_url, ClientOptions::default())?;
        Ok(Consumer::with(name, store.clone(), feed_url.to_owned()))
    }

    /// With these handlers. Without any, all events are passed over.
    ///
    /// # Panics
    /// While a batch is being applied.
    #[must_use]
    pub fn handlers(self, handlers: Handlers) -> Self {
        self.with_rules(|rules| rules.handlers = handlers)
    }

    /// With this ordering key: which events wait behind one that cannot be applied. [`OrderingKey::Subject`] unless set.
    ///
    /// # Panics
    /// While a batch is being applied.
    #[must_use]
    pub fn ordering(self, ordering: OrderingKey) -> Self {
        self.with_rules(|rules| rules.ordering = ordering)
    }

    /// With an inbox: ids of the last [`INBOX_EVENTS_MAX`](crate::limits::INBOX_EVENTS_MAX) events are remembered, and an
    /// event whose id came before is passed over and counted. For feeds that do not promise that an id comes once; those
    /// of this library do.
    ///
    /// # Panics
    /// While a batch is being applied.
    #[must_use]
    pub fn inbox(self) -> Self {
        self.with_rules(|rules| rules.inbox = true)
    }

    /// With this bearer token, sent to the feed's own origin only.
    #[must_use]
    pub fn bearer_token(self, token: Option<String>) -> Self {
        self.with_options(|options| options.client.bearer_token = token)
    }

    /// With these options of the client.
    #[must_use]
    pub fn client_options(self, options: ClientOptions) -> Self {
        self.with_options(|chosen| chosen.client = options)
    }

    /// With this time between two polls when there is nothing new, of a server that does not wait by itself.
    #[must_use]
    pub fn poll_interval(self, interval: Duration) -> Self {
        self.with_options(|options| options.poll_interval = interval)
    }

    /// Beginning there, if the subscription has no cursor yet. At the start unless set.
    #[must_use]
    pub fn start_at(self, start_at: StartAt) -> Self {
        self.with_options(|options| options.start_at = start_at)
    }

    /// With a lease of this length, [`LEASE_MS_DEFAULT`] unless set: after the sudden death of the instance that holds the
    /// subscription, another takes it over within that time. It is renewed after a third of it.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        self.with_options(|options| options.lease = lease)
    }

    /// With this longest wait after steps that failed in a row, [`BACKOFF_MS_MAX`] unless set.
    #[must_use]
    pub fn backoff_max(self, longest: Duration) -> Self {
        self.with_options(|options| options.backoff_max = longest)
    }

    /// With these limits of what may be parked.
    #[must_use]
    pub fn parking_limits(self, limits: ParkingLimits) -> Self {
        self.with_options(|options| options.parking = limits)
    }

    /// Split into so many partitions, 1 to [`PARTITIONS_MAX`](crate::limits::PARTITIONS_MAX), if the subscription is not there
    /// yet; else it keeps the number that it has ([`set_partitions`](crate::SubscriptionHandle::set_partitions) changes
    /// that). One unless set.
    ///
    /// Each event belongs to the partition that its ordering key says ([`partition_of`](crate::partition_of)). Partitions have
    /// cursors of their own, and the instances share them. Each of them reads the whole feed.
    ///
    /// # Errors
    /// When it is another number. Where the whole feed is the ordering key, the first step fails.
    pub fn partitions(self, partitions: u32) -> Result<Self, InvalidValue> {
        let partitions = partition::checked(partitions)?;
        Ok(self.with_options(|options| options.partitions = Some(partitions)))
    }

    /// What was begun by other options is begun anew.
    fn with_options(mut self, change: impl FnOnce(&mut ConsumerOptions)) -> Self {
        self.look_anew();
        change(&mut self.options);
        self
    }

    #[allow(
        clippy::panic,
        reason = "documented: a mistake in the code that makes the consumer"
    )]
    pub(super) fn with_rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        self.look_anew();
        match Arc::get_mut(&mut self.rules) {
            Some(rules) => change(rules),
            None => panic!("the consumer is at work"),
        }
        self
    }
}
