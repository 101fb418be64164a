//! A real feed behind a real socket, and what came back from it.

use std::net::SocketAddr;

use axum::Router;
use feed_core::client::{ClientOptions, FeedClient};
use feed_core::server::{RouterOptions, bind, router_with, serve};
use feed_core::{DocumentError, Event, Format, ReadDocument, Store, atom, json};
use reqwest::header::HeaderMap;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Both representations.
pub(crate) const FORMATS: [Format; 2] = [Format::Atom, Format::Json];

/// Where the router is nested: a path that no link may know of.
pub(crate) const PREFIX: &str = "/some/prefix";

/// Redirects that no walk needs in a row.
const REDIRECTS_MAX: usize = 3;

/// A running server; it stops when this is dropped.
pub(crate) struct Served {
    origin: Url,
    http: reqwest::Client,
    stop: CancellationToken,
}

impl Served {
    /// Serves these feeds of the store below [`PREFIX`].
    pub(crate) async fn start(store: &Store, feeds: &[&str]) -> Self {
        Self::start_with(store, feeds, &RouterOptions::default()).await
    }

    /// As [`start`](Self::start), with options.
    pub(crate) async fn start_with(store: &Store, feeds: &[&str], options: &RouterOptions) -> Self {
        let routes = router_with(store, feeds.iter().copied(), options).unwrap();
        let app = Router::new().nest(PREFIX, routes);
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        // Making a feed client installs the provider of TLS that every HTTP client here needs.
        FeedClient::new(&origin, ClientOptions::default()).unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // What is on the wire is looked at.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, app, stop.clone()));
        Served {
            origin: Url::parse(&origin).unwrap(),
            http,
            stop,
        }
    }

    /// Tells the service to stop.
    #[allow(dead_code, reason = "of use where something waits")]
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// The response to a GET, whose body is still to come.
    #[allow(dead_code, reason = "of use where a body has no end")]
    pub(crate) async fn open(&self, url: &Url, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = self.http.get(url.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Where it listens, such as `http://127.0.0.1:8081`.
    #[allow(dead_code, reason = "of use where something stands in between")]
    pub(crate) fn origin(&self) -> &str {
        self.origin.as_str().trim_end_matches('/')
    }

    /// A URL below the prefix, such as `/feeds/lamps`.
    pub(crate) fn url(&self, path: &str) -> Url {
        self.origin.join(&format!("{PREFIX}{path}")).unwrap()
    }

    /// The answer to one request, redirects included.
    pub(crate) async fn request(&self, method: &str, url: &Url, headers: &[(&str, &str)]) -> Reply {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, url.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Reply {
            url: url.clone(),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) async fn get(&self, url: &Url, headers: &[(&str, &str)]) -> Reply {
        self.request("GET", url, headers).await
    }

    /// The document at `url` in this representation, over redirects.
    pub(crate) async fn document(&self, url: &Url, format: Format) -> Reply {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let reply = self.get(&at, &[("accept", format.media_type())]).await;
            match reply.status {
                200 => return reply,
                307 => at = reply.location(),
                _ => panic!("{at}: {reply:?}"),
            }
        }
        panic!("{url}: more than {REDIRECTS_MAX} redirects in a row");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {} {:?} {body}", self.url, self.status, self.headers)
    }
}

impl Reply {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"))
            .to_str()
            .unwrap()
    }

    /// Where the redirect leads, resolved against the URL that was asked for.
    pub(crate) fn location(&self) -> Url {
        self.url.join(self.header("location")).unwrap()
    }

    /// All links of the header with their relations, as they were written.
    pub(crate) fn links(&self) -> Vec<(String, String)> {
        let Some(header) = self.headers.get("link") else {
            return Vec::new();
        };
        let links = header.to_str().unwrap().split(", ");
        links
            .map(|link| {
                let (target, relation) = link.split_once(">; rel=\"").expect("<target>; rel=\"…\"");
                (
                    relation.strip_suffix('"').unwrap().to_owned(),
                    target.strip_prefix('<').unwrap().to_owned(),
                )
            })
            .collect()
    }

    /// The link of this relation, resolved.
    pub(crate) fn link(&self, relation: &str) -> Option<Url> {
        let links = self.links();
        let (_, target) = links.iter().find(|(found, _)| found == relation)?;
        Some(self.url.join(target).unwrap())
    }

    pub(crate) fn format(&self) -> Format {
        let found = self.header("content-type");
        *FORMATS
            .iter()
            .find(|format| format.media_type() == found)
            .unwrap_or_else(|| panic!("{found}"))
    }

    /// What the body says.
    pub(crate) fn read(&self) -> ReadDocument {
        let read: Result<ReadDocument, DocumentError> = match self.format() {
            Format::Atom => atom::read_feed(&self.body),
            Format::Json => json::read_batch(&self.body).map(|events| ReadDocument {
                events,
                ..ReadDocument::default()
            }),
        };
        read.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.read().events
    }

    /// Positions of the events, in the document's order.
    pub(crate) fn positions(&self) -> Vec<u64> {
        let events = self.events();
        events.iter().map(|event| event.position.get()).collect()
    }
}
