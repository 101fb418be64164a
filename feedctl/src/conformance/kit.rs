//! Asking the server: every request of every rule goes through here, bounded and noted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use feed_core::client::{ClientError, ClientOptions, FeedClient};
use feed_core::limits::{DOCUMENT_BYTES_MAX, REDIRECTS_MAX};
use feed_core::{Cursor, Event, Format};
use reqwest::{Method, RequestBuilder, Response, header};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::Options;
use super::append::Append;
use super::problems::Journal;
use super::reply::Reply;
use super::rule::{Fault, failed, skipped};
use super::walk::{Walk, walk};

/// After so many requests in a row without an answer the server is given up, so that a silent one ends the run soon.
const UNANSWERED_MAX: u32 = 3;
/// Most bytes that are read from a server in one run.
const BYTES_MAX: u64 = 1 << 30;
/// Most runs of the appender before the rules begin.
const FILL_RUNS_MAX: u64 = 250;
/// Pages that are to be sealed before the rules begin.
const SEALED_WANTED: u64 = 2;
/// How long an appended event may take to become visible, in milliseconds.
const VISIBLE_MS_MAX: u64 = 10_000;
/// Time between two looks for an appended event, in milliseconds.
const LOOK_INTERVAL_MS: u64 = 25;

/// Why no rule could be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A rule that there is not.
    #[error("{0}")]
    Rule(String),
    /// The feed's URL cannot be used.
    #[error(transparent)]
    Url(#[from] ClientError),
    /// The server was not reached.
    #[error("{url} cannot be reached: {reason}")]
    Connect {
        /// The feed's URL.
        url: String,
        /// What happened, with its causes.
        reason: String,
    },
    /// The appender failed.
    #[error("no event could be appended: {0}")]
    Append(String),
}

/// What all rules ask with, and what was found out before they began.
pub(super) struct Kit {
    http: reqwest::Client,
    /// The feed's own URL.
    pub(super) feed: Url,
    token: Option<String>,
    pub(super) timeout: Duration,
    append: Option<Append>,
    /// Requests in a row that were not answered.
    silent: AtomicU32,
    bytes: AtomicU64,
    pub(super) journal: Mutex<Journal>,
    /// The feed's entry in the list of feeds.
    pub(super) listed: Option<Value>,
    /// Events in a page, as the list says it, else as a sealed page shows it.
    pub(super) capacity: Option<u64>,
    /// The feed from its start on.
    pub(super) walk: Walk,
}

/// Headers of a request.
pub(super) type Headers<'h> = &'h [(&'h str, &'h str)];

impl Kit {
    /// Looks at the feed, appends what the rules need, and walks over it.
    ///
    /// # Errors
    /// When the URL cannot be used, nobody answers there, or the appender fails.
    pub(super) async fn prepare(options: &Options) -> Result<Kit, SetupError> {
        let client = FeedClient::new(&options.feed_url, ClientOptions::default())?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Bytes and headers are judged as they come.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .connect_timeout(options.timeout)
            .user_agent(concat!("feedctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| unreachable(client.feed(), &error))?;
        let mut kit = Kit {
            http,
            feed: client.feed().clone(),
            token: options.bearer_token.clone(),
            timeout: options.timeout,
            append: options.append.clone(),
            silent: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            journal: Mutex::default(),
            listed: None,
            capacity: None,
            walk: Walk::default(),
        };
        if let Err(error) = kit
            .begin(Method::GET, &kit.feed, &[], options.timeout)
            .await
            && error.is_connect()
        {
            return Err(unreachable(&kit.feed, &error));
        }
        kit.listed = kit.list_entry().await;
        let listed = kit.listed.as_ref();
        kit.capacity = listed
            .and_then(|entry| entry.get("page_capacity")?.as_u64())
            .filter(|capacity| *capacity > 0);
        kit.fill().await?;
        kit.walk = walk(&kit, options.events_max).await;
        kit.capacity = kit.capacity.or_else(|| kit.walk.sealed_length());
        Ok(kit)
    }

    /// The feed's entry in the list; what is wrong with the list is rule R1's to tell.
    async fn list_entry(&self) -> Option<Value> {
        let list = self.list();
        let reply = self.get(&list, &[]).await.ok()?;
        let body = reply.json().ok()?;
        let entries = body.get("feeds")?.as_array()?;
        let is_ours = |entry: &&Value| {
            let href = entry.get("href").and_then(Value::as_str);
            href.and_then(|href| list.join(href).ok()).as_ref() == Some(&self.feed)
        };
        entries.iter().find(is_ours).cloned()
    }

    /// Appends until there are two sealed pages and something behind them, if that takes not too many runs.
    async fn fill(&self) -> Result<(), SetupError> {
        let Some(append) = &self.append else {
            return Ok(());
        };
        // A server that does not tell its head is judged by the rules; the appender has to work all the same.
        let Ok(head) = self.newest().await else {
            return append.run().await.map_err(SetupError::Append);
        };
        let position = head.position.get();
        let pages = |pages: u64| self.capacity.map(|capacity| pages * capacity + 1);
        let target = (1..=SEALED_WANTED)
            .rev()
            .filter_map(pages)
            .find(|target| target.saturating_sub(position) <= FILL_RUNS_MAX)
            .unwrap_or(0)
            .max(position + 1)
            .max(4);
        let mut at = position;
        for _ in 0..FILL_RUNS_MAX {
            if at >= target {
                break;
            }
            append.run().await.map_err(SetupError::Append)?;
            match self.newest().await {
                Ok(head) => at = head.position.get(),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// The list of feeds, which the feed's own URL is below of.
    pub(super) fn list(&self) -> Url {
        let mut list = self.feed.clone();
        if let Ok(mut segments) = list.path_segments_mut() {
            segments.pop();
        }
        list
    }

    /// The feed's own URL with these parameters.
    pub(super) fn at(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.feed.clone();
        for (name, value) in parameters {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    }

    /// The tail behind `after`.
    pub(super) fn after(&self, after: impl ToString) -> Url {
        self.at(&[("after", &after.to_string())])
    }

    /// A URL below the feed's own, such as `events/…`.
    pub(super) fn below(&self, path: &str) -> Url {
        let mut url = self.feed.clone();
        url.set_path(&format!("{}/{path}", self.feed.path()));
        url
    }

    /// A sealed page among those that were walked over.
    pub(super) fn page_url(&self, page: u64, format: Format) -> Option<Url> {
        let last = usize::try_from(page.checked_mul(self.capacity?)?.checked_sub(1)?).ok()?;
        let epoch = self.walk.events.get(last)?.epoch;
        Some(self.below(&format!("archive/{epoch}/{page}.r1.{}", format.extension())))
    }

    /// How many sealed pages were walked over.
    pub(super) fn sealed_pages(&self) -> u64 {
        let capacity = self.capacity.unwrap_or(u64::MAX);
        self.walk.events.len() as u64 / capacity
    }

    /// # Errors
    /// Skips when fewer than `pages` sealed pages were walked over.
    pub(super) fn need_sealed(&self, pages: u64) -> Result<u64, Fault> {
        let Some(capacity) = self.capacity else {
            return skipped(format!(
                "the feed does not tell its page capacity, and has no sealed page{}",
                self.walk.why_short()
            ));
        };
        let sealed = self.sealed_pages();
        if sealed >= pages {
            return Ok(capacity);
        }
        let needed = pages.saturating_mul(capacity);
        skipped(format!(
            "needs {needed} events, {} were read{}",
            self.walk.events.len(),
            self.walk.why_short()
        ))
    }

    /// The events that were walked over.
    ///
    /// # Errors
    /// Skips when they are fewer than `count`.
    pub(super) fn need_events(&self, count: usize) -> Result<&[Event], Fault> {
        let events = &self.walk.events;
        if events.len() >= count {
            return Ok(events);
        }
        skipped(format!(
            "needs {count} events, {} were read{}",
            events.len(),
            self.walk.why_short()
        ))
    }

    /// The cursor of the newest event.
    pub(super) async fn newest(&self) -> Result<Cursor, Fault> {
        let json = [("accept", Format::Json.media_type())];
        let reply = self.get(&self.after("now"), &json).await?;
        reply.expect(200)?.head()
    }

    /// Whether new events can be made.
    ///
    /// # Errors
    /// Skips when they cannot.
    pub(super) fn need_append(&self) -> Result<&Append, Fault> {
        match &self.append {
            Some(append) => Ok(append),
            None => skipped("needs a new event: say by --append how one is made"),
        }
    }

    /// Makes an event, and waits until it is visible behind the newest one of now.
    ///
    /// # Errors
    /// Skips when no event can be made; fails when none comes into sight.
    pub(super) async fn append(&self) -> Result<Vec<Event>, Fault> {
        let append = self.need_append()?;
        let before = self.newest().await?;
        if let Err(reason) = append.run().await {
            return skipped(format!("no event could be appended: {reason}"));
        }
        let url = self.after(before);
        let begun = Instant::now();
        loop {
            let reply = self.document(&url, Format::Json).await?;
            let events = reply.events()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if begun.elapsed() > Duration::from_millis(VISIBLE_MS_MAX) {
                return Err(reply.fault("an event was appended, and none came within 10 s"));
            }
            tokio::time::sleep(Duration::from_millis(LOOK_INTERVAL_MS)).await;
        }
    }

    pub(super) async fn get(&self, url: &Url, headers: Headers<'_>) -> Result<Reply, Fault> {
        self.request(Method::GET, url, headers).await
    }

    /// The answer to one request, redirects included.
    ///
    /// # Errors
    /// When no whole answer came within the limits.
    pub(super) async fn request(
        &self,
        method: Method,
        url: &Url,
        headers: Headers<'_>,
    ) -> Result<Reply, Fault> {
        self.request_within(method, url, headers, self.timeout)
            .await
    }

    /// As [`request`](Self::request), within another time.
    pub(super) async fn request_within(
        &self,
        method: Method,
        url: &Url,
        headers: Headers<'_>,
        within: Duration,
    ) -> Result<Reply, Fault> {
        let line = line(&method, url, headers);
        self.go_on(&line)?;
        let begun = Instant::now();
        let answered = timeout(within, async {
            let response = self.begin(method, url, headers, within).await;
            let response = response.map_err(|error| error_chain(&error))?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = self.body(response).await?;
            Ok((status, headers, body))
        });
        let answer = answered
            .await
            .unwrap_or_else(|_| Err(format!("no whole answer within {} s", within.as_secs_f32())));
        match answer {
            Ok((status, headers, body)) => {
                self.silent.store(0, Ordering::Relaxed);
                let reply = Reply {
                    request: line,
                    url: url.clone(),
                    status,
                    headers,
                    body,
                    took: begun.elapsed(),
                };
                self.note(&reply);
                Ok(reply)
            }
            Err(reason) => self.unanswered(&line, reason),
        }
    }

    /// # Errors
    /// When the server was given up.
    pub(super) fn go_on(&self, line: &str) -> Result<(), Fault> {
        if self.silent.load(Ordering::Relaxed) >= UNANSWERED_MAX {
            return failed(format!("{line}: not sent, the server was given up"));
        }
        Ok(())
    }

    /// Counts a request that was not answered, and fails.
    pub(super) fn unanswered<T>(
        &self,
        line: &str,
        reason: impl std::fmt::Display,
    ) -> Result<T, Fault> {
        self.silent.fetch_add(1, Ordering::Relaxed);
        failed(format!("{line}: {reason}"))
    }

    fn note(&self, reply: &Reply) {
        // Whoever panicked with the lock has a test to fail; what was noted until then is still good.
        let mut journal = self
            .journal
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        journal.note(reply);
    }

    /// Sends the request, and returns the answer before its body.
    pub(super) async fn begin(
        &self,
        method: Method,
        url: &Url,
        headers: Headers<'_>,
        within: Duration,
    ) -> Result<Response, reqwest::Error> {
        let mut request: RequestBuilder = self.http.request(method, url.clone()).timeout(within);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.authorised(request, url).send().await
    }

    /// Whether requests carry a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// As [`get`](Self::get), without the token.
    pub(super) async fn get_anonymously(&self, url: &Url) -> Result<Reply, Fault> {
        let request = self.http.get(url.clone()).timeout(self.timeout);
        let line = format!("{} without a token", line(&Method::GET, url, &[]));
        let wrong = |error: String| Fault::Failed(format!("{line}: {error}"));
        let begun = Instant::now();
        let response = request
            .send()
            .await
            .map_err(|error| wrong(error_chain(&error)))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = self.body(response).await.map_err(wrong)?;
        Ok(Reply {
            request: line,
            url: url.clone(),
            status,
            headers,
            body,
            took: begun.elapsed(),
        })
    }

    /// With the token, if there is one and it is for this origin.
    pub(super) fn authorised(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        match &self.token {
            Some(token) if url.origin() == self.feed.origin() => {
                request.header(header::AUTHORIZATION, format!("Bearer {token}"))
            }
            _ => request,
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| error_chain(&error))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > DOCUMENT_BYTES_MAX {
                return Err(format!("the body has more than {DOCUMENT_BYTES_MAX} bytes"));
            }
            self.count(chunk.len())?;
        }
        Ok(body)
    }

    /// Counts bytes that came.
    ///
    /// # Errors
    /// When they are too many for one run.
    pub(super) fn count(&self, bytes: usize) -> Result<(), String> {
        let all = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if all > BYTES_MAX {
            return Err(format!("more than {BYTES_MAX} bytes came in this run"));
        }
        Ok(())
    }

    /// The document at `url` in this representation, over redirects within the origin.
    ///
    /// # Errors
    /// When it is not answered by 200 in the end.
    pub(super) async fn document(&self, url: &Url, format: Format) -> Result<Reply, Fault> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let reply = self.get(&at, &[("accept", format.media_type())]).await?;
            if reply.status != 307 {
                reply.expect(200)?;
                return Ok(reply);
            }
            at = reply.expect_redirect()?;
            reply.ensure(
                at.origin() == self.feed.origin(),
                format_args!("it redirects to another origin, {at}"),
            )?;
        }
        failed(format!(
            "{url}: more than {REDIRECTS_MAX} redirects in a row"
        ))
    }
}

/// The request for people: path and query, and the headers but for the usual `Accept`.
pub(super) fn line(method: &Method, url: &Url, headers: Headers<'_>) -> String {
    let mut line = format!("{method} {}", &url[url::Position::BeforePath..]);
    for (name, value) in headers {
        let usual = *name == "accept" && *value == Format::Json.media_type();
        if !usual {
            line.push_str(&format!(" [{name}: {}]", super::reply::short(value)));
        }
    }
    super::reply::short(&line)
}

fn unreachable(url: &Url, error: &reqwest::Error) -> SetupError {
    SetupError::Connect {
        url: url.to_string(),
        reason: error_chain(error),
    }
}

/// The error with its causes.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
