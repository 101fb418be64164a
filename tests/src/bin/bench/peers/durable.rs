//! Durable Streams over HTTP, by the servers of its authors in Rust and in JavaScript.

mod messages;

use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use reqwest::{Client, Response};

use self::messages::Messages;
use super::drive::{self, Arrivals, Paced, Worker};
use super::payload::Payload;
use super::peer::{About, AppendLoad, Bench, DURABLE_NODE, DURABLE_RUST, HUNDRED, Peer, Work};
use super::process::{self, Server};
use super::{http_waiters, wrk};
use crate::Failure;

const JSON: &str = "application/json";
const NEXT_OFFSET: &str = "stream-next-offset";
const UP_TO_DATE: &str = "stream-up-to-date";
/// Messages of one request while the stream is filled.
const FILL: usize = 1_000;
/// Longest time for which one part of an answer is waited for.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The node server's program.
const NODE_PROGRAM: &str = include_str!("durable/server.mjs");

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rust,
    Node,
}

pub(crate) struct Durable {
    kind: Kind,
    running: Option<(Server, SocketAddr)>,
}

impl Durable {
    pub(crate) fn new(kind: Kind) -> Self {
        Durable {
            kind,
            running: None,
        }
    }

    fn program(&self, bench: &Bench) -> PathBuf {
        match self.kind {
            Kind::Rust => bench.tools.join("bin/durable-streams-server"),
            Kind::Node => PathBuf::from("node"),
        }
    }

    fn url(&self, stream: &str) -> Result<String, Failure> {
        let (_, address) = self.running.as_ref().ok_or("it does not run")?;
        Ok(format!("http://{address}/{stream}"))
    }
}

impl Peer for Durable {
    fn key(&self) -> &'static str {
        match self.kind {
            Kind::Rust => "durable-rust",
            Kind::Node => "durable-node",
        }
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Rust => DURABLE_RUST,
            Kind::Node => DURABLE_NODE,
        }
    }

    fn about(&mut self, bench: &Bench) -> Result<About, Failure> {
        if self.kind == Kind::Rust {
            let program = self.program(bench);
            if !program.is_file() {
                return Err(format!("{} is not there", program.display()).into());
            }
            let version = std::fs::read_to_string(bench.tools.join("durable-rust-version"))?;
            return Ok(About {
                version: version.trim().to_owned(),
                settings: "durability wal (fdatasync before the answer), JSON mode; a hundred as one request".into(),
            });
        }
        let package = bench
            .tools
            .join("node_modules/@durable-streams/server/package.json");
        let package: serde_json::Value = serde_json::from_slice(&std::fs::read(package)?)?;
        let node = process::says(&self.program(bench), &["--version"])?;
        Ok(About {
            version: format!("{} (node {node})", package["version"].as_str().unwrap_or_default()),
            settings: "dataDir (fdatasync before the answer), JSON mode, no compression; a hundred as one request".into(),
        })
    }

    fn start(&mut self, bench: &Bench) -> Result<(), Failure> {
        let address = process::free_address()?;
        let data = bench.folder.join("streams");
        std::fs::create_dir_all(&data)?;
        let mut command = Command::new(self.program(bench));
        let port = address.port().to_string();
        match self.kind {
            Kind::Rust => {
                command.args(["--host", "127.0.0.1", "--port", &port]);
                command
                    .args(["--durability", "wal", "--data-dir"])
                    .arg(&data);
            }
            Kind::Node => {
                // Beside its packages, where it finds them.
                let program = bench.tools.join("durable-server.mjs");
                std::fs::write(&program, NODE_PROGRAM)?;
                command.arg(program).arg(&port).arg(&data);
            }
        }
        let mut server = Server::start(&command, &bench.folder.join("log"))?;
        server.listens(address)?;
        self.running = Some((server, address));
        Ok(())
    }

    fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|(server, _)| server.id())
    }

    fn fill(&mut self, bench: &Bench) -> Result<(), Failure> {
        for (stream, messages) in [("feed", bench.catch_up_events), ("hundred", HUNDRED as u64)] {
            let url = self.url(stream)?;
            bench.wait(async {
                make_stream(&url).await?;
                let per_append = FILL.min(messages as usize);
                let mut writer = Appender::new(&url, per_append, bench.event_bytes)?;
                for _ in 0..messages / per_append as u64 {
                    writer.once().await?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        if let Some(load) = AppendLoad::of(work) {
            let url = self.url(&format!("appended-{}-{}", load.writers, load.per_append))?;
            return bench.wait(async {
                make_stream(&url).await?;
                let mut writers = Vec::new();
                for _ in 0..load.writers {
                    writers.push(Appender::new(&url, load.per_append, bench.event_bytes)?);
                }
                let rate = drive::rate(writers, bench.time).await?;
                client()?.delete(&url).send().await?.error_for_status()?;
                Ok(Some(rate))
            });
        }
        match work {
            Work::CatchUp => {
                let url = self.url("feed")?;
                bench.wait(caught_up(&url, bench.catch_up_events)).map(Some)
            }
            Work::SameHundred => {
                let url = format!("{}?offset=-1", self.url("hundred")?);
                wrk::rate(bench, &url, &[]).map(Some)
            }
            Work::EmptyPoll => {
                let url = self.url("hundred")?;
                let end = bench.wait(end_of(&url))?;
                wrk::rate(bench, &format!("{url}?offset={end}"), &[]).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn latency(&mut self, bench: &Bench) -> Result<Option<Paced>, Failure> {
        let url = self.url("followed")?;
        bench.wait(async {
            make_stream(&url).await?;
            let writer = Appender::new(&url, 1, bench.event_bytes)?;
            let written = drive::by_the_clock(writer, bench.pace);
            drive::latency(bench.pace, written, |arrivals| {
                follow(url.clone(), arrivals)
            })
            .await
            .map(Some)
        })
    }

    fn live(&mut self, bench: &Bench, readers: usize) -> Result<Option<Box<dyn Any>>, Failure> {
        let url = self.url("live")?;
        let (_, address) = self.running.as_ref().ok_or("it does not run")?;
        bench.wait(async {
            make_stream(&url).await?;
            let end = end_of(&url).await?;
            let target = format!("/live?offset={end}&live=long-poll");
            http_waiters::open(*address, &target, readers)
                .await
                .map(Some)
        })
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

fn client() -> Result<Client, Failure> {
    // The first one to install a provider wins; any is good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .tcp_nodelay(true);
    Ok(client.read_timeout(SILENCE_MAX).build()?)
}

async fn make_stream(url: &str) -> Result<(), Failure> {
    let made = client()?.put(url).header(CONTENT_TYPE, JSON).send().await?;
    made.error_for_status()?;
    Ok(())
}

/// The offset behind the last message.
async fn end_of(url: &str) -> Result<String, Failure> {
    let answer = client()?.head(url).send().await?.error_for_status()?;
    next_offset(&answer)
}

fn next_offset(answer: &Response) -> Result<String, Failure> {
    let offset = answer
        .headers()
        .get(NEXT_OFFSET)
        .ok_or("an answer without an offset")?;
    Ok(offset.to_str()?.to_owned())
}

/// Posts messages over a connection of its own.
struct Appender {
    client: Client,
    url: String,
    messages: usize,
    payload: Payload,
}

impl Appender {
    fn new(url: &str, messages: usize, bytes: usize) -> Result<Self, Failure> {
        Ok(Appender {
            client: client()?,
            url: url.to_owned(),
            messages,
            payload: Payload::new(bytes),
        })
    }

    fn body(&mut self) -> Bytes {
        let payload = self.payload.stamped();
        if self.messages == 1 {
            return Bytes::copy_from_slice(payload);
        }
        let mut body = Vec::with_capacity((payload.len() + 1) * self.messages + 1);
        for number in 0..self.messages {
            body.push(if number == 0 { b'[' } else { b',' });
            body.extend_from_slice(payload);
        }
        body.push(b']');
        body.into()
    }
}

impl Worker for Appender {
    async fn once(&mut self) -> Result<u64, Failure> {
        let body = self.body();
        let post = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, JSON)
            .body(body);
        post.send().await?.error_for_status()?.bytes().await?;
        Ok(self.messages as u64)
    }
}

/// Messages a second, each of them handed on as it stands.
async fn caught_up(url: &str, events: u64) -> Result<f64, Failure> {
    let client = client()?;
    let began = Instant::now();
    let (mut came, mut offset) = (0, "-1".to_owned());
    loop {
        let mut answer = client
            .get(format!("{url}?offset={offset}"))
            .send()
            .await?
            .error_for_status()?;
        offset = next_offset(&answer)?;
        let is_last = answer.headers().contains_key(UP_TO_DATE);
        let mut messages = Messages::default();
        while let Some(part) = answer.chunk().await? {
            messages.read(&part, |_| came += 1)?;
        }
        messages.end()?;
        if is_last {
            break;
        }
    }
    if came != events {
        return Err(format!("{came} of {events} events came").into());
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

async fn follow(url: String, arrivals: Arrivals) -> Result<(), Failure> {
    let client = client()?;
    let mut offset = end_of(&url).await?;
    loop {
        let next = format!("{url}?offset={offset}&live=long-poll");
        let answer = client.get(next).send().await?.error_for_status()?;
        offset = next_offset(&answer)?;
        let body = answer.bytes().await?;
        let mut messages = Messages::default();
        messages.read(&body, |message| arrivals.arrived(message))?;
    }
}
