//! `feedctl verify`.

use feed_core::{Store, StoreError, Tx};

use super::moving::{House, house};
use super::process::feedctl;

/// A copy of the house's file, with something done to it.
async fn spoilt(there: &House, folder: &std::path::Path, sql: &'static str) -> String {
    let copy = folder.join("copy.db");
    let _ = std::fs::remove_file(&copy);
    let path = copy.to_str().unwrap().to_owned();
    // Nobody writes to it and all of it is in the file: the store was closed.
    std::fs::copy(there.subscriber.store.path(), &copy).unwrap();
    let store: Store = house(&path).await;
    let done: Result<u64, StoreError> = store
        .write(async move |tx: &mut Tx<'_>| tx.execute(sql, &[]).await)
        .await;
    assert_eq!(done.unwrap(), 1, "{sql}");
    store.close().await;
    path
}

#[tokio::test]
async fn what_differs_is_told() {
    let there = House::with(10).await;
    there.subscriber.store.close().await;
    let url = there.url();
    let folder = tempfile::tempdir().unwrap();
    // What is done, what two databases say then, and what the second says of itself.
    for (sql, two, one) in [
        (
            "UPDATE outbox SET data = x'31' WHERE position = 3",
            "feed lamps, position 3: its data is",
            None,
        ),
        (
            "UPDATE outbox SET id = x'000102030405060708090a0b0c0d0e0f' WHERE position = 5",
            "feed lamps, position 5: its id is",
            Some("the check of position 5"),
        ),
        (
            "UPDATE outbox SET version = 40 WHERE position = 9",
            "position 9: its version is 3 in the first and 40",
            Some("version 40 comes behind 2"),
        ),
        (
            "DELETE FROM outbox WHERE position = 11",
            "1 events from position 11 on are in the first database only",
            None,
        ),
        (
            "DELETE FROM outbox WHERE position = 6",
            "position 6",
            Some("position 7 comes behind 5"),
        ),
        (
            "UPDATE feeds SET title = 'Lights'",
            "its title is lamps in the first and Lights",
            None,
        ),
        (
            "UPDATE epochs SET epoch = x'0000000000000001' WHERE first_position > 1",
            "its list of epochs",
            None,
        ),
        (
            "UPDATE bulbs SET mark = x'01' WHERE bulb = 7",
            "table bulbs, row (7): mark is x'00ff' in the first and x'01'",
            None,
        ),
        (
            "DELETE FROM rooms WHERE room = 'Zimmer ä'",
            "table rooms: row (\"Zimmer ä\") is in the first database only",
            None,
        ),
        (
            "UPDATE subscriptions SET cursor = 'nowhere'",
            "table subscriptions, row (\"house/lamps\", 0): cursor is",
            Some("which is no cursor"),
        ),
        (
            "UPDATE subscription_events SET position = 1 WHERE position = 4",
            "table subscription_events",
            None,
        ),
        (
            "UPDATE timers SET due_us = 1",
            "table timers, row (\"off\", \"lamp-1\"): due_us",
            None,
        ),
    ] {
        let path = spoilt(&there, folder.path(), sql).await;
        let ran = feedctl(&["verify", &url, &path]).await;
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (1, ""),
            "{sql}: {}",
            ran.stdout
        );
        assert!(ran.stdout.contains(two), "{sql}: {}", ran.stdout);
        assert!(ran.stdout.contains("they differ"), "{sql}: {}", ran.stdout);
        let ran = feedctl(&["verify", &path]).await;
        let said = ran.stdout;
        match one {
            None => assert!(
                ran.code == 0 && said.contains("it is sound"),
                "{sql}: {said}"
            ),
            Some(one) => assert!(ran.code == 1 && said.contains(one), "{sql}: {said}"),
        }
    }
    let ran = feedctl(&["verify", &url, &url]).await;
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let ran = feedctl(&["verify", &url, "nowhere.db"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("the second database"), "{}", ran.stderr);
}
