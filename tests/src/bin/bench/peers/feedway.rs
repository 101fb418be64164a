//! Feedway: appends as a service does them, in its own process; reading over HTTP from a server in another one.

mod demo;
mod growth;
mod reading;
mod serve;

use std::any::Any;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use feed_core::{AppendError, Expected, FeedConfig, Migrations, NewEvent, Store, Subject, Tx};
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};

pub(crate) use self::growth::{Growth, growth};
pub(crate) use self::serve::{ServeOptions, serve};
use super::drive::{self, Paced, Worker};
use super::payload::Payload;
use super::peer::{About, AppendLoad, Bench, FEEDWAY, Peer, Work};
use super::process::{self, Server};
use super::{http_waiters, wrk};
use crate::Failure;

const FEED: &str = "bench";
/// The same events on larger pages, for whoever catches up: a feed of small events may have them.
const BULK: &str = "bulk";
const BULK_PAGE_EVENTS: u32 = 1_000;
/// Largest event that pages of so many may hold (`PAGE_BYTES_MAX`).
const BULK_EVENT_BYTES_MAX: u32 = 8_192;
const JSON: &str = "application/cloudevents-batch+json";
/// Events of one append while the feed is filled.
const FILL: usize = 1_000;

#[derive(Default)]
pub(crate) struct Feedway {
    running: Option<(Server, SocketAddr)>,
    /// A second server, which keeps all of a feed in memory, as Redis does.
    hot: Option<(Server, SocketAddr)>,
}

impl Feedway {
    fn address(&self) -> Result<SocketAddr, Failure> {
        let running = self.running.as_ref().ok_or("it does not run")?;
        Ok(running.1)
    }

    fn feed_url(&self) -> Result<String, Failure> {
        Ok(format!("http://{}/feeds/{FEED}", self.address()?))
    }

    /// The URL of the feed with large pages, where all of them are in memory.
    fn hot_url(&mut self, bench: &Bench) -> Result<String, Failure> {
        let is_new = self.hot.is_none();
        if is_new {
            // As they are sent, events are larger than their data.
            let bytes = bench.catch_up_events * (bench.event_bytes as u64 + 1_024);
            self.hot = Some(server(bench, Some(bytes))?);
        }
        let (_, address) = self.hot.as_ref().ok_or("it does not run")?;
        let url = format!("http://{address}/feeds/{BULK}");
        if is_new {
            bench.wait(reading::envelopes(&url, bench.catch_up_events))?;
        }
        Ok(url)
    }

    fn polls(&self, bench: &Bench, work: Work) -> Result<f64, Failure> {
        let feed = self.feed_url()?;
        let tail = format!("{feed}?after={}", bench.wait(head(&feed))?);
        if work == Work::EmptyPoll {
            return wrk::rate(bench, &tail, &[(ACCEPT.as_str(), JSON)]);
        }
        let etag = bench.wait(etag(&tail))?;
        let headers = [
            (ACCEPT.as_str(), JSON),
            (IF_NONE_MATCH.as_str(), etag.as_str()),
        ];
        wrk::rate(bench, &tail, &headers)
    }

    /// The first page, whose bytes are kept for whoever serves them as a file.
    fn hot_page(&self, bench: &Bench) -> Result<f64, Failure> {
        let start = format!("{}?after=start", self.feed_url()?);
        let url = bench.wait(async {
            let answer = client()?.get(start).header(ACCEPT, JSON).send().await?;
            let url = answer.error_for_status_ref()?.url().clone();
            std::fs::write(&bench.page_file, answer.bytes().await?)?;
            Ok(url)
        })?;
        if !url.path().contains("/archive/") {
            return Err("the first page is not sealed".into());
        }
        wrk::rate(bench, url.as_str(), &[])
    }
}

impl Peer for Feedway {
    fn key(&self) -> &'static str {
        "feedway"
    }

    fn name(&self) -> &'static str {
        FEEDWAY
    }

    fn about(&mut self, _bench: &Bench) -> Result<About, Failure> {
        Ok(About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: format!(
                "SQLite {}, WAL, synchronous FULL, pages of 100 events, all else as it comes; appends in the service's process, the feed read over HTTP; catch-up on pages of {BULK_PAGE_EVENTS} from a server that holds them in memory, in parts: on pages of 100 from one that holds 64 MB",
                rusqlite::version()
            ),
        })
    }

    fn start(&mut self, bench: &Bench) -> Result<(), Failure> {
        self.running = Some(server(bench, None)?);
        Ok(())
    }

    fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|(server, _)| server.id())
    }

    fn fill(&mut self, bench: &Bench) -> Result<(), Failure> {
        bench.wait(async {
            let store = open(&bench.folder).await?;
            for feed in [FEED, BULK] {
                let mut writer = Appender::new(&store, feed, 0, FILL, bench.event_bytes);
                for _ in 0..bench.catch_up_events / FILL as u64 {
                    writer.once().await?;
                }
            }
            store.close().await;
            Ok(())
        })
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        if let Some(load) = AppendLoad::of(work) {
            return append(bench, load).map(Some);
        }
        let events = bench.catch_up_events;
        let rate = match work {
            Work::CatchUp => {
                let hot = self.hot_url(bench)?;
                bench.wait(reading::envelopes(&hot, events))?
            }
            Work::CatchUpParts => bench.wait(reading::envelopes(&self.feed_url()?, events))?,
            Work::CatchUpStruct => {
                let hot = self.hot_url(bench)?;
                bench.wait(reading::structs(&hot, events))?
            }
            Work::CatchUpRows => {
                let hot = self.hot_url(bench)?;
                let rate = bench.wait(reading::rows(&hot, events, &bench.folder))?;
                self.hot = None;
                rate
            }
            Work::SameHundred => self.hot_page(bench)?,
            Work::EmptyPoll | Work::NotModified => self.polls(bench, work)?,
            Work::Orders => return demo::orders_per_second(),
            _ => return Ok(None),
        };
        Ok(Some(rate))
    }

    fn latency(&mut self, bench: &Bench) -> Result<Option<Paced>, Failure> {
        let (feed, address) = (self.feed_url()?, self.address()?);
        bench.wait(async {
            let (head, folder) = (head(&feed).await?.parse()?, bench.folder.clone());
            let written = serve::appended_there(address, bench.pace);
            let follow = |arrivals| reading::follow(feed, head, folder, arrivals);
            drive::latency(bench.pace, written, follow).await.map(Some)
        })
    }

    fn live(&mut self, bench: &Bench, readers: usize) -> Result<Option<Box<dyn Any>>, Failure> {
        let address = self.address()?;
        let target = format!("/feeds/{FEED}?after=now&wait=25");
        bench
            .wait(http_waiters::open(address, &target, readers))
            .map(Some)
    }

    fn stop(&mut self) {
        self.running = None;
        self.hot = None;
    }
}

/// A process that serves the feed of the folder, with pages in memory as usual or as many as `page_cache_bytes` says.
fn server(bench: &Bench, page_cache_bytes: Option<u64>) -> Result<(Server, SocketAddr), Failure> {
    let address = process::free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("peers-serve")
        .arg("--listen")
        .arg(address.to_string());
    command.arg("--folder").arg(&bench.folder);
    command.args(["--event-bytes", &bench.event_bytes.to_string()]);
    if let Some(bytes) = page_cache_bytes {
        command.args(["--page-cache-bytes", &bytes.to_string()]);
    }
    let mut server = Server::start(&command, &bench.folder.join("log"))?;
    server.listens(address)?;
    Ok((server, address))
}

fn client() -> Result<reqwest::Client, Failure> {
    // The first one to install a provider wins; any is good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .build()?)
}

/// The cursor of the feed's end, which any answer tells.
async fn head(feed: &str) -> Result<String, Failure> {
    let answer = client()?
        .get(format!("{feed}?after=now"))
        .header(ACCEPT, JSON)
        .send()
        .await?;
    let head = answer
        .error_for_status_ref()?
        .headers()
        .get("feed-head")
        .ok_or("no head")?;
    Ok(head.to_str()?.to_owned())
}

pub(super) async fn etag(url: &str) -> Result<String, Failure> {
    let answer = client()?
        .get(url)
        .header(ACCEPT, JSON)
        .send()
        .await?
        .error_for_status()?;
    let etag = answer.headers().get(ETAG).ok_or("no ETag")?;
    Ok(etag.to_str()?.to_owned())
}

/// The store of a folder, with its feeds.
async fn open(folder: &Path) -> Result<Store, Failure> {
    let path = folder.join("feed.db");
    let store = Store::open(&path.to_string_lossy(), Migrations::NONE).await?;
    store.create_feed(FeedConfig::new(FEED, "bench")?).await?;
    let bulk = FeedConfig::new(BULK, "bench")?
        .event_bytes_max(BULK_EVENT_BYTES_MAX)?
        .page_capacity(BULK_PAGE_EVENTS)?;
    store.create_feed(bulk).await?;
    Ok(store)
}

/// On a file of its own, as a service appends: nobody is between it and its database.
fn append(bench: &Bench, load: AppendLoad) -> Result<f64, Failure> {
    let folder = tempfile::tempdir_in(&bench.folder)?;
    bench.wait(async {
        let store = open(folder.path()).await?;
        let writer =
            |number| Appender::new(&store, FEED, number, load.per_append, bench.event_bytes);
        let rate = drive::rate((0..load.writers).map(writer).collect(), bench.time).await?;
        store.close().await;
        Ok(rate)
    })
}

/// Appends events about a new subject each time.
struct Appender {
    store: Store,
    feed: &'static str,
    number: usize,
    events: usize,
    payload: Payload,
    appended: u64,
}

impl Appender {
    fn new(store: &Store, feed: &'static str, number: usize, events: usize, bytes: usize) -> Self {
        Appender {
            store: store.clone(),
            feed,
            number,
            events,
            payload: Payload::new(bytes),
            appended: 0,
        }
    }
}

impl Worker for Appender {
    async fn once(&mut self) -> Result<u64, Failure> {
        self.appended += 1;
        let (feed, number, appended) = (self.feed, self.number, self.appended);
        let subject = Subject::new(format!("subject-{feed}-{number}-{appended:08}"))?;
        let value = self.payload.value();
        let events = (0..self.events)
            .map(|_| NewEvent::json("Measured", &value))
            .collect::<Result<Vec<_>, _>>()?;
        let work = async move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
            tx.append(feed, &subject, Expected::New, &events)
                .await
                .map(drop)
        };
        self.store.write(work).await?;
        Ok(self.events as u64)
    }
}
