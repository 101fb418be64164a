//! The running check: SHA-256 over the check before and the event's id, cut to 48 bits.

use std::fmt;
use std::str::FromStr;

use sha2::block_api::compress256;

use super::{read_hex, write_hex};
use crate::error::InvalidValue;
use crate::event::EventId;

/// Bytes that a check is the hash of: those of the check before and of the event's id.
const CHECKED_BYTES: usize = 6 + 16;

/// What SHA-256 begins with (FIPS 180-4, section 5.3.3).
const SHA_256_INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The running hash of a feed: 48 bits, written as 12 lowercase hex digits.
///
/// The check of an event is the first 48 bits of SHA-256 over the previous event's check (6 bytes; all zero
/// before the first event) and the event's id (its 16 bytes). A reader who recomputes it knows that nothing
/// was skipped, repeated, swapped or taken from another history.
///
/// ```
/// use feed_core::{Check, EventId};
/// let id: EventId = "0190b6e2-1111-7000-8000-000000000001".parse()?;
/// let check = Check::START.next(id);
/// assert_eq!(check, Check::START.next(id));
/// assert_ne!(check, check.next(id));
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Check([u8; 6]);

impl Check {
    /// Before the first event.
    pub const START: Check = Check([0; 6]);

    /// The check of the event `id` that follows an event with this check.
    #[must_use]
    pub fn next(self, id: EventId) -> Check {
        // What is hashed has one length and fits one block, so the block is put together here, padding and all
        // (FIPS 180-4, section 5.1.1): a reader hashes every event that it reads.
        let mut block = [0; 64];
        block[..6].copy_from_slice(&self.0);
        block[6..CHECKED_BYTES].copy_from_slice(id.as_bytes());
        block[CHECKED_BYTES] = 0x80;
        block[56..].copy_from_slice(&(CHECKED_BYTES as u64 * 8).to_be_bytes());
        let mut state = SHA_256_INITIAL;
        compress256(&mut state, &[block]);
        let mut first = [0; 6];
        first[..4].copy_from_slice(&state[0].to_be_bytes());
        first[4..].copy_from_slice(&state[1].to_be_bytes()[..2]);
        Check(first)
    }

    /// From the bytes that [`as_bytes`](Self::as_bytes) gave.
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        Check(bytes)
    }

    /// From its text.
    pub(crate) fn from_hex(digits: &[u8]) -> Option<Self> {
        read_hex(digits).map(Check)
    }

    /// The 6 bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl FromStr for Check {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Check::from_hex(text.as_bytes())
            .ok_or_else(|| InvalidValue::new("check", text, "12 lowercase hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    proptest! {
        #[test]
        fn a_check_is_the_beginning_of_sha_256(before in any::<[u8; 6]>(), id in any::<[u8; 16]>()) {
            let digest = Sha256::digest([&before[..], &id[..]].concat());
            let check = Check(before).next(EventId::from_bytes(id));
            prop_assert_eq!(&check.as_bytes()[..], &digest[..6]);
        }

        #[test]
        fn a_check_depends_on_every_event_and_their_order(ids in proptest::collection::vec(any::<u128>(), 2..20), at in 0usize..18) {
            let run = |ids: &[u128]| ids.iter().fold(Check::START, |check, id| check.next(EventId::from_bytes(id.to_be_bytes())));
            let at = at % (ids.len() - 1);
            let mut skipped = ids.clone();
            skipped.remove(at);
            prop_assert_ne!(run(&ids), run(&skipped));
            let mut swapped = ids.clone();
            swapped.swap(at, at + 1);
            if ids[at] != ids[at + 1] {
                prop_assert_ne!(run(&ids), run(&swapped));
            }
        }
    }

    /// The example of the protocol document: anybody's implementation has to come to the same.
    #[test]
    fn the_check_of_the_documented_example() {
        let first: EventId = "0190b6e2-1111-7000-8000-000000000001".parse().unwrap();
        let second: EventId = "0190b6e2-1111-7000-8000-000000000002".parse().unwrap();
        let check = Check::START.next(first);
        assert_eq!(check.to_string(), "85d46803c40a");
        assert_eq!(check.next(second).to_string(), "46b423a8d6a6");
    }
}
