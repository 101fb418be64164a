//! A file of the schema before partitions: what its subscriptions stood at and what was parked goes on exactly, and can be
//! split (invariants I7, I8, I10).

use feed_core::{Chosen, Consumer, HandlerError, Handlers, Mode, Store};
use rusqlite::Connection;

use super::scene::{feed_of, rows, settle};
use crate::live::Live;
use crate::reader::{MIGRATIONS, SUBSCRIPTION, create_answers};

const BEFORE: [&str; 4] = [
    include_str!("../../../../feed-core/migrations/sqlite/V1__feeds.sql"),
    include_str!("../../../../feed-core/migrations/sqlite/V2__pruning.sql"),
    include_str!("../../../../feed-core/migrations/sqlite/V3__consumers.sql"),
    include_str!("../../../../feed-core/migrations/sqlite/V4__timers.sql"),
];

/// What a file of the schema before has of the database of `live`.
const COPIED: [&str; 6] = [
    "INSERT INTO feed_core_migrations SELECT * FROM newer.feed_core_migrations WHERE version <= 4",
    "INSERT INTO subscriptions
         (name, feed_url, cursor, recorded_us, head, head_seen_us, state, reason, failures, next_try_us, fence, holder,
          lease_boot, lease_until_ms, events, unhandled, duplicates, updated_us)
         SELECT name, feed_url, cursor, recorded_us, head, head_seen_us, state, reason, failures, next_try_us, fence, holder,
                lease_boot, lease_until_ms, events, unhandled, duplicates, updated_us FROM newer.subscriptions",
    "INSERT INTO subscription_events
         (subscription, event_id, position, ordering_key, state, event, error, attempts, next_try_us, dropped_by,
          dropped_why, changed_us)
         SELECT subscription, event_id, position, ordering_key, state, event, error, attempts, next_try_us, dropped_by,
                dropped_why, changed_us FROM newer.subscription_events",
    "CREATE TABLE lamp_migrations AS SELECT * FROM newer.lamp_migrations",
    "CREATE TABLE applied (row INTEGER PRIMARY KEY, position INTEGER NOT NULL, event_id BLOB NOT NULL) STRICT",
    "INSERT INTO applied SELECT * FROM newer.applied",
];

/// The database of `live`, as the program before this one would have it at `path`.
fn older_file(live: &Live, path: &std::path::Path) {
    let conn = Connection::open(path).unwrap();
    for sql in BEFORE {
        conn.execute_batch(sql).unwrap();
    }
    let newer = live.reader.store.url();
    conn.execute("ATTACH $1 AS newer", [newer]).unwrap();
    let sql = "SELECT sql FROM newer.sqlite_master WHERE name = 'feed_core_migrations'";
    let table: String = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    conn.execute_batch(&table).unwrap();
    for sql in COPIED {
        conn.execute(sql, []).unwrap();
    }
    conn.execute_batch("DETACH newer").unwrap();
}

fn consumer(store: &Store, live: &Live) -> Consumer {
    let handlers: Handlers = live.faults.handlers();
    Consumer::new(store, SUBSCRIPTION, &live.url())
        .unwrap()
        .handlers(handlers)
        .lease(std::time::Duration::ZERO)
}

#[tokio::test]
async fn i07_i08_i10_what_was_there_before_goes_on_and_can_be_split() {
    let live = feed_of(40).await;
    for failing in [2, 3] {
        live.faults
            .set(failing, HandlerError::permanent("the lamp is unknown"));
    }
    settle(&mut consumer(&live.reader.store, &live)).await;
    let (before, kept) = (rows(&live).await, live.kept().await);
    assert_eq!((before.len(), kept.len()), (1, 8));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("older.db");
    older_file(&live, &path);

    let store = Store::open(path.to_str().unwrap(), MIGRATIONS)
        .await
        .unwrap();
    create_answers(&store).await;
    let handle = store.subscription(SUBSCRIPTION).unwrap();
    assert_eq!(handle.partitions().await.unwrap(), before);
    assert_eq!(handle.events(None, 0, 100).await.unwrap(), kept);
    // What comes now waits behind what was parked before.
    live.append(&["a", "b"]).await;
    settle(&mut consumer(&store, &live)).await;
    assert_eq!(handle.events(None, 0, 100).await.unwrap().len(), 9);

    handle.set_partitions(4, Mode::Do).await.unwrap();
    assert_eq!(handle.partitions().await.unwrap().len(), 4);
    live.append(&["c", "d"]).await;
    settle(&mut consumer(&store, &live)).await;
    assert_eq!(handle.events(None, 0, 100).await.unwrap().len(), 10);
    for mended in [2, 3] {
        live.faults.mend(mended);
    }
    handle.retry(Chosen::All, Mode::Do).await.unwrap();
    settle(&mut consumer(&store, &live)).await;
    assert!(handle.events(None, 0, 100).await.unwrap().is_empty());
    let sql = "SELECT position FROM applied ORDER BY row";
    let applied = store.query::<(i64,)>(sql, &[]).await.unwrap();
    let of_b: Vec<i64> = applied
        .iter()
        .map(|(position,)| *position)
        .filter(|position| [2, 12, 22, 32, 42].contains(position))
        .collect();
    assert_eq!(of_b, [2, 12, 22, 32, 42]);
    let mut applied: Vec<i64> = applied.into_iter().map(|(at,)| at).collect();
    applied.sort_unstable();
    assert_eq!(applied, (1..=44).collect::<Vec<i64>>());
    store.close().await;
}
