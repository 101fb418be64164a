//! Names of the headers that are the protocol's own (`docs/protocol.md`), for both sides.

use http::HeaderName;

/// Cursor of the feed's newest event.
pub(crate) const FEED_HEAD: HeaderName = HeaderName::from_static("feed-head");
/// Whether nothing comes behind the last event of this document: `true` or `false`.
pub(crate) const FEED_CAUGHT_UP: HeaderName = HeaderName::from_static("feed-caught-up");
/// The subscription that a reader asks for.
pub(crate) const FEED_SUBSCRIPTION: HeaderName = HeaderName::from_static("feed-subscription");
