//! Appends: how much slower than the bare inserts is the whole path from a caller to its acknowledgement?

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use feed_core::{
    AppendError, EventId, Expected, FeedConfig, Migrations, NewEvent, Store, Subject, Tx,
};
use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::report::{Report, Work};

pub(crate) const FEED: &str = "bench";
const WRITERS: u32 = 64;
const BATCH_WRITERS: u32 = 16;
const BATCH_EVENTS: u32 = 100;
const BARE_BATCH_ROWS: u32 = 1_000;

/// One round of everything, each on a file of its own.
pub(crate) fn round(
    runtime: &Runtime,
    report: &mut Report,
    appends: u32,
    bytes: usize,
) -> Result<(), Failure> {
    let batched = appends * 10;
    bare(runtime, appends, 1, bytes, report, Work::BareSingle)?;
    feedway(runtime, appends, 1, 1, bytes, report, Work::AppendOneWriter)?;
    feedway(
        runtime,
        batched,
        WRITERS,
        1,
        bytes,
        report,
        Work::AppendManyWriters,
    )?;
    bare(
        runtime,
        batched,
        BARE_BATCH_ROWS,
        bytes,
        report,
        Work::BareBatch,
    )?;
    feedway(
        runtime,
        batched,
        BATCH_WRITERS,
        BATCH_EVENTS,
        bytes,
        report,
        Work::AppendHundreds,
    )
}

/// Data of the wanted size; what is in it differs a little from event to event.
pub(crate) fn data(number: u32, bytes: usize) -> Result<NewEvent, Failure> {
    let filler = "x".repeat(bytes.saturating_sub(30));
    Ok(NewEvent::json(
        "Measured",
        &serde_json::json!({ "number": number, "filler": filler }),
    )?)
}

/// A new store with a feed.
pub(crate) async fn open(folder: &Path) -> Result<Store, Failure> {
    let path = folder.join("bench.db");
    let store = Store::open(&path.to_string_lossy(), Migrations::NONE).await?;
    store.create_feed(FeedConfig::new(FEED, "bench")?).await?;
    Ok(store)
}

/// The same rows into the same table with the same indexes, and nothing else.
fn bare(
    runtime: &Runtime,
    rows: u32,
    per_commit: u32,
    bytes: usize,
    report: &mut Report,
    work: Work,
) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut conn = prepare_bare(runtime, folder.path())?;
    let began = Instant::now();
    for first in (0..rows).step_by(per_commit as usize) {
        insert_bare(&mut conn, first..first + per_commit, bytes)?;
    }
    report.add(
        work,
        u64::from(rows.next_multiple_of(per_commit)),
        began.elapsed(),
    );
    Ok(())
}

/// A file with the table, and a connection that syncs at every commit.
pub(crate) fn prepare_bare(runtime: &Runtime, folder: &Path) -> Result<Connection, Failure> {
    runtime.block_on(async {
        open(folder).await?.close().await;
        Ok::<_, Failure>(())
    })?;
    let conn = Connection::open(folder.join("bench.db"))?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    Ok(conn)
}

/// One transaction with the rows of these numbers.
pub(crate) fn insert_bare(
    conn: &mut Connection,
    numbers: Range<u32>,
    bytes: usize,
) -> Result<(), Failure> {
    // Made once a transaction: what an event is made of is no part of what is compared.
    let filler = serde_json::json!({ "number": 0, "filler": "x".repeat(bytes.saturating_sub(30)) })
        .to_string();
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for number in numbers {
        let id = EventId::now();
        tx.prepare_cached(
            r#"INSERT INTO outbox (feed_position, id, type, subject, version, time_us, recorded_us, "check", data)
               VALUES (?1, ?2, 'Measured', ?3, 1, ?4, ?4, ?5, ?6)"#,
        )?
        .execute(rusqlite::params![
            (1_i64 << 40) + i64::from(number) + 1,
            &id.as_bytes()[..],
            format!("subject-{number:08}"),
            i64::from(number),
            &[0_u8; 6][..],
            filler.as_bytes(),
        ])?;
    }
    Ok(tx.commit()?)
}

fn feedway(
    runtime: &Runtime,
    events: u32,
    writers: u32,
    per_append: u32,
    bytes: usize,
    report: &mut Report,
    work: Work,
) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let store = open(folder.path()).await?;
        let appends_each = events / writers / per_append;
        let began = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for append in 0..appends_each {
                        let first = (append * writers + writer) * per_append;
                        append_one(&store, first, per_append, bytes).await?;
                    }
                    Ok::<_, Failure>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        report.add(
            work,
            u64::from(appends_each * writers * per_append),
            began.elapsed(),
        );
        store.close().await;
        Ok(())
    })
}

/// Appends `count` events about a subject of their own, and waits for the acknowledgement.
pub(crate) async fn append_one(
    store: &Store,
    first: u32,
    count: u32,
    bytes: usize,
) -> Result<(), Failure> {
    let subject = Subject::new(format!("subject-{first:08}"))?;
    let events = (first..first + count)
        .map(|number| data(number, bytes))
        .collect::<Result<Vec<_>, _>>()?;
    let work = async move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
        tx.append(FEED, &subject, Expected::New, &events)
            .await
            .map(drop)
    };
    Ok(store.write(work).await?)
}
