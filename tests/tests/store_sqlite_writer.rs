//! The writer of the SQLite store: what it remembers between transactions, commands that share one, and checkpoints.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use feed_core::client::{Seen, verify};
use feed_core::limits::{CHECKPOINT_PAGES, WAL_PAGES_MAX};
use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Appended, Event, Expected, FeedConfig, Migrations, NewEvent, Store, StoreError,
    Subject, Tx, Window,
};
use rusqlite::{Connection, TransactionBehavior};

const SERVICE: Migrations = Migrations {
    owner: "service",
    sqlite: &[(
        "V1__notes",
        "CREATE TABLE notes (note TEXT PRIMARY KEY) STRICT",
    )],
    postgres: &[],
};
const FEEDS: [&str; 2] = ["first", "second"];
const PAGE_BYTES: u64 = 4_096;

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

fn event(number: u32) -> NewEvent {
    NewEvent::json("Happened", &number).unwrap()
}

async fn with_feeds() -> TempStore {
    let store = TempStore::new(SERVICE).await;
    for feed in FEEDS {
        let config = FeedConfig::new(feed, "test").unwrap();
        store.create_feed(config).await.unwrap();
    }
    store
}

async fn append(
    store: &Store,
    feed: &'static str,
    name: &str,
    expected: Expected,
) -> Result<Appended, AppendError> {
    let subject = subject(name);
    let work = async move |tx: &mut Tx<'_>| tx.append(feed, &subject, expected, &[event(1)]).await;
    store.write(work).await
}

/// All events of the feed, after making sure that positions and checks follow on each other.
async fn verified(store: &Store, feed: &str) -> Vec<Event> {
    let log = store.log(feed).unwrap();
    let (state, events) = log.read(Window::Newest { limit: 10_000 }).await.unwrap();
    assert_eq!(state.head.position.get(), events.len() as u64);
    verify(Seen::Nothing, events).expect("no gap, no repetition, no other order")
}

fn wal_bytes(store: &TempStore) -> u64 {
    let mut path = store.path().into_os_string();
    path.push("-wal");
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[tokio::test]
async fn i03_i04_what_the_writer_remembers_ends_when_somebody_else_commits() {
    let store = with_feeds().await;
    let other = Store::open(&store.path().to_string_lossy(), SERVICE)
        .await
        .unwrap();
    let mut third = Connection::open(store.path()).unwrap();
    third.execute_batch("PRAGMA synchronous = FULL").unwrap();
    // In every order of three, and each two times in a row now and then.
    for (round, turns) in ["012", "021", "102", "120", "201", "210", "001122", "221100"]
        .iter()
        .cycle()
        .take(40)
        .enumerate()
    {
        for (turn, who) in turns.chars().enumerate() {
            let feed = FEEDS[(round + turn) % 2];
            let name = format!("{feed}-{}", turn % 3);
            match who {
                '0' => drop(append(&store, feed, &name, Expected::Any).await.unwrap()),
                '1' => drop(append(&other, feed, &name, Expected::Any).await.unwrap()),
                _ => {
                    let tx = third
                        .transaction_with_behavior(TransactionBehavior::Immediate)
                        .unwrap();
                    let (name, events) = (subject(&name), [event(1)]);
                    feed_core::sqlite::append(&tx, feed, &name, Expected::Any, &events).unwrap();
                    tx.commit().unwrap();
                }
            }
        }
    }
    let all: usize = verified(&store, "first").await.len() + verified(&store, "second").await.len();
    assert_eq!(all, 40 / 8 * (6 * 3 + 2 * 6));
}

#[tokio::test]
async fn i05_a_subject_that_somebody_else_began_is_not_new() {
    let store = with_feeds().await;
    let other = Store::open(&store.path().to_string_lossy(), SERVICE)
        .await
        .unwrap();
    append(&store, "first", "a", Expected::New).await.unwrap();
    append(&other, "first", "b", Expected::New).await.unwrap();
    for (store, name) in [(&*store, "b"), (&other, "a")] {
        let conflict = append(store, "first", name, Expected::New).await;
        let Err(AppendError::Conflict { current, .. }) = conflict else {
            panic!("{conflict:?}");
        };
        assert_eq!(current.get(), 1);
        let elsewhere = append(store, "second", name, Expected::New).await;
        assert!(
            matches!(elsewhere, Err(AppendError::SubjectElsewhere { .. })),
            "{elsewhere:?}"
        );
    }
    assert_eq!(verified(&store, "first").await.len(), 2);
}

#[tokio::test]
async fn i05_after_pruning_a_subject_without_its_first_event_is_not_new() {
    let store = with_feeds().await;
    for _ in 0..3 {
        append(&store, "first", "a", Expected::Any).await.unwrap();
    }
    let conn = Connection::open(store.path()).unwrap();
    conn.execute_batch(
        "BEGIN;
         UPDATE feeds SET pruned_position = 1, pruned_check = (SELECT \"check\" FROM outbox WHERE position = 1)
         WHERE name = 'first';
         DELETE FROM outbox WHERE position = 1;
         COMMIT",
    )
    .unwrap();
    let conflict = append(&store, "first", "a", Expected::New).await;
    assert!(
        matches!(conflict, Err(AppendError::Conflict { current, .. }) if current.get() == 3),
        "{conflict:?}"
    );
}

#[tokio::test]
async fn i03_a_service_that_undoes_a_part_of_its_transaction_leaves_no_gap() {
    let store = with_feeds().await;
    append(&store, "first", "a", Expected::New).await.unwrap();
    for undo in ["ROLLBACK TO part", "RELEASE part"] {
        let work = async move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
            tx.execute("SAVEPOINT part", &[]).await?;
            tx.append("first", &subject("a"), Expected::Any, &[event(2), event(3)])
                .await?;
            tx.query::<(i64,)>(undo, &[]).await?;
            tx.append("first", &subject("a"), Expected::Any, &[event(4)])
                .await?;
            Ok(())
        };
        store.write(work).await.unwrap();
        append(&store, "first", "a", Expected::Any).await.unwrap();
    }
    assert_eq!(verified(&store, "first").await.len(), 1 + 2 + 4);
}

/// Runs the works as one group: none of them begins before all are waiting.
async fn in_one_group<F: Future>(
    store: &TempStore,
    works: impl IntoIterator<Item = F>,
) -> Vec<F::Output> {
    let conn = Connection::open(store.path()).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut works: Vec<_> = works.into_iter().map(Box::pin).collect();
    // Polled once, each has sent its command.
    for work in &mut works {
        assert!(futures_util::poll!(work).is_pending());
    }
    conn.execute_batch("ROLLBACK").unwrap();
    futures_util::future::join_all(works).await
}

#[tokio::test]
async fn i01_one_that_fails_late_takes_nothing_of_its_group_with_it() {
    let store = with_feeds().await;
    let runs = Arc::new(AtomicU32::new(0));
    let work = |number: u32, fails: bool| {
        let (store, runs) = (Store::clone(&store), runs.clone());
        async move {
            let work = async move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
                runs.fetch_add(1, Ordering::SeqCst);
                let name = format!("{number}");
                tx.append("first", &subject(&name), Expected::New, &[event(number)])
                    .await?;
                tx.execute(
                    "INSERT INTO notes (note) VALUES ($1)",
                    &[name.as_str().into()],
                )
                .await?;
                if fails {
                    Err(StoreError::Closed.into())
                } else {
                    Ok(())
                }
            };
            store.write(work).await
        }
    };
    let done = in_one_group(&store, (0..20).map(|number| work(number, number % 7 == 3))).await;
    for (number, result) in done.iter().enumerate() {
        assert_eq!(result.is_err(), number % 7 == 3, "{number}");
    }
    assert_eq!(verified(&store, "first").await.len(), 17);
    let notes = store.query::<(String,)>("SELECT note FROM notes", &[]);
    assert_eq!(notes.await.unwrap().len(), 17);
    // Run again after the first failure, and not once more for each.
    let runs = runs.load(Ordering::SeqCst);
    assert!((20..=40).contains(&runs), "{runs}");
}

#[tokio::test]
async fn i05_a_conflict_makes_nobody_run_again() {
    let store = with_feeds().await;
    append(&store, "first", "taken", Expected::New)
        .await
        .unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let work = |number: u32| {
        let (store, runs) = (Store::clone(&store), runs.clone());
        async move {
            let work = async move |tx: &mut Tx<'_>| {
                runs.fetch_add(1, Ordering::SeqCst);
                let name = if number.is_multiple_of(2) {
                    "taken"
                } else {
                    &number.to_string()
                };
                tx.append("first", &subject(name), Expected::New, &[event(number)])
                    .await
            };
            store.write(work).await
        }
    };
    let done = in_one_group(&store, (0..20).map(work)).await;
    for (number, result) in done.iter().enumerate() {
        assert_eq!(
            matches!(result, Err(AppendError::Conflict { .. })),
            number % 2 == 0,
            "{number}: {result:?}"
        );
    }
    assert_eq!(runs.load(Ordering::SeqCst), 20);
    assert_eq!(verified(&store, "first").await.len(), 11);
}

/// Appends so much that the WAL takes so many pages at least.
async fn append_pages(store: &Store, pages: u32) {
    let filler = "x".repeat(3_000);
    for _ in 0..pages.div_ceil(100) {
        let events: Vec<_> = (0..100)
            .map(|_| NewEvent::json("Happened", &filler).unwrap())
            .collect();
        let work = async move |tx: &mut Tx<'_>| {
            tx.append("first", &subject("a"), Expected::Any, &events)
                .await
        };
        store.write(work).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_is_bounded_while_others_read() {
    let store = with_feeds().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (log, stop) = (store.log("first").unwrap(), stop.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    log.read(Window::Newest { limit: 20 }).await.unwrap();
                }
            })
        })
        .collect();
    append_pages(&store, 4 * WAL_PAGES_MAX).await;
    stop.cancel();
    for reader in readers {
        reader.await.unwrap();
    }
    let bytes = wal_bytes(&store);
    let bound = 2 * u64::from(WAL_PAGES_MAX) * PAGE_BYTES;
    assert!(bytes <= bound, "{bytes} bytes");
    assert!(std::fs::metadata(store.path()).unwrap().len() > bound);
}

#[tokio::test]
async fn the_wal_begins_anew_when_a_slow_reader_has_ended() {
    let store = with_feeds().await;
    append_pages(&store, 100).await;
    let conn = Connection::open(store.path()).unwrap();
    let count = "SELECT count(*) FROM outbox";
    conn.execute_batch("BEGIN").unwrap();
    let seen: i64 = conn.query_row(count, [], |row| row.get(0)).unwrap();
    append_pages(&store, 2 * WAL_PAGES_MAX).await;
    let grown = wal_bytes(&store);
    assert!(grown >= 2 * u64::from(WAL_PAGES_MAX) * PAGE_BYTES);
    // It reads what it read before: nothing of the file was overwritten under it.
    let again: i64 = conn.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(again, seen);
    conn.execute_batch("COMMIT").unwrap();
    // By the time that as much has come again, the WAL has begun anew, and what comes now goes over what was there.
    append_pages(&store, WAL_PAGES_MAX + 2 * CHECKPOINT_PAGES).await;
    let before = wal_bytes(&store);
    append_pages(&store, WAL_PAGES_MAX).await;
    assert_eq!(wal_bytes(&store), before);
}
