//! Fetching a document: redirects within the origin, bounded bodies, both representations.

use std::time::Duration;

use http::{StatusCode, header};
use reqwest::{Response, redirect};
use url::Url;

use super::addresses::{AllowedAddresses, literal, special_purpose};
use super::body::{believed_bytes, bounded_body, connection, each_piece, error_chain, text};
use super::error::{ClientError, ProblemBody};
use super::link;
use super::options::{ClientOptions, FetchOptions};
use super::resolver;
use super::response::{check_decoded, format_of, retry_after, waited};
use crate::document::{Format, ReadDocument};
use crate::headers::{FEED_CAUGHT_UP, FEED_HEAD, FEED_SUBSCRIPTION};
use crate::limits::{
    CLIENT_WAIT_MS_MAX, DOCUMENT_BYTES_MAX, PROBLEM_BYTES_MAX, REDIRECTS_MAX, URL_BYTES_MAX,
};
use crate::position::After;
use crate::{atom, json};

/// `Prefer` (RFC 7240, section 2).
const PREFER: &str = "prefer";

/// The longest wait that a server is asked for.
const WAIT_MAX: Duration = Duration::from_millis(CLIENT_WAIT_MS_MAX);

/// Reads one feed. Cheap to clone; connections are kept and used again.
#[derive(Debug, Clone)]
pub struct FeedClient {
    http: reqwest::Client,
    feed: Url,
    options: ClientOptions,
}

/// What came.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// The document that the ETag names is still the right one.
    NotModified,
    /// A document.
    Page(Box<Page>),
}

/// A document with what its response said about it.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it was found in the end.
    pub url: Url,
    /// Its events, and what it says of the feed.
    pub document: ReadDocument,
    /// What comes after it, on the feed's own origin.
    pub next: Option<Url>,
    /// To ask again whether it has changed; only when it was not redirected to.
    pub etag: Option<String>,
    /// How long the server says that it would wait (`Preference-Applied: wait`, RFC 7240, section 3), never longer
    /// than it was asked to; none when it was not asked to, or does not wait: then the reader has to wait by itself
    /// before it asks again.
    pub waited: Option<Duration>,
    /// Bytes of its body, after decoding.
    pub(crate) bytes: usize,
}

impl FeedClient {
    /// A client of the feed at `feed_url`, such as `http://127.0.0.1:8081/feeds/orders`.
    ///
    /// # Errors
    /// When the URL is not an absolute one of `http` or `https`, or carries a query or credentials; or names an
    /// address that may not be connected to.
    pub fn new(feed_url: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let wrong = |reason: &str| ClientError::Url {
            url: feed_url.chars().take(200).collect(),
            reason: reason.into(),
        };
        let feed = Url::parse(feed_url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(feed.scheme(), "http" | "https") || feed.host().is_none() {
            return Err(wrong(
                "it has to begin with http:// or https:// and name a host",
            ));
        }
        if feed.query().is_some()
            || feed.fragment().is_some()
            || feed.as_str().len() > URL_BYTES_MAX
        {
            return Err(wrong(
                "it has to be the feed itself, without ? and #, 2048 bytes at most",
            ));
        }
        if !feed.username().is_empty() || feed.password().is_some() {
            return Err(wrong(
                "credentials do not belong into a URL: use a bearer token",
            ));
        }
        // The first one to install a provider wins; any is good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("feedway/", env!("CARGO_PKG_VERSION")));
        if options.addresses == AllowedAddresses::PublicOnly {
            check_literal(&feed)?;
            // A proxy would be connected to instead, and look names up by itself.
            http = http.no_proxy().dns_resolver(resolver::PublicOnly::new());
        }
        let http = http.build().map_err(|error| wrong(&error_chain(&error)))?;
        Ok(FeedClient {
            http,
            feed,
            options,
        })
    }

    /// The feed's URL.
    pub fn feed(&self) -> &Url {
        &self.feed
    }

    /// The URL of the tail after `after`.
    pub fn tail(&self, after: &After) -> Url {
        let mut url = self.feed.clone();
        url.query_pairs_mut()
            .append_pair("after", &after.to_string());
        url
    }

    /// Fetches a document of this feed. Bodies may come compressed (gzip, br, zstd); the limits hold for what they
    /// become.
    ///
    /// # Errors
    /// See [`ClientError`]. Nothing of a document is returned unless all of it was read, and in time.
    pub async fn fetch(
        &self,
        url: &Url,
        options: FetchOptions<'_>,
    ) -> Result<Fetched, ClientError> {
        self.fetch_within(url, options, DOCUMENT_BYTES_MAX).await
    }

    /// Fetches a document that is of no use when it is larger than `bytes_max`.
    pub(super) async fn fetch_within(
        &self,
        url: &Url,
        options: FetchOptions<'_>,
        bytes_max: usize,
    ) -> Result<Fetched, ClientError> {
        let wait = options.wait.unwrap_or_default();
        // What the server takes to answer comes on top of what it was asked to wait.
        let limit = self.options.timeout.saturating_add(wait.min(WAIT_MAX));
        // One limit for all: each redirect and each byte of a body may come just in time, and there may be many.
        let fetched = tokio::time::timeout(limit, self.follow(url, options, bytes_max)).await;
        fetched.unwrap_or_else(|_| {
            Err(ClientError::Timeout {
                url: url.to_string(),
                limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            })
        })
    }

    /// Follows redirects until a document comes.
    async fn follow(
        &self,
        url: &Url,
        options: FetchOptions<'_>,
        bytes_max: usize,
    ) -> Result<Fetched, ClientError> {
        let mut at = self.own(&self.feed, url.as_str())?;
        for redirects in 0..=REDIRECTS_MAX {
            // A tag belongs to the first URL only.
            let etag = options.etag.filter(|_| redirects == 0);
            let options = FetchOptions { etag, ..options };
            let response = self.get(&at, options).await?;
            match response.status() {
                StatusCode::OK => {
                    let mut page = self.read(at, response, bytes_max, redirects > 0).await?;
                    // What it says of a wait that nobody asked for, or of a longer one, is no reason to come at once.
                    page.waited = options
                        .wait
                        .and_then(|asked| Some(page.waited?.min(asked).min(WAIT_MAX)));
                    return Ok(Fetched::Page(Box::new(page)));
                }
                StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(Fetched::NotModified),
                status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                    let location = text(response.headers(), header::LOCATION).unwrap_or_default();
                    at = self.own(&at, location)?;
                }
                _ => return Err(refused(&at, response).await),
            }
        }
        Err(ClientError::Limit {
            url: url.to_string(),
            what: "redirects",
            max: REDIRECTS_MAX,
        })
    }

    async fn get(&self, url: &Url, options: FetchOptions<'_>) -> Result<Response, ClientError> {
        let mut request = self
            .http
            .get(url.clone())
            .header(header::ACCEPT, self.accept());
        if !self.options.compression.is_asked_of(&self.feed) {
            request = request.header(header::ACCEPT_ENCODING, "identity");
        }
        if let Some(token) = &self.options.bearer_token {
            request = request.bearer_auth(token);
        }
        if let Some(etag) = options.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if options.past_caches {
            request = request.header(header::CACHE_CONTROL, "no-cache");
        }
        if let Some(wait) = options.wait {
            let seconds = wait.min(WAIT_MAX).as_secs();
            request = request.header(PREFER, format!("wait={seconds}"));
        }
        if let Some(subscription) = &self.options.subscription {
            request = request.header(FEED_SUBSCRIPTION, subscription.as_str());
        }
        request
            .send()
            .await
            .map_err(|error| connection(url, &error))
    }

    fn accept(&self) -> String {
        let other = match self.options.format {
            Format::Atom => Format::Json,
            Format::Json => Format::Atom,
        };
        format!(
            "{}, {};q=0.5",
            self.options.format.media_type(),
            other.media_type()
        )
    }

    async fn read(
        &self,
        url: Url,
        response: Response,
        bytes_max: usize,
        redirected: bool,
    ) -> Result<Page, ClientError> {
        let headers = response.headers().clone();
        let format = format_of(&url, &headers)?;
        check_decoded(&url, &headers)?;
        let (bytes, read) = match format {
            Format::Atom => {
                let body = bounded_body(&url, response, bytes_max).await?;
                (body.len(), atom::read_feed(&body))
            }
            Format::Json => {
                // Parsed while the rest is on its way, and not put together.
                let mut pieces = json::Pieces::new(believed_bytes(&response));
                let bytes =
                    each_piece(&url, response, bytes_max, |piece| pieces.push(piece)).await?;
                let read = pieces.finish().map(|events| ReadDocument {
                    events,
                    ..Default::default()
                });
                (bytes, read)
            }
        };
        let mut document = read.map_err(|source| ClientError::Document {
            url: url.to_string(),
            source,
        })?;
        document.head = document
            .head
            .or_else(|| text(&headers, FEED_HEAD)?.parse().ok());
        document.caught_up = document
            .caught_up
            .or_else(|| text(&headers, FEED_CAUGHT_UP)?.parse().ok());
        if document.next.is_none() {
            let links = headers
                .get_all(header::LINK)
                .iter()
                .filter_map(|value| value.to_str().ok());
            document.next = link::find(links, "next").map(str::to_owned);
        }
        let next = document
            .next
            .as_deref()
            .map(|next| self.own(&url, next))
            .transpose()?;
        let etag = text(&headers, header::ETAG)
            .filter(|_| !redirected)
            .map(str::to_owned);
        Ok(Page {
            url,
            document,
            next,
            etag,
            waited: waited(&headers),
            bytes,
        })
    }

    /// The link resolved against `base`, if it stays on the feed's own origin: so an address in the place of the host
    /// is the one that was allowed at the beginning.
    fn own(&self, base: &Url, link: &str) -> Result<Url, ClientError> {
        let foreign = || ClientError::ForeignLink {
            url: base.to_string(),
            link: link.chars().take(200).collect(),
        };
        let url = base.join(link).map_err(|_| foreign())?;
        let same = url.origin() == self.feed.origin()
            && url.username().is_empty()
            && url.password().is_none();
        if link.is_empty() || !same || url.as_str().len() > URL_BYTES_MAX {
            Err(foreign())
        } else {
            Ok(url)
        }
    }
}

/// Names are looked at when they are looked up.
fn check_literal(feed: &Url) -> Result<(), ClientError> {
    let Some(address) = literal(feed) else {
        return Ok(());
    };
    special_purpose(address).map_or(Ok(()), |purpose| {
        Err(ClientError::AddressNotAllowed {
            url: feed.to_string(),
            address,
            purpose,
            looked_up: false,
        })
    })
}

async fn refused(url: &Url, response: Response) -> ClientError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let problem: ProblemBody = match text(response.headers(), header::CONTENT_TYPE) {
        Some(kind) if kind.starts_with("application/problem+json") => {
            let body = bounded_body(url, response, PROBLEM_BYTES_MAX)
                .await
                .unwrap_or_default();
            serde_json::from_slice(&body).unwrap_or_default()
        }
        _ => ProblemBody::default(),
    };
    let detail = problem.short_detail();
    match problem.refusal() {
        // A server that is merely behind says so by 503, whatever else it says.
        Some(refusal) if status.is_client_error() => ClientError::Refused {
            url: url.to_string(),
            refusal,
        },
        _ => ClientError::Status {
            url: url.to_string(),
            status,
            detail: if detail.is_empty() {
                detail
            } else {
                format!(": {detail}")
            },
            retry_after,
        },
    }
}
