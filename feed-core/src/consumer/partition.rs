//! Partitions: which of a subscription's events belong together. Pure.

use std::fmt;

use sha2::{Digest, Sha256};

use super::ordering::OrderingKey;
use crate::error::InvalidValue;
use crate::event::{Event, SubscriptionName};
use crate::limits::PARTITIONS_MAX;

/// Which of `partitions` the events with this ordering key belong to, from 0: the first eight bytes of the key's SHA-256 as
/// a number, big endian and without its highest bit, modulo `partitions`. It never changes: what is stored depends on it.
///
/// ```
/// use feed_core::partition_of;
/// assert_eq!(partition_of("order-7f3a", 1), 0);
/// assert_eq!(partition_of("order-7f3a", 4), 1);
/// ```
pub fn partition_of(ordering_key: &str, partitions: u32) -> u32 {
    let number = key_hash(ordering_key) % i64::from(partitions.max(1));
    // Smaller than a number of 32 bits, and not negative.
    u32::try_from(number).unwrap_or(0)
}

/// What decides on the partition, whatever their number: from 0 to 2^63 - 1, so that a database has it as an integer.
pub(super) fn key_hash(ordering_key: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(ordering_key.as_bytes()).into();
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    i64::from_be_bytes(first) & i64::MAX
}

/// A number of partitions that a subscription may have.
///
/// # Errors
/// When it is not from 1 to [`PARTITIONS_MAX`].
pub(super) fn checked(partitions: u32) -> Result<u32, InvalidValue> {
    if (1..=PARTITIONS_MAX).contains(&partitions) {
        return Ok(partitions);
    }
    let given = partitions.to_string();
    Err(InvalidValue::new("partitions", &given, "1 to 64"))
}

/// One partition of a subscription, or all of one that is not split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: SubscriptionName,
    /// From 0.
    pub(super) number: u32,
    /// How many there are.
    pub(super) of: u32,
}

impl Part {
    /// All of a subscription: what is kept for it is that of all its partitions.
    pub(super) fn whole(name: &SubscriptionName) -> Self {
        Part {
            name: name.clone(),
            number: 0,
            of: 1,
        }
    }

    /// By which name the producer tells how far behind this reader is: `orders/customers`, or `orders/customers/2-of-4` for a
    /// partition, as long as there is room for that in a name.
    pub(super) fn reader(&self) -> SubscriptionName {
        if self.of == 1 {
            return self.name.clone();
        }
        let name = format!("{}/{}-of-{}", self.name, self.number, self.of);
        SubscriptionName::new(name).unwrap_or_else(|_| self.name.clone())
    }

    /// Whether the event is applied here; else another partition does it, and this one only passes it.
    pub(super) fn owns(&self, ordering: &OrderingKey, event: &Event) -> bool {
        self.of == 1 || partition_of(&ordering.of(event), self.of) == self.number
    }
}

/// As in logs: `orders/customers`, or `orders/customers#2` for a partition.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        if self.of > 1 {
            write!(f, "#{}", self.number)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is in databases depends on these: they may not change.
    #[test]
    fn the_hash_is_the_documented_one() {
        let digest = "e3b0c44298fc1c14";
        let empty = u64::from_str_radix(digest, 16).unwrap() & (u64::MAX >> 1);
        assert_eq!(key_hash(""), i64::try_from(empty).unwrap());
        let digest = "ca978112ca1bbdca";
        let a = u64::from_str_radix(digest, 16).unwrap() & (u64::MAX >> 1);
        assert_eq!(key_hash("a"), i64::try_from(a).unwrap());
        let of_five: Vec<u32> = ["a", "b", "c", "d", "order-7f3a"]
            .map(|key| partition_of(key, 5))
            .to_vec();
        assert_eq!(of_five, [2, 1, 0, 4, 4]);
    }

    #[test]
    fn keys_are_spread_evenly() {
        let mut counts = [0_u32; 8];
        for number in 0..8_000 {
            counts[partition_of(&format!("order-{number}"), 8) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn numbers_of_partitions_are_limited() {
        assert!(checked(0).is_err() && checked(65).is_err());
        assert!(checked(1).is_ok() && checked(64).is_ok());
    }

    proptest! {
        #[test]
        fn every_key_belongs_to_one_partition(key in "\\PC{0,40}", partitions in 1..=PARTITIONS_MAX) {
            prop_assert!(partition_of(&key, partitions) < partitions);
            prop_assert_eq!(i64::from(partition_of(&key, partitions)), key_hash(&key) % i64::from(partitions));
        }
    }
}
