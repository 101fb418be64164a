//! Catch-up: a feed of many events, read from the start over HTTP.

use std::time::Instant;

use feed_core::client::{ClientOptions, FeedClient};
use feed_core::server::RouterOptions;
use feed_core::{Consumer, Event, FeedConfig, Handlers, Migrations, StepOutcome, Store, Tx};
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::append::{FEED, append_one};
use crate::report::{Report, Work};
use crate::{Failure, Only, Options};

const MIGRATIONS: Migrations = Migrations {
    owner: "bench",
    sqlite: &[(
        "V1__seen",
        "CREATE TABLE seen (position INTEGER PRIMARY KEY, subject TEXT NOT NULL) STRICT",
    )],
    postgres: &[],
};
const INSERT: &str = "INSERT INTO seen (position, subject) VALUES ($1, $2)";

/// A feed that is being served.
pub(crate) struct Prepared {
    /// All of its sealed pages are kept in memory there.
    hot: String,
    /// Each page is read from the database and rendered there.
    cold: String,
    events: u32,
    stop: CancellationToken,
    _folder: TempDir,
}

/// The data of an event.
#[derive(serde::Deserialize)]
struct Measured {
    number: u64,
    filler: String,
}

impl Prepared {
    pub(crate) fn new(runtime: &Runtime, options: &Options) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let stop = CancellationToken::new();
        let store = runtime.block_on(filled(folder.path(), options))?;
        let serve = |page_cache_bytes| {
            let mut options = RouterOptions::default();
            options.page_cache_bytes = page_cache_bytes;
            runtime.block_on(served(&store, &options, &stop))
        };
        let prepared = Prepared {
            hot: serve(u64::from(options.feed) * 2 * (options.event_bytes as u64 + 1_024))?,
            cold: serve(0)?,
            events: options.feed,
            stop,
            _folder: folder,
        };
        prepared.read(runtime, &prepared.hot, |_| Ok(0))?;
        Ok(prepared)
    }

    pub(crate) fn round(
        &mut self,
        runtime: &Runtime,
        report: &mut Report,
        options: &Options,
    ) -> Result<(), Failure> {
        if options.wants(Only::BareRows) {
            self.bare_rows(100, report, Work::BareRows)?;
            self.bare_rows(1_000, report, Work::BareRowsThousands)?;
        }
        for (part, work, url) in [
            (Only::Read, Work::CatchUpRead, &self.hot),
            (Only::Cold, Work::CatchUpReadCold, &self.cold),
        ] {
            if options.wants(part) {
                let began = Instant::now();
                self.read(runtime, url, |_| Ok(0))?;
                report.add(work, u64::from(self.events), began.elapsed());
            }
        }
        if options.wants(Only::Decoded) {
            self.decode(runtime, report)?;
        }
        if options.wants(Only::Rows) {
            self.consume(runtime, report)?;
        }
        Ok(())
    }

    fn decode(&self, runtime: &Runtime, report: &mut Report) -> Result<(), Failure> {
        let began = Instant::now();
        let bytes = self.read(runtime, &self.hot, |event| {
            let data: Measured = event.decode()?;
            Ok(data.filler.len() as u64 + data.number % 2)
        })?;
        if bytes == 0 {
            return Err("nothing was deserialised".into());
        }
        let events = u64::from(self.events);
        report.add(Work::CatchUpDecoded, events, began.elapsed());
        Ok(())
    }

    fn bare_rows(
        &self,
        rows_per_commit: u32,
        report: &mut Report,
        work: Work,
    ) -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let mut conn = Connection::open(folder.path().join("rows.db"))?;
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
        conn.execute_batch(MIGRATIONS.sqlite[0].1)?;
        let began = Instant::now();
        for first in (0..self.events).step_by(rows_per_commit as usize) {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for number in first..(first + rows_per_commit).min(self.events) {
                tx.prepare_cached(INSERT)?
                    .execute(rusqlite::params![number, format!("subject-{number:08}")])?;
            }
            tx.commit()?;
        }
        report.add(work, u64::from(self.events), began.elapsed());
        Ok(())
    }

    /// Every event parsed and its running check verified, and handed on: on a task of its own, as a service does it.
    /// Returns the sum of what `each` gave.
    fn read(
        &self,
        runtime: &Runtime,
        url: &str,
        mut each: impl FnMut(&Event) -> Result<u64, Failure> + Send + 'static,
    ) -> Result<u64, Failure> {
        let client = FeedClient::new(url, ClientOptions::default())?;
        let expected = u64::from(self.events);
        let reading = async move {
            let mut reader = client.reader(None);
            let (mut read, mut sum) = (0, 0);
            while let Some(events) = reader.next().await? {
                for event in &events {
                    sum += each(event)?;
                }
                read += events.len() as u64;
            }
            if read != expected {
                return Err(format!("{read} of {expected} events came").into());
            }
            Ok(sum)
        };
        runtime.block_on(runtime.spawn(reading))?
    }

    fn consume(&self, runtime: &Runtime, report: &mut Report) -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("rows.db");
        let store = runtime.block_on(Store::open(&path.to_string_lossy(), MIGRATIONS))?;
        let handlers = Handlers::new().on("Measured", async |tx: &mut Tx<'_>, event: &Event| {
            let position = event.position.get() as i64;
            tx.execute(INSERT, &[position.into(), event.subject.as_str().into()])
                .await?;
            Ok(())
        });
        let mut consumer = Consumer::new(&store, "bench/bench", &self.hot)?.handlers(handlers);
        let expected = u64::from(self.events);
        let consuming = async move {
            let mut applied = 0;
            while applied < expected {
                if let StepOutcome::Applied { events, .. } = consumer.step().await? {
                    applied += events as u64;
                }
            }
            Ok::<_, Failure>(())
        };
        let began = Instant::now();
        runtime.block_on(runtime.spawn(consuming))??;
        report.add(Work::CatchUpRows, expected, began.elapsed());
        runtime.block_on(store.close());
        Ok(())
    }
}

/// A store with a feed of so many events.
async fn filled(folder: &std::path::Path, options: &Options) -> Result<Store, Failure> {
    let path = folder.join("bench.db");
    let store = Store::open(&path.to_string_lossy(), Migrations::NONE).await?;
    let mut feed = FeedConfig::new(FEED, "bench")?;
    if let Some(capacity) = options.page_capacity {
        // Their product is bounded.
        let event_bytes = (8 << 20) / capacity.max(128);
        feed = feed.event_bytes_max(event_bytes)?.page_capacity(capacity)?;
    }
    store.create_feed(feed).await?;
    for first in (0..options.feed).step_by(500) {
        let count = 500.min(options.feed - first);
        append_one(&store, first, count, options.event_bytes).await?;
    }
    Ok(store)
}

/// Serves the feed, and returns its URL.
async fn served(
    store: &Store,
    options: &RouterOptions,
    stop: &CancellationToken,
) -> Result<String, Failure> {
    let listener = feed_core::server::bind(([127, 0, 0, 1], 0).into()).await?;
    let url = format!("http://{}/feeds/{FEED}", listener.local_addr()?);
    let router = feed_core::server::router_with(store, [FEED], options)?;
    tokio::spawn(feed_core::server::serve(listener, router, stop.clone()));
    Ok(url)
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
