//! An outbox in PostgreSQL that is polled by SQL, as it is often built: a number from a sequence, and what comes after the
//! last number seen. It loses events: a transaction that committed late has a smaller number than what was seen.

use std::time::{Duration, Instant};

use feed_core::EventId;
use feedway_tests::postgres::{Cluster, ClusterOptions, connect};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::drive::{self, Arrivals, Paced, Worker};
use super::payload::Payload;
use super::peer::{About, AppendLoad, Bench, CONNECTIONS, HUNDRED, POSTGRES, Peer, Work};
use crate::Failure;

const DATABASE: &str = "bench";
/// Rows of one statement while the outbox is filled.
const FILL: usize = 10_000;
/// Rows that a reader asks for at a time when it wants all of them soon.
const PAGE: i64 = 10_000;
/// Time between two polls of one who follows.
const POLL: Duration = Duration::from_millis(1);
const TABLES: [&str; 3] = ["feed", "appended", "followed"];

#[derive(Default)]
pub(crate) struct Postgres {
    cluster: Option<Cluster>,
}

impl Postgres {
    fn url(&self) -> Result<String, Failure> {
        let cluster = self.cluster.as_ref().ok_or("it does not run")?;
        Ok(cluster.url(DATABASE))
    }
}

impl Peer for Postgres {
    fn key(&self) -> &'static str {
        "postgres"
    }

    fn name(&self) -> &'static str {
        POSTGRES
    }

    fn about(&mut self, bench: &Bench) -> Result<About, Failure> {
        if !feedway_tests::postgres::is_there() {
            return Err("PostgreSQL's server is not there".into());
        }
        self.start(bench)?;
        let url = self.url()?;
        let version = bench.wait(async {
            let row = connect(&url)
                .await?
                .query_one("SHOW server_version", &[])
                .await?;
            Ok(row.try_get::<_, String>(0)?)
        });
        self.stop();
        Ok(About {
            version: version?.split_whitespace().next().unwrap_or_default().to_owned(),
            settings: "fsync on, synchronous_commit on, shared_buffers 512MB, max_wal_size 8GB; prepared statements; a hundred as one INSERT; catch-up 10,000 rows a query, or 100; polled every millisecond; loses events that commit out of order".into(),
        })
    }

    fn start(&mut self, bench: &Bench) -> Result<(), Failure> {
        self.cluster = Some(bench.wait(async {
            let options = ClusterOptions {
                folder: Some(bench.folder.clone()),
                ..ClusterOptions::default()
            };
            let options = options.set("shared_buffers", "512MB").set("max_wal_size", "8GB");
            let cluster = Cluster::start(options).await?;
            cluster.create_database(DATABASE).await?;
            let client = connect(&cluster.url(DATABASE)).await?;
            for table in TABLES {
                let create = format!(
                    "CREATE TABLE {table} (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
                     id uuid NOT NULL UNIQUE, type text NOT NULL, subject text NOT NULL, \
                     recorded timestamptz NOT NULL DEFAULT now(), data bytea NOT NULL)"
                );
                client.batch_execute(&create).await?;
            }
            Ok(cluster)
        })?);
        Ok(())
    }

    fn process_id(&self) -> Option<u32> {
        self.cluster.as_ref().and_then(Cluster::process_id)
    }

    fn fill(&mut self, bench: &Bench) -> Result<(), Failure> {
        let url = self.url()?;
        bench.wait(async {
            let mut writer = Appender::new(&url, "feed", FILL, bench.event_bytes).await?;
            for _ in 0..bench.catch_up_events / FILL as u64 {
                writer.once().await?;
            }
            writer.client.batch_execute("ANALYZE feed").await?;
            Ok(())
        })
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        let url = self.url()?;
        bench.wait(async {
            if let Some(load) = AppendLoad::of(work) {
                let mut writers = Vec::new();
                for _ in 0..load.writers {
                    let bytes = bench.event_bytes;
                    writers.push(Appender::new(&url, "appended", load.per_append, bytes).await?);
                }
                let rate = drive::rate(writers, bench.time).await?;
                connect(&url)
                    .await?
                    .batch_execute("TRUNCATE appended")
                    .await?;
                return Ok(Some(rate));
            }
            let after = match work {
                Work::CatchUp => {
                    return caught_up(&url, bench.catch_up_events, PAGE).await.map(Some);
                }
                Work::CatchUpParts => {
                    let hundred = HUNDRED as i64;
                    return caught_up(&url, bench.catch_up_events, hundred)
                        .await
                        .map(Some);
                }
                Work::SameHundred => 0,
                Work::EmptyPoll => i64::MAX,
                _ => return Ok(None),
            };
            let mut readers = Vec::new();
            for _ in 0..CONNECTIONS {
                readers.push(Reader::new(&url, "feed", after, HUNDRED as i64).await?);
            }
            drive::rate(readers, bench.time).await.map(Some)
        })
    }

    fn latency(&mut self, bench: &Bench) -> Result<Option<Paced>, Failure> {
        let url = self.url()?;
        bench.wait(async {
            let writer = Appender::new(&url, "followed", 1, bench.event_bytes).await?;
            let reader = Reader::new(&url, "followed", 0, HUNDRED as i64).await?;
            drive::latency(
                bench.pace,
                drive::by_the_clock(writer, bench.pace),
                |arrivals| follow(reader, arrivals),
            )
            .await
            .map(Some)
        })
    }

    fn stop(&mut self) {
        self.cluster = None;
    }
}

struct Appender {
    client: Client,
    insert: Statement,
    rows: usize,
    payload: Payload,
    appended: u64,
}

impl Appender {
    async fn new(url: &str, table: &str, rows: usize, bytes: usize) -> Result<Self, Failure> {
        let client = connect(url).await?;
        let insert = if rows == 1 {
            format!("INSERT INTO {table} (id, type, subject, data) VALUES ($1, 'Measured', $2, $3)")
        } else {
            format!(
                "INSERT INTO {table} (id, type, subject, data) \
                 SELECT id, 'Measured', $2, $3 FROM unnest($1::uuid[]) AS id"
            )
        };
        Ok(Appender {
            insert: client.prepare(&insert).await?,
            client,
            rows,
            payload: Payload::new(bytes),
            appended: 0,
        })
    }
}

impl Worker for Appender {
    async fn once(&mut self) -> Result<u64, Failure> {
        self.appended += 1;
        let id = || Uuid::from_bytes(*EventId::now().as_bytes());
        let subject = format!("subject-{:08}", self.appended);
        let payload = self.payload.stamped();
        if self.rows == 1 {
            self.client
                .execute(&self.insert, &[&id(), &subject, &payload])
                .await?;
        } else {
            let ids: Vec<Uuid> = (0..self.rows).map(|_| id()).collect();
            self.client
                .execute(&self.insert, &[&ids, &subject, &payload])
                .await?;
        }
        Ok(self.rows as u64)
    }
}

/// Asks for the rows after a position, always the same.
struct Reader {
    client: Client,
    select: Statement,
    after: i64,
    limit: i64,
}

impl Reader {
    async fn new(url: &str, table: &str, after: i64, limit: i64) -> Result<Self, Failure> {
        let client = connect(url).await?;
        let select = format!(
            "SELECT position, id, type, subject, recorded, data FROM {table} \
             WHERE position > $1 ORDER BY position LIMIT $2"
        );
        Ok(Reader {
            select: client.prepare(&select).await?,
            client,
            after,
            limit,
        })
    }

    async fn rows(&self) -> Result<Vec<tokio_postgres::Row>, Failure> {
        Ok(self
            .client
            .query(&self.select, &[&self.after, &self.limit])
            .await?)
    }
}

impl Worker for Reader {
    async fn once(&mut self) -> Result<u64, Failure> {
        let came = self.rows().await?.len() as i64;
        let expected = if self.after == i64::MAX {
            0
        } else {
            self.limit
        };
        if came == expected {
            return Ok(1);
        }
        Err(format!("{came} of {expected} rows came").into())
    }
}

async fn caught_up(url: &str, events: u64, limit: i64) -> Result<f64, Failure> {
    let mut reader = Reader::new(url, "feed", 0, limit).await?;
    let began = Instant::now();
    let mut came = 0;
    loop {
        let rows = reader.rows().await?;
        let Some(last) = rows.last() else {
            break;
        };
        reader.after = last.try_get(0)?;
        came += rows.len() as u64;
    }
    if came != events {
        return Err(format!("{came} of {events} events came").into());
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

async fn follow(mut reader: Reader, arrivals: Arrivals) -> Result<(), Failure> {
    loop {
        let rows = reader.rows().await?;
        for row in &rows {
            arrivals.arrived(row.try_get(5)?);
            reader.after = row.try_get(0)?;
        }
        if rows.is_empty() {
            tokio::time::sleep(POLL).await;
        }
    }
}
