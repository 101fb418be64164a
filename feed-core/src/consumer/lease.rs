//! The right of one instance to advance a subscription.

use uuid::Uuid;

/// The random id of an instance that holds a subscription.
pub(super) type HolderId = [u8; 16];

/// What proves the right (invariant I9): every commit of the holder is refused once another has taken the next fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) fence: i64,
    pub(super) holder: HolderId,
}

/// An id for an instance that starts.
pub(super) fn new_holder() -> HolderId {
    Uuid::new_v4().into_bytes()
}
