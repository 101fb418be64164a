//! A file of the schema before leases and parking: what its subscriptions stood at goes on exactly (invariants I7, I8).

use feed_core::testing::TempStore;
use feed_core::{Format, Handlers, Store, SubscriptionState};
use rusqlite::Connection;

use super::live::settle;
use super::reader::{MIGRATIONS, SUBSCRIPTION, create_answers, note};
use super::scripted::{LIT, ScriptedFeed, ScriptedServer};

const BEFORE: [&str; 2] = [
    include_str!("../../../feed-core/migrations/sqlite/V1__feeds.sql"),
    include_str!("../../../feed-core/migrations/sqlite/V2__pruning.sql"),
];

/// A file as the first two migrations leave it, with what is noted of them.
async fn older_file(path: &std::path::Path) -> Connection {
    let newer = TempStore::new(MIGRATIONS).await;
    let conn = Connection::open(path).unwrap();
    for sql in BEFORE {
        conn.execute_batch(sql).unwrap();
    }
    let newer_path = newer.path().to_string_lossy().into_owned();
    conn.execute("ATTACH $1 AS newer", [newer_path]).unwrap();
    let sql = "SELECT sql FROM newer.sqlite_master WHERE name = 'feed_core_migrations'";
    let table: String = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    conn.execute_batch(&table).unwrap();
    let copied = conn.execute(
        "INSERT INTO feed_core_migrations SELECT * FROM newer.feed_core_migrations WHERE version <= 2",
        [],
    );
    assert_eq!(copied.unwrap(), 2);
    conn.execute_batch("DETACH newer").unwrap();
    conn
}

#[tokio::test]
async fn i08_subscriptions_of_the_schema_before_go_on_where_they_stood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (feed, server) = (ScriptedFeed::new(1, 5), ScriptedServer::start().await);
    for position in 1..=4 {
        let rest = feed.tail(Format::Json, position + 1..=5);
        server.on(&feed.after(position), [rest]);
    }
    server.on(&feed.after(5), [feed.nothing_after(Format::Json, 5)]);
    server.on("/feeds/lamps?after=start", [feed.tail(Format::Json, 1..=5)]);
    let older = older_file(&path).await;
    let halted = Some("event 4 cannot be applied");
    for (name, position, halted) in [
        (SUBSCRIPTION, 3, None),
        ("answers/halted", 4, halted),
        ("answers/new", 0, None),
    ] {
        let cursor = (position > 0).then(|| feed.cursor(position).to_string());
        let inserted = older.execute(
            "INSERT INTO subscriptions (name, feed_url, cursor, events, halted, updated_us) VALUES (?, ?, ?, ?, ?, 7)",
            (name, server.feed_url(), cursor, position as i64, halted),
        );
        assert_eq!(inserted.unwrap(), 1);
    }
    drop(older);

    let store = Store::open(path.to_str().unwrap(), MIGRATIONS)
        .await
        .unwrap();
    create_answers(&store).await;
    let rows = store.subscriptions().await.unwrap();
    let stands: Vec<_> = rows
        .iter()
        .map(|row| (row.name.as_str(), row.cursor, row.events, row.halted()))
        .collect();
    assert_eq!(
        stands,
        [
            ("answers/halted", Some(feed.cursor(4)), 4, halted),
            (SUBSCRIPTION, Some(feed.cursor(3)), 3, None),
            ("answers/new", None, 0, None),
        ]
    );
    assert!(
        rows.iter()
            .all(|row| row.fence == 0 && row.holder.is_none())
    );
    for (name, rest) in [
        (SUBSCRIPTION, vec![4, 5]),
        ("answers/halted", vec![5]),
        ("answers/new", vec![1, 2, 3, 4, 5]),
    ] {
        let mut consumer = feed_core::Consumer::new(&store, name, &server.feed_url())
            .unwrap()
            .handlers(Handlers::new().on(LIT, note));
        settle(&mut consumer).await;
        let sql = "SELECT position FROM applied ORDER BY row";
        let mut applied = store.query::<(i64,)>(sql, &[]).await.unwrap();
        let applied = applied.split_off(applied.len() - rest.len());
        let applied: Vec<i64> = applied.into_iter().map(|(at,)| at).collect();
        assert_eq!(applied, rest, "{name}");
        let row = store.subscription(name).unwrap().status().await.unwrap();
        let row = row.unwrap();
        assert_eq!(row.cursor, Some(feed.cursor(5)), "{name}");
        assert_eq!((row.events, row.state), (5, SubscriptionState::Running));
    }
    let count = store.query::<(i64,)>("SELECT count(*) FROM applied", &[]);
    assert_eq!(count.await.unwrap(), [(8,)]);
    store.close().await;
}
