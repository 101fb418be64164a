//! Catch-up: a feed of many events, read from the start over HTTP.

use std::time::Instant;

use feed_core::client::{ClientOptions, FeedClient, FetchOptions, Fetched, Seen, verify};
use feed_core::{After, Consumer, Event, Handlers, Migrations, StepOutcome, Store, Tx};
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::append::{append_one, open};
use crate::report::{Report, Work};

const MIGRATIONS: Migrations = Migrations {
    owner: "bench",
    sqlite: &[(
        "V1__seen",
        "CREATE TABLE seen (position INTEGER PRIMARY KEY, subject TEXT NOT NULL) STRICT",
    )],
    postgres: &[],
};
const INSERT: &str = "INSERT INTO seen (position, subject) VALUES ($1, $2)";
const ROWS_PER_COMMIT: u32 = 100;

/// A feed that is being served.
pub(crate) struct Prepared {
    url: String,
    events: u32,
    stop: CancellationToken,
    _folder: TempDir,
}

impl Prepared {
    pub(crate) fn new(runtime: &Runtime, events: u32, bytes: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let stop = CancellationToken::new();
        let url = runtime.block_on(async {
            let store = open(folder.path()).await?;
            for first in (0..events).step_by(500) {
                append_one(&store, first, 500.min(events - first), bytes).await?;
            }
            let listener = feed_core::server::bind(([127, 0, 0, 1], 0).into()).await?;
            let url = format!("http://{}/feeds/bench", listener.local_addr()?);
            let router = feed_core::server::router(&store, ["bench"])?;
            tokio::spawn(feed_core::server::serve(listener, router, stop.clone()));
            Ok::<_, Failure>(url)
        })?;
        Ok(Prepared {
            url,
            events,
            stop,
            _folder: folder,
        })
    }

    pub(crate) fn round(&mut self, runtime: &Runtime, report: &mut Report) -> Result<(), Failure> {
        self.bare_rows(report)?;
        runtime.block_on(self.read(report))?;
        runtime.block_on(self.consume(report))
    }

    fn bare_rows(&self, report: &mut Report) -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let mut conn = Connection::open(folder.path().join("rows.db"))?;
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
        conn.execute_batch(MIGRATIONS.sqlite[0].1)?;
        let began = Instant::now();
        for first in (0..self.events).step_by(ROWS_PER_COMMIT as usize) {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for number in first..(first + ROWS_PER_COMMIT).min(self.events) {
                tx.prepare_cached(INSERT)?
                    .execute(rusqlite::params![number, format!("subject-{number:08}")])?;
            }
            tx.commit()?;
        }
        report.add(Work::BareRows, u64::from(self.events), began.elapsed());
        Ok(())
    }

    /// Every event parsed and its running check verified; nothing is done with it.
    async fn read(&self, report: &mut Report) -> Result<(), Failure> {
        let client = FeedClient::new(&self.url, ClientOptions::default())?;
        let began = Instant::now();
        let (mut seen, mut read) = (Seen::Nothing, 0);
        let mut url = client.tail(&After::Start);
        while read < u64::from(self.events) {
            let Fetched::Page(page) = client.fetch(&url, FetchOptions::default()).await? else {
                return Err("the feed answered 304 to a request without a tag".into());
            };
            let fresh = verify(seen, page.document.events)?;
            read += fresh.len() as u64;
            seen = fresh
                .last()
                .map_or(seen, |last| Seen::Cursor(last.cursor()));
            url = page.next.ok_or("a document without next")?;
        }
        report.add(Work::CatchUpRead, read, began.elapsed());
        Ok(())
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
        let mut consumer = Consumer::new(&store, "bench/bench", &self.url)?.handlers(handlers);
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

impl Drop for Prepared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
