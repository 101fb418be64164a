//! What only the SQLite store promises: its file, its migrations, other connections and processes beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Expected, FeedConfig, Migrations, NewEvent, Store, StoreError, Subject, Tx, Window,
};
use rusqlite::{Connection, TransactionBehavior};

const V1: (&str, &str) = (
    "V1__notes",
    "CREATE TABLE notes (note TEXT PRIMARY KEY) STRICT",
);
const V2: (&str, &str) = (
    "V2__numbers",
    "CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT",
);
const OLD: Migrations = Migrations {
    owner: "service",
    sqlite: &[V1],
    postgres: &[],
};
const NEW: Migrations = Migrations {
    owner: "service",
    sqlite: &[V1, V2],
    postgres: &[],
};

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

fn event(number: u32) -> NewEvent {
    NewEvent::json("Happened", &number).unwrap()
}

async fn with_feed() -> TempStore {
    let store = TempStore::new(OLD).await;
    store
        .create_feed(FeedConfig::new("first", "test").unwrap())
        .await
        .unwrap();
    store
}

async fn append(store: &Store, name: &'static str) -> Result<feed_core::Appended, AppendError> {
    store
        .write(async |tx: &mut Tx<'_>| {
            tx.append("first", &subject(name), Expected::Any, &[event(1)])
                .await
        })
        .await
}

async fn reopen(store: &TempStore, migrations: Migrations) -> Result<Store, StoreError> {
    Store::open(&store.path().to_string_lossy(), migrations).await
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_name() {
    let store = with_feed().await;
    reopen(&store, NEW).await.unwrap().close().await;
    match reopen(&store, OLD).await.map(drop) {
        Err(StoreError::NewerSchema { name }) => assert!(name.contains("numbers"), "{name}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_that_start_together_migrate_once() {
    let store = with_feed().await;
    let opened = futures_util::future::join_all((0..4).map(|_| reopen(&store, NEW))).await;
    assert!(opened.iter().all(Result::is_ok));
}

#[tokio::test]
async fn i02_the_writer_syncs_at_every_commit() {
    let store = with_feed().await;
    let read = async |tx: &mut Tx<'_>| tx.query::<(i64,)>("PRAGMA synchronous", &[]).await;
    assert_eq!(store.write(read).await.unwrap(), [(2,)], "FULL");
    let mode = store
        .query::<(String,)>("PRAGMA journal_mode", &[])
        .await
        .unwrap();
    assert_eq!(mode, [("wal".to_owned(),)]);
}

#[tokio::test]
async fn i01_an_event_joins_a_transaction_that_somebody_else_holds() {
    let store = with_feed().await;
    let mut conn = Connection::open(store.path()).unwrap();
    conn.execute_batch("PRAGMA synchronous = FULL").unwrap();
    for keep in [false, true] {
        let tx = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        tx.execute("INSERT INTO notes (note) VALUES ('joined')", [])
            .unwrap();
        feed_core::sqlite::append(&tx, "first", &subject("joined"), Expected::New, &[event(1)])
            .unwrap();
        if keep {
            tx.commit().unwrap()
        } else {
            tx.rollback().unwrap()
        }
        let notes = store
            .query::<(String,)>("SELECT note FROM notes", &[])
            .await
            .unwrap();
        assert_eq!(notes.len(), usize::from(keep));
        let head = store.log("first").unwrap().state().await.unwrap().head;
        assert_eq!(head.position.get(), u64::from(keep));
    }
}

#[tokio::test]
async fn i02_an_append_on_a_connection_that_does_not_sync_is_refused() {
    let store = with_feed().await;
    let mut conn = Connection::open(store.path()).unwrap();
    conn.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let refused =
        feed_core::sqlite::append(&tx, "first", &subject("a"), Expected::New, &[event(1)]);
    assert!(
        matches!(refused, Err(AppendError::NotDurable { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn i03_another_process_that_appends_to_the_same_file_is_seen() {
    let store = with_feed().await;
    let other = reopen(&store, OLD).await.unwrap();
    for round in 0..10 {
        append(&store, "ours").await.unwrap();
        append(&other, "theirs").await.unwrap();
        let (_, events) = store
            .log("first")
            .unwrap()
            .read(Window::Newest { limit: 100 })
            .await
            .unwrap();
        assert_eq!(events.len(), 2 * (round + 1));
        feed_core::client::verify(feed_core::client::Seen::Nothing, events).unwrap();
    }
}

#[tokio::test]
async fn i06_a_reader_is_not_held_up_by_a_writer_that_holds_the_file() {
    let store = with_feed().await;
    append(&store, "a").await.unwrap();
    let mut conn = Connection::open(store.path()).unwrap();
    let held = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    held.execute("INSERT INTO notes (note) VALUES ('held')", [])
        .unwrap();
    let (state, events) = store
        .log("first")
        .unwrap()
        .read(Window::Newest { limit: 9 })
        .await
        .unwrap();
    assert_eq!((state.head.position.get(), events.len()), (1, 1));
    drop(held);
}

#[tokio::test]
async fn what_is_no_database_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/folder/store.db");
    let text = Store::open(&missing.to_string_lossy(), OLD)
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(text.contains("missing/folder/store.db"), "{text}");
    let garbage = folder.path().join("garbage.db");
    std::fs::write(
        &garbage,
        "this is no database, but long enough to be looked at".repeat(100),
    )
    .unwrap();
    assert!(Store::open(&garbage.to_string_lossy(), OLD).await.is_err());
    for address in ["", "sqlite:", ":memory:", "mysql://host/db"] {
        assert!(
            matches!(Store::open(address, OLD).await, Err(StoreError::Address(_))),
            "{address}"
        );
    }
    let text = Store::open("postgres://user:secret@host/db", OLD)
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn the_tables_can_be_read_by_people() {
    let store = with_feed().await;
    append(&store, "order-1").await.unwrap();
    let conn = Connection::open(store.path()).unwrap();
    let row: (i64, i64, String, i64, String) = conn
        .query_row(
            "SELECT feed, position, subject, version, CAST(data AS TEXT) FROM outbox",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )
        .unwrap();
    assert_eq!(row, (1, 1, "order-1".to_owned(), 1, "1".to_owned()));
}

#[tokio::test]
async fn the_database_of_another_service_is_left_as_it_is() {
    const OTHER: Migrations = Migrations {
        owner: "other",
        sqlite: &[V1],
        postgres: &[],
    };
    let store = TempStore::new(OLD).await;
    let path = store.path();
    let path = path.to_str().unwrap();
    let tables = || {
        let conn = Connection::open(path).unwrap();
        let sql = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema ORDER BY name)";
        conn.query_row(sql, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    let before = tables();
    let refused = Store::open(path, OTHER).await.err();
    let said = refused.expect("it is refused").to_string();
    assert!(said.contains("(service, not other)"), "{said}");
    assert_eq!(tables(), before);
    // Its own program opens it, and so does one without tables of its own.
    Store::open(path, OLD).await.unwrap().close().await;
    Store::open(path, Migrations::NONE)
        .await
        .unwrap()
        .close()
        .await;
}
