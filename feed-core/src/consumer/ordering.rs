//! Ordering keys: which events of a feed wait for one another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::event::Event;
use crate::limits::ORDERING_KEY_BYTES_MAX;

/// Which events have to be applied in order. Where one cannot be applied, the later ones of its key wait behind it.
#[derive(Clone, Default)]
pub enum OrderingKey {
    /// Those about one subject.
    #[default]
    Subject,
    /// All of the feed: an event that cannot be applied halts the subscription instead of being parked.
    Feed,
    /// Those for which this computes the same text, such as the customer that an order is of.
    By(KeyFn),
}

/// Computes the ordering key of an event.
pub type KeyFn = Arc<dyn Fn(&Event) -> String + Send + Sync>;

impl OrderingKey {
    /// Those for which `key` computes the same text. Where it panics, the subject is taken.
    ///
    /// ```
    /// use feed_core::OrderingKey;
    /// let by_type = OrderingKey::by(|event| event.event_type.to_string());
    /// ```
    pub fn by(key: impl Fn(&Event) -> String + Send + Sync + 'static) -> Self {
        OrderingKey::By(Arc::new(key))
    }

    /// The key of an event, cut at [`ORDERING_KEY_BYTES_MAX`]: that makes more events wait for one another, never fewer.
    pub(super) fn of(&self, event: &Event) -> String {
        let mut key = match self {
            OrderingKey::Subject => event.subject.to_string(),
            OrderingKey::Feed => String::new(),
            OrderingKey::By(key) => catch_unwind(AssertUnwindSafe(|| key(event)))
                .unwrap_or_else(|_| event.subject.to_string()),
        };
        key.truncate(key.floor_char_boundary(ORDERING_KEY_BYTES_MAX));
        key
    }

    pub(super) fn is_feed(&self) -> bool {
        matches!(self, OrderingKey::Feed)
    }

    /// By what a subscription is split, as its rows say it.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            OrderingKey::Subject => "subject",
            OrderingKey::Feed => "feed",
            OrderingKey::By(_) => "key",
        }
    }
}

impl std::fmt::Debug for OrderingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            OrderingKey::Subject => "Subject",
            OrderingKey::Feed => "Feed",
            OrderingKey::By(_) => "By(…)",
        })
    }
}
