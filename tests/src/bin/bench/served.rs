//! A server in a process of its own, so that its memory and its processor time are its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Bytes;
use axum::routing::get;
use axum::{Router, http};
use clap::Args;
use feed_core::{AppendError, Expected, FeedConfig, Migrations, Store, Subject, Tx};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::append::data;

/// The feed of every server here.
pub(crate) const FEED: &str = "bench";
/// How long an answer to a single question is waited for.
const ANSWER: Duration = Duration::from_secs(10);

/// Serve a feed, or copies of answers, until the standard input ends.
#[derive(Args, Clone)]
pub(crate) struct ServeOptions {
    /// Events in the feed.
    #[arg(long, default_value_t = 250)]
    events: u32,
    /// Events in a page.
    #[arg(long, default_value_t = 100)]
    capacity: u32,
    /// Bytes of data in an event.
    #[arg(long, default_value_t = 512)]
    event_bytes: usize,
    /// Bytes of pages that are kept in memory; as many as usual unless given.
    #[arg(long)]
    page_cache_bytes: Option<u64>,
    /// Events that are appended a second while it serves, each with the time in it.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Answer what stands in this file instead, by axum and nothing else.
    #[arg(long)]
    copies: Option<PathBuf>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            events: 250,
            capacity: 100,
            event_bytes: 512,
            page_cache_bytes: None,
            rate: 0,
            copies: None,
        }
    }
}

impl ServeOptions {
    /// A feed with pages of so many events, two of which are full and one half.
    pub(crate) fn pages(capacity: u32, event_bytes: usize) -> Self {
        ServeOptions {
            events: capacity * 2 + capacity / 2,
            capacity,
            event_bytes,
            ..ServeOptions::default()
        }
    }

    /// So many full pages, none of which is kept.
    pub(crate) fn cold(self, pages: u32) -> Self {
        ServeOptions {
            page_cache_bytes: Some(0),
            events: self.capacity * pages,
            ..self
        }
    }

    pub(crate) fn rate(self, rate: u32) -> Self {
        ServeOptions { rate, ..self }
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["serve".to_owned()];
        let mut put = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        put("events", self.events.to_string());
        put("capacity", self.capacity.to_string());
        put("event-bytes", self.event_bytes.to_string());
        put("rate", self.rate.to_string());
        if let Some(bytes) = self.page_cache_bytes {
            put("page-cache-bytes", bytes.to_string());
        }
        if let Some(path) = &self.copies {
            put("copies", path.display().to_string());
        }
        arguments
    }
}

/// An answer, as it is copied.
#[derive(Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Result<&str, Failure> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        Ok(&found
            .ok_or_else(|| format!("{} has no {name}", self.path))?
            .1)
    }
}

/// A server that is running, until this is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(options: &ServeOptions) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(options.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .map_err(|_| "the server did not start")?;
        Ok(Server { child, address })
    }

    /// By axum alone: the same answers at the same paths.
    pub(crate) fn copying(answers: &[Answer], folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("copies.json");
        std::fs::write(&path, serde_json::to_vec(answers)?)?;
        Server::start(&ServeOptions {
            copies: Some(path),
            ..ServeOptions::default()
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// One answer by a connection of its own.
    pub(crate) fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse(path, &answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its standard input ends with this, so it stops by itself; a stuck one is ended.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(path: &str, answer: &[u8]) -> Result<Answer, Failure> {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or("an answer without an end of its head")?;
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let kept = |name: &str| !["date", "connection", "content-length"].contains(&name);
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| kept(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok(Answer {
        path: path.to_owned(),
        status: status.ok_or("an answer without a status")?.parse()?,
        headers,
        body: answer[end + 4..].to_vec(),
    })
}

/// The server's own side.
pub(crate) fn serve(runtime: &Runtime, options: &ServeOptions) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopped.cancel();
    });
    runtime.block_on(async {
        let listener = feed_core::server::bind(([127, 0, 0, 1], 0).into()).await?;
        let address = listener.local_addr()?;
        if let Some(path) = &options.copies {
            let answers: Vec<Answer> = serde_json::from_slice(&std::fs::read(path)?)?;
            println!("{address}");
            let served = axum::serve(listener, copies(answers)?);
            served
                .with_graceful_shutdown(stop.cancelled_owned())
                .await?;
            return Ok(());
        }
        let folder = tempfile::tempdir()?;
        let store = filled(folder.path(), options).await?;
        let mut router_options = feed_core::server::RouterOptions::default();
        if let Some(bytes) = options.page_cache_bytes {
            router_options.page_cache_bytes = bytes;
        }
        let router = feed_core::server::router_with(&store, [FEED], &router_options)?;
        println!("{address}");
        let appends = appends(store.clone(), options.rate, options.event_bytes);
        let appending = tokio::spawn(appends);
        feed_core::server::serve(listener, router, stop).await?;
        appending.abort();
        store.close().await;
        Ok(())
    })
}

fn copies(answers: Vec<Answer>) -> Result<Router, Failure> {
    let mut router = Router::new();
    for answer in answers {
        let path = answer.path.split('?').next().unwrap_or_default().to_owned();
        let status = StatusCode::from_u16(answer.status)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &answer.headers {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            headers.insert(name, HeaderValue::from_str(value)?);
        }
        let body = Bytes::from(answer.body);
        let answer = move || async move { (status, headers.clone(), body.clone()) };
        router = router.route(&path, get(answer));
    }
    Ok(router)
}

async fn filled(folder: &Path, options: &ServeOptions) -> Result<Store, Failure> {
    let path = folder.join("bench.db");
    let store = Store::open(&path.to_string_lossy(), Migrations::NONE).await?;
    let config =
        FeedConfig::new(FEED, "bench")?.event_bytes_max(options.event_bytes as u32 + 256)?;
    store
        .create_feed(config.page_capacity(options.capacity)?)
        .await?;
    for first in (0..options.events).step_by(500) {
        crate::append::append_one(
            &store,
            first,
            500.min(options.events - first),
            options.event_bytes,
        )
        .await?;
    }
    Ok(store)
}

/// Appends one event after another at this rate, none when it is 0.
async fn appends(store: Store, rate: u32, bytes: usize) -> Result<(), Failure> {
    if rate == 0 {
        return Ok(());
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for number in 1_000_000.. {
        ticks.tick().await;
        let event = data(number, bytes)?.at(chrono::Utc::now())?;
        let subject = Subject::new(format!("live-{number}"))?;
        let work = async move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
            let events = [event.clone()];
            let appended = tx.append(FEED, &subject, Expected::New, &events).await;
            appended.map(drop)
        };
        store.write(work).await?;
    }
    Ok(())
}
