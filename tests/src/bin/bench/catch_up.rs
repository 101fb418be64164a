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
use crate::{Failure, Options, Part};

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
        runtime.block_on(prepared.read(&prepared.hot, |_| Ok(())))?;
        Ok(prepared)
    }

    pub(crate) fn round(
        &mut self,
        runtime: &Runtime,
        report: &mut Report,
        options: &Options,
    ) -> Result<(), Failure> {
        if options.wants(Part::BareRows) {
            self.bare_rows(100, report, Work::BareRows)?;
            self.bare_rows(1_000, report, Work::BareRowsThousands)?;
        }
        for (part, work, url) in [
            (Part::Read, Work::CatchUpRead, &self.hot),
            (Part::Cold, Work::CatchUpReadCold, &self.cold),
        ] {
            if options.wants(part) {
                let began = Instant::now();
                runtime.block_on(self.read(url, |_| Ok(())))?;
                report.add(work, u64::from(self.events), began.elapsed());
            }
        }
        if options.wants(Part::Decoded) {
            runtime.block_on(self.decode(report))?;
        }
        if options.wants(Part::Rows) {
            runtime.block_on(self.consume(report))?;
        }
        Ok(())
    }

    async fn decode(&self, report: &mut Report) -> Result<(), Failure> {
        let began = Instant::now();
        let mut bytes = 0;
        let decode = |event: &Event| -> Result<(), Failure> {
            let data: Measured = event.decode()?;
            bytes += data.filler.len() as u64 + data.number % 2;
            Ok(())
        };
        self.read(&self.hot, decode).await?;
        if bytes == 0 {
            return Err("nothing was deserialised".into());
        }
        report.add(
            Work::CatchUpDecoded,
            u64::from(self.events),
            began.elapsed(),
        );
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

    /// Every event parsed and its running check verified, and handed on.
    async fn read(
        &self,
        url: &str,
        mut each: impl FnMut(&Event) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let client = FeedClient::new(url, ClientOptions::default())?;
        let mut reader = client.reader(None);
        let mut read = 0;
        while let Some(events) = reader.next().await? {
            events.iter().try_for_each(&mut each)?;
            read += events.len() as u64;
        }
        if read == u64::from(self.events) {
            Ok(())
        } else {
            Err(format!("{read} of {} events came", self.events).into())
        }
    }

    async fn consume(&self, report: &mut Report) -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let store =
            Store::open(&folder.path().join("rows.db").to_string_lossy(), MIGRATIONS).await?;
        let handlers = Handlers::new().on("Measured", async |tx: &mut Tx<'_>, event: &Event| {
            let position = event.position.get() as i64;
            tx.execute(INSERT, &[position.into(), event.subject.as_str().into()])
                .await?;
            Ok(())
        });
        let mut consumer = Consumer::new(&store, "bench/bench", &self.hot)?.handlers(handlers);
        let began = Instant::now();
        let mut applied = 0;
        while applied < u64::from(self.events) {
            if let StepOutcome::Applied { events, .. } = consumer.step().await? {
                applied += events as u64;
            }
        }
        report.add(Work::CatchUpRows, applied, began.elapsed());
        store.close().await;
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
