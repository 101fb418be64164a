//! How a client asks, and how it asks for one document.

use std::time::Duration;

use url::{Host, Url};

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
    /// Whether documents are asked for compressed; where it pays, unless set.
    pub compression: Compression,
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
            compression: Compression::default(),
            subscription: None,
        }
    }
}

/// Whether a client asks for compressed documents (`Accept-Encoding`, RFC 9110, section 12.5.3). What comes compressed is
/// read in any case.
///
/// ```
/// use feed_core::client::{ClientOptions, Compression};
/// let within_one_rack = ClientOptions { compression: Compression::Never, ..ClientOptions::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Where it pays, as far as that can be told: not from a feed whose URL names this machine (`localhost`, or an address
    /// of loopback), where copying bytes is cheaper than making fewer of them.
    #[default]
    WhereItPays,
    /// From every feed: for links that are slow or paid for by the byte.
    Always,
    /// From none: for fast links, on which a page is there sooner than its compression is undone.
    Never,
}

impl Compression {
    /// Whether documents of this feed are asked for compressed.
    pub(super) fn is_asked_of(self, feed: &Url) -> bool {
        match self {
            Compression::WhereItPays => !is_this_machine(feed),
            Compression::Always => true,
            Compression::Never => false,
        }
    }
}

fn is_this_machine(feed: &Url) -> bool {
    match feed.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_not_asked_to_compress() {
        for (feed, paid) in [
            ("http://127.0.0.1:8081/feeds/orders", false),
            ("http://localhost/feeds/orders", false),
            ("https://[::1]/feeds/orders", false),
            ("http://10.0.0.7/feeds/orders", true),
            ("https://orders.example/feeds/orders", true),
        ] {
            let feed = Url::parse(feed).unwrap();
            assert_eq!(Compression::WhereItPays.is_asked_of(&feed), paid, "{feed}");
            assert!(Compression::Always.is_asked_of(&feed));
            assert!(!Compression::Never.is_asked_of(&feed));
        }
    }
}
