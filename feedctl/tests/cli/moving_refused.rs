//! When `feedctl migrate` says no.

use feed_core::{Migrations, Store, StoreError, Tx};
use feedway_tests::postgres::{Database, connect};
use tokio_util::sync::CancellationToken;

use super::moving::{House, house, house_feed, migrate, well};
use super::process::feedctl;
use super::subscriber::eventually;

#[track_caller]
fn refused(ran: &super::process::Ran, code: i32, why: &str) {
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (code, ""),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
}

#[tokio::test]
async fn two_of_a_kind_are_refused() {
    refused(&migrate("a.db", "sqlite:b.db").await, 2, "make a backup");
    let (a, b) = ("postgres://u:secret@x/a", "postgresql://x/b");
    let ran = migrate(a, b).await;
    refused(&ran, 2, "pg_dump");
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_target_with_something_in_it_is_refused() {
    let Some(database) = Database::for_test("filled").await.unwrap() else {
        return;
    };
    let there = House::with(5).await;
    let (from, to) = (there.url(), database.url());
    refused(
        &migrate(&from, to).await,
        2,
        "no database of a Feedway service",
    );
    let store = house(to).await;
    let client = connect(to).await.unwrap();
    let tried = async |sql: &str, undo: &str, why: &str| {
        client.batch_execute(sql).await.unwrap();
        refused(&migrate(&from, to).await, 1, why);
        client.batch_execute(undo).await.unwrap();
    };
    tried(
        "INSERT INTO rooms (room) VALUES ('cellar')",
        "DELETE FROM rooms WHERE room = 'cellar'",
        "table rooms has a row (\"cellar\") that the source has not",
    )
    .await;
    tried(
        "INSERT INTO applied VALUES (1)",
        "DELETE FROM applied",
        "table applied has 1 row",
    )
    .await;
    tried(
        "INSERT INTO subscriptions (name, feed_url, updated_us) VALUES ('a', 'b', 0)",
        "DELETE FROM subscriptions",
        "table subscriptions has 1 row",
    )
    .await;
    tried(
        "ALTER TABLE rooms ADD COLUMN floor BIGINT",
        "ALTER TABLE rooms DROP COLUMN floor",
        "table rooms has a column floor in the target and not in the source",
    )
    .await;
    tried(
        "CREATE TABLE birds (bird TEXT)",
        "DROP TABLE birds",
        "table birds is in the target and not in the source",
    )
    .await;
    tried(
        "ALTER TABLE rooms ALTER COLUMN name TYPE JSONB USING to_jsonb(name)",
        "ALTER TABLE rooms ALTER COLUMN name TYPE TEXT USING name #>> '{}'",
        "column name of table rooms is a text in the source and of type \"jsonb\" in the target",
    )
    .await;
    house_feed(&store).await;
    refused(&migrate(&from, to).await, 1, "it has 1 feed");
    store.close().await;
}

#[tokio::test]
async fn a_source_in_use_is_refused() {
    let Some(database) = Database::for_test("used").await.unwrap() else {
        return;
    };
    let there = House::with(5).await;
    let (from, to) = (there.url(), database.url());
    house(to).await.close().await;
    let stop = CancellationToken::new();
    let running = there.subscriber.consumer().spawn(stop.clone());
    eventually(async || !there.subscriber.shown().await["holder"].is_null()).await;
    refused(&migrate(&from, to).await, 1, "holds house/lamps");
    stop.cancel();
    running.await.unwrap().unwrap();
    well(&migrate(&from, to).await);
}

#[tokio::test]
async fn a_source_with_an_older_schema_of_its_service_is_refused() {
    const OLDER: Migrations = Migrations {
        owner: "house",
        sqlite: &[(
            "V1__rooms",
            "CREATE TABLE rooms (room TEXT PRIMARY KEY) STRICT",
        )],
        postgres: &[],
    };
    let Some(database) = Database::for_test("older").await.unwrap() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("older.db");
    let from = from.to_str().unwrap();
    Store::open(from, OLDER).await.unwrap().close().await;
    house(database.url()).await.close().await;
    let why = "table rooms has a column name in the target and not in the source";
    refused(&migrate(from, database.url()).await, 1, why);
}

#[tokio::test]
async fn a_damaged_feed_is_not_carried_on() {
    let Some(database) = Database::for_test("damaged").await.unwrap() else {
        return;
    };
    let there = House::with(9).await;
    let (from, to) = (there.url(), database.url());
    house(to).await.close().await;
    let damaged: Result<u64, StoreError> = there
        .subscriber
        .store
        .write(async |tx: &mut Tx<'_>| {
            tx.execute("DELETE FROM outbox WHERE position = 4", &[])
                .await
        })
        .await;
    damaged.unwrap();
    refused(&migrate(&from, to).await, 1, "position 5");
    let ran = feedctl(&["verify", &from]).await;
    assert_eq!(ran.code, 1);
}
