//! Event ids, ordered in time where we make them, and derived where repetition must be harmless.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::InvalidValue;

/// The id of an event: a UUID, written in its 36-character lowercase form.
///
/// Our own are UUIDv7 (RFC 9562, section 5.7), so that an index takes them at its end. An id is never used to
/// order events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// A new UUIDv7.
    pub fn now() -> Self {
        EventId(Uuid::now_v7())
    }

    /// The id of the `index`th event (from 0) that the handler of `subscription` appends for the event `cause`.
    ///
    /// The same three give the same id, so a handler that runs again produces the same event and not a second
    /// one. It is a UUIDv8 (RFC 9562, section 5.8): the cause's first 48 bits, which are its time, then bits of
    /// SHA-256 over the three; so ids stay nearly in order.
    pub fn follow_up(subscription: &str, cause: EventId, index: u32) -> Self {
        let digest = Sha256::new()
            .chain_update(subscription.as_bytes())
            .chain_update([0])
            .chain_update(cause.as_bytes())
            .chain_update(index.to_be_bytes());
        EventId::derived(cause.time_bits(), digest)
    }

    /// The id of the timer that is set while `cause` is being handled by `scope`. Set again by the same handler after a
    /// restore, it is the same.
    #[cfg(all(feature = "client", feature = "store"))]
    pub(crate) fn setting(scope: &str, cause: EventId, kind: &str, key: &str) -> Self {
        let digest = timer_digest("setting", kind, key)
            .chain_update(scope.as_bytes())
            .chain_update([0])
            .chain_update(cause.as_bytes());
        EventId::derived(cause.time_bits(), digest)
    }

    /// What the ids of the events derive from that are appended when a timer fires.
    ///
    /// Its time is the due time and not that of the setting, which may be long ago: ids stay nearly in order.
    #[cfg(all(feature = "client", feature = "store"))]
    pub(crate) fn firing(
        kind: &str,
        key: &str,
        setting: EventId,
        due: chrono::DateTime<chrono::Utc>,
    ) -> Self {
        let due_ms = due.timestamp_millis().clamp(0, (1 << 48) - 1);
        let [_, _, time_bits @ ..] = due_ms.to_be_bytes();
        let digest = timer_digest("firing", kind, key).chain_update(setting.as_bytes());
        EventId::derived(time_bits, digest)
    }

    fn derived(time_bits: [u8; 6], digest: Sha256) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&time_bits);
        bytes[6..].copy_from_slice(&digest.finalize()[..10]);
        EventId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    fn time_bits(self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = *self.as_bytes();
        [a, b, c, d, e, f]
    }

    /// From 16 bytes, most significant first.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        EventId(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// Kinds and keys hold no zero byte, so that no two pairs make the same bytes.
#[cfg(all(feature = "client", feature = "store"))]
fn timer_digest(what: &str, kind: &str, key: &str) -> Sha256 {
    let texts = ["timer", what, kind, key];
    texts.iter().fold(Sha256::new(), |digest, text| {
        digest.chain_update(text.as_bytes()).chain_update([0])
    })
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for EventId {
    type Err = InvalidValue;

    /// The hyphenated form; upper case is taken and printed as lower case.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::new("event id", text, "a UUID in its 36-character form");
        if text.len() != 36 {
            return Err(invalid());
        }
        Uuid::try_parse(text).map(EventId).map_err(|_| invalid())
    }
}

impl serde::Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_have_one_text(bytes in any::<[u8; 16]>()) {
            let id = EventId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        }

        #[test]
        fn i07_follow_ups_are_the_same_again_and_differ_by_each_part(cause in any::<[u8; 16]>(), index in 0u32..1000) {
            let cause = EventId::from_bytes(cause);
            let id = EventId::follow_up("orders/customers", cause, index);
            prop_assert_eq!(id, EventId::follow_up("orders/customers", cause, index));
            prop_assert_ne!(id, EventId::follow_up("orders/customers", cause, index + 1));
            prop_assert_ne!(id, EventId::follow_up("orders/customer", cause, index));
            prop_assert_eq!(&id.as_bytes()[..6], &cause.as_bytes()[..6]);
        }
    }
}
