//! Bare loops on the disk: rusqlite with the same rows and indexes, and nothing but syncs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use feed_core::{EventId, FeedConfig, Migrations, Store};
use rusqlite::{Connection, TransactionBehavior};

use crate::Failure;
use crate::peers::drive::Paced;
use crate::peers::payload::Payload;
use crate::peers::peer::{About, Bench, DISK, Peer, RUSQLITE, Work};

/// The rows of a handler.
pub(crate) const ROWS_TABLE: &str =
    "CREATE TABLE seen (position INTEGER PRIMARY KEY, subject TEXT NOT NULL) STRICT";
pub(crate) const INSERT_ROW: &str = "INSERT INTO seen (position, subject) VALUES ($1, $2)";
/// Rows of the handler that share a transaction: as many as the events of a batch.
const ROWS_PER_COMMIT: u64 = 100;
/// The same columns and indexes as an append fills.
const INSERT_EVENT: &str = r#"
INSERT INTO outbox (feed_position, id, type, subject, version, time_us, recorded_us, "check", data)
VALUES (?1, ?2, 'Measured', ?3, 1, ?4, ?4, ?5, ?6)"#;

#[derive(Default)]
pub(crate) struct Rusqlite;

impl Peer for Rusqlite {
    fn key(&self) -> &'static str {
        "rusqlite"
    }

    fn name(&self) -> &'static str {
        RUSQLITE
    }

    fn about(&mut self, _bench: &Bench) -> Result<About, Failure> {
        Ok(About {
            version: format!("SQLite {}", rusqlite::version()),
            settings: "WAL, synchronous FULL, the outbox's own table and indexes; x 100: transactions of 1,000 rows".into(),
        })
    }

    fn start(&mut self, _bench: &Bench) -> Result<(), Failure> {
        Ok(())
    }

    fn process_id(&self) -> Option<u32> {
        None
    }

    fn fill(&mut self, _bench: &Bench) -> Result<(), Failure> {
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        let folder = tempfile::tempdir_in(&bench.folder)?;
        let path = folder.path().join("bare.db");
        match work {
            Work::AppendOne => events(bench, &path, 1).map(Some),
            Work::AppendHundreds => events(bench, &path, 1_000).map(Some),
            Work::CatchUpRows => rows(&path, bench.catch_up_events).map(Some),
            _ => Ok(None),
        }
    }

    fn latency(&mut self, _bench: &Bench) -> Result<Option<Paced>, Failure> {
        Ok(None)
    }

    fn stop(&mut self) {}
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    Ok(conn)
}

/// Rows a second, for as long as a measurement takes.
fn events(bench: &Bench, path: &Path, per_commit: i64) -> Result<f64, Failure> {
    bench.wait(async {
        let store = Store::open(&path.to_string_lossy(), Migrations::NONE).await?;
        store
            .create_feed(FeedConfig::new("bench", "bench")?)
            .await?;
        store.close().await;
        Ok(())
    })?;
    let mut conn = connect(path)?;
    let mut payload = Payload::new(bench.event_bytes);
    let data = payload.stamped();
    let began = Instant::now();
    let mut number = 0_i64;
    while began.elapsed() < bench.time {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for _ in 0..per_commit {
            number += 1;
            let id = EventId::now();
            tx.prepare_cached(INSERT_EVENT)?.execute(rusqlite::params![
                (1_i64 << 40) + number,
                &id.as_bytes()[..],
                format!("subject-{number:08}"),
                number,
                &[0_u8; 6][..],
                data,
            ])?;
        }
        tx.commit()?;
    }
    Ok(number as f64 / began.elapsed().as_secs_f64())
}

fn rows(path: &Path, events: u64) -> Result<f64, Failure> {
    let mut conn = connect(path)?;
    conn.execute_batch(ROWS_TABLE)?;
    let began = Instant::now();
    let mut number = 0;
    while number < events {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for _ in 0..ROWS_PER_COMMIT {
            number += 1;
            let subject = format!("subject-0-{number:08}");
            tx.prepare_cached(INSERT_ROW)?
                .execute(rusqlite::params![number as i64, subject])?;
        }
        tx.commit()?;
    }
    Ok(number as f64 / began.elapsed().as_secs_f64())
}

/// How often the disk can be synced.
#[derive(Default)]
pub(crate) struct Disk;

impl Peer for Disk {
    fn key(&self) -> &'static str {
        "disk"
    }

    fn name(&self) -> &'static str {
        DISK
    }

    fn about(&mut self, bench: &Bench) -> Result<About, Failure> {
        Ok(About {
            version: filesystem(&bench.folder)?,
            settings: "512 bytes written behind the end of a file, and synced".into(),
        })
    }

    fn start(&mut self, _bench: &Bench) -> Result<(), Failure> {
        Ok(())
    }

    fn process_id(&self) -> Option<u32> {
        None
    }

    fn fill(&mut self, _bench: &Bench) -> Result<(), Failure> {
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        if work != Work::AppendOne {
            return Ok(None);
        }
        let mut file = tempfile::tempfile_in(&bench.folder)?;
        let (began, mut syncs) = (Instant::now(), 0_u32);
        while began.elapsed() < bench.time {
            file.write_all(&[b'x'; 512])?;
            file.sync_data()?;
            syncs += 1;
        }
        Ok(Some(f64::from(syncs) / began.elapsed().as_secs_f64()))
    }

    fn latency(&mut self, _bench: &Bench) -> Result<Option<Paced>, Failure> {
        Ok(None)
    }

    fn stop(&mut self) {}
}

/// What the folder's disk is formatted as.
///
/// # Errors
/// When it is none: what is to be synced has to lie on a disk.
fn filesystem(folder: &Path) -> Result<String, Failure> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let folder = folder.canonicalize()?;
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((PathBuf::from(words.next()?), words.next()?))
        })
        .filter(|(at, _)| folder.starts_with(at))
        .max_by_key(|(at, _)| at.as_os_str().len())
        .map(|(_, kind)| kind.to_owned())
        .ok_or("no file system")?;
    if kind == "tmpfs" || kind == "ramfs" {
        return Err(format!(
            "{} is in memory ({kind}); give another --folder",
            folder.display()
        )
        .into());
    }
    Ok(kind)
}
