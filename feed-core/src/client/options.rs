//! How a client asks, and how it asks for one document.

use std::time::Duration;

use super::addresses::AllowedAddresses;
use crate::document::Format;
use crate::event::SubscriptionName;
use crate::limits::CLIENT_REQUEST_MS_MAX;

/// How a client asks.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The representation that is asked for. The other one is read all the same when it comes.
    pub format: Format,
    /// Sent to the feed's own origin only.
    pub bearer_token: Option<String>,
    /// Longest time that one document may take, redirects and all of its body included, beside what the server is
    /// asked to wait; [`CLIENT_REQUEST_MS_MAX`] unless set.
    pub timeout: Duration,
    /// Which addresses may be connected to; any unless set.
    pub addresses: AllowedAddresses,
    /// Told to the feed with every request, so that its operators see who follows it and how far behind
    /// (`Feed-Subscription`); nothing unless set.
    pub subscription: Option<SubscriptionName>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            format: Format::Json,
            bearer_token: None,
            timeout: Duration::from_millis(CLIENT_REQUEST_MS_MAX),
            addresses: AllowedAddresses::default(),
            subscription: None,
        }
    }
}

/// How one document is asked for.
///
/// ```
/// use std::time::Duration;
/// use feed_core::client::FetchOptions;
/// let long_poll = FetchOptions { wait: Some(Duration::from_secs(20)), ..FetchOptions::default() };
/// assert!(long_poll.etag.is_none());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchOptions<'a> {
    /// The ETag of the document that the reader has: if it is still the right one, the answer is
    /// [`Fetched::NotModified`](super::Fetched::NotModified).
    pub etag: Option<&'a str>,
    /// Whether caches in between are asked to look at the server again.
    pub past_caches: bool,
    /// How long the server is asked to wait while there is nothing new (`Prefer: wait`, RFC 7240, section 4.3), in
    /// whole seconds, cut at [`CLIENT_WAIT_MS_MAX`](crate::limits::CLIENT_WAIT_MS_MAX). The document may take that
    /// much longer.
    pub wait: Option<Duration>,
}
