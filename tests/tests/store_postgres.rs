//! What is PostgreSQL's own in the store: how it is opened, by whom, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

use feed_core::{
    AppendError, Expected, FeedConfig, Migrations, NewEvent, Store, StoreError, Subject, Tx,
};
use feedway_tests::postgres::{Database, connect};

const V1: (&str, &str) = ("V1__notes", "CREATE TABLE notes (note TEXT PRIMARY KEY)");
const OLD: Migrations = Migrations {
    owner: "notes",
    sqlite: &[],
    postgres: &[V1],
};
const NEW: Migrations = Migrations {
    owner: "notes",
    sqlite: &[],
    postgres: &[
        V1,
        ("V2__colour", "ALTER TABLE notes ADD COLUMN colour TEXT"),
    ],
};
const OTHER: Migrations = Migrations {
    owner: "birds",
    sqlite: &[],
    postgres: &[("V1__birds", "CREATE TABLE birds (name TEXT PRIMARY KEY)")],
};

async fn database() -> Option<Database> {
    Database::for_test("store").await.unwrap()
}

fn feed() -> FeedConfig {
    FeedConfig::new("lamps", "lamp-svc").unwrap()
}

async fn light(store: &Store, number: u32) -> Result<(), AppendError> {
    let work = async move |tx: &mut Tx<'_>| {
        let subject = Subject::new(format!("lamp-{number}")).expect("a subject");
        let event = NewEvent::json("Lit", &number).expect("an event");
        tx.append("lamps", &subject, Expected::New, &[event]).await
    };
    store.write(work).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_instances_that_start_at_once_make_the_tables_and_the_feed_once() {
    let Some(database) = database().await else {
        return;
    };
    let starts = (0..10).map(|number| {
        let url = format!("{}?writers=1&readers=1", database.url());
        tokio::spawn(async move {
            let store = Store::open(&url, NEW).await.unwrap();
            let created = store.create_feed(feed()).await.unwrap();
            light(&store, number).await.unwrap();
            store.close().await;
            created.identity.id
        })
    });
    let mut ids = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        ids.push(start.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "one feed");
    let store = Store::open(database.url(), NEW).await.unwrap();
    store.sequenced().await.unwrap();
    let state = store.log("lamps").unwrap().state().await.unwrap();
    assert_eq!(state.head.position.get(), 10);
    store.close().await;
}

#[tokio::test]
async fn an_old_instance_goes_on_beside_a_new_one_and_does_not_start_again() {
    let Some(database) = database().await else {
        return;
    };
    let old = Store::open(database.url(), OLD).await.unwrap();
    old.create_feed(feed()).await.unwrap();
    let new = Store::open(database.url(), NEW).await.unwrap();
    light(&old, 1).await.unwrap();
    light(&new, 2).await.unwrap();
    new.sequenced().await.unwrap();
    let state = old.log("lamps").unwrap().state().await.unwrap();
    assert_eq!(state.head.position.get(), 2);
    let Err(error) = Store::open(database.url(), OLD).await else {
        panic!("an old program was let in");
    };
    assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
    old.close().await;
    new.close().await;
}

#[tokio::test]
async fn another_services_database_is_left_as_it_is_and_a_schema_of_ones_own_is_taken() {
    let Some(database) = database().await else {
        return;
    };
    let notes = Store::open(database.url(), OLD).await.unwrap();
    let Err(error) = Store::open(database.url(), OTHER).await else {
        panic!("another service was let in");
    };
    assert!(
        error.to_string().contains("another service (notes"),
        "{error}"
    );
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'birds%'";
    let found = notes.query::<(i64,)>(tables, &[]).await.unwrap();
    assert_eq!(found[0].0, 0);

    // In one database all the same, with schemas that know nothing of each other: feeds, locks and notifications.
    connect(database.admin_url())
        .await
        .unwrap()
        .batch_execute(
            "CREATE SCHEMA birds AUTHORIZATION CURRENT_USER; GRANT ALL ON SCHEMA birds TO PUBLIC",
        )
        .await
        .unwrap();
    let url = format!("{}?options=-c%20search_path%3Dbirds", database.url());
    let birds = Store::open(&url, OTHER).await.unwrap();
    for store in [&notes, &birds] {
        store.create_feed(feed()).await.unwrap();
        light(store, 1).await.unwrap();
        store.sequenced().await.unwrap();
    }
    let head = async |store: &Store| store.log("lamps").unwrap().state().await.unwrap().head;
    let (first, second) = (head(&notes).await, head(&birds).await);
    assert_eq!((first.position.get(), second.position.get()), (1, 1));
    assert_ne!(first.epoch, second.epoch);
    notes.close().await;
    birds.close().await;
}

#[tokio::test]
async fn i02_a_session_that_does_not_sync_is_refused_and_a_weaker_default_is_raised() {
    let Some(database) = database().await else {
        return;
    };
    let client = connect(database.admin_url()).await.unwrap();
    client
        .batch_execute(&format!(
            "ALTER DATABASE {} SET synchronous_commit = off",
            database.name()
        ))
        .await
        .unwrap();
    let store = Store::open(database.url(), Migrations::NONE).await.unwrap();
    store.create_feed(feed()).await.unwrap();
    let setting = store
        .query::<(String,)>("SELECT current_setting('synchronous_commit')", &[])
        .await
        .unwrap();
    assert_eq!(setting[0].0, "on");
    let own = connect(database.url()).await.unwrap();
    let subject = Subject::new("lamp").unwrap();
    let events = [NewEvent::json("Lit", &1).unwrap()];
    let append = feed_core::postgres::append(&own, "lamps", &subject, Expected::New, &events);
    let refused = append.await.unwrap_err();
    assert!(
        matches!(refused, AppendError::NotDurable { .. }),
        "{refused}"
    );
    store.close().await;
}

/// Large values, every byte, and texts that only look like SQL.
#[tokio::test]
async fn values_come_back_as_they_went() {
    let Some(database) = database().await else {
        return;
    };
    let store = Store::open(database.url(), Migrations::NONE).await.unwrap();
    let every_byte: Vec<u8> = (0..=255).collect();
    let row = store
        .query::<(i64, String, Vec<u8>, Option<i64>)>(
            "SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS BYTEA), CAST($4 AS BIGINT)",
            &[
                i64::MIN.into(),
                "'; DROP TABLE outbox; -- 💡".into(),
                every_byte.as_slice().into(),
                feed_core::Value::Null,
            ],
        )
        .await
        .unwrap();
    let (number, text, bytes, nothing) = &row[0];
    assert_eq!((*number, *nothing), (i64::MIN, None));
    assert_eq!(text, "'; DROP TABLE outbox; -- 💡");
    assert_eq!(*bytes, every_byte);
    // A text with a zero byte is none to PostgreSQL: a clear error, and the store goes on.
    let zero = store
        .query::<(String,)>("SELECT CAST($1 AS TEXT)", &["a\0b".into()])
        .await;
    assert!(zero.is_err());
    let again = store.query::<(i64,)>("SELECT CAST(1 AS BIGINT)", &[]).await;
    assert_eq!(again.unwrap()[0].0, 1);
    store.close().await;
}
