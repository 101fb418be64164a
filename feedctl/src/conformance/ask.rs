//! Requests and their answers: every one is bounded and noted here.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use feed_core::Format;
use feed_core::limits::{DOCUMENT_BYTES_MAX, REDIRECTS_MAX};
use reqwest::{Method, RequestBuilder, Response, header};
use tokio::time::timeout;
use url::Url;

use super::kit::Kit;
use super::reply::Reply;
use super::rule::{Fault, failed};

/// After so many requests in a row without an answer the server is given up, so that a silent one ends the run soon.
const UNANSWERED_MAX: u32 = 3;

/// Most bytes that are read from a server in one run.
const BYTES_MAX: u64 = 1 << 30;

/// Headers of a request.
pub(super) type Headers<'h> = &'h [(&'h str, &'h str)];

impl Kit {
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
