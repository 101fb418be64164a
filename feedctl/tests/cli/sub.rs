//! `feedctl sub ls` and `feedctl sub show`, and databases that are none.

use feed_core::testing::TempStore;
use feed_core::{Migrations, StoreError, Tx};
use serde_json::json;

use super::process::feedctl;
use super::subscriber::{NAME, Subscriber, json as read};

#[tokio::test]
async fn a_database_has_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing.db");
    for command in [&["ls"][..], &["show", NAME], &["resume", NAME]] {
        let path = path.to_str().unwrap();
        let ran = feedctl(&[&["sub"], command, &["--database", path]].concat()).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains("nothing.db"), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_no_database_of_a_service_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt");
    let text = "bread, butter, jam; ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let ran = feedctl(&["sub", "ls", "--database", path.to_str().unwrap()]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no SQLite database"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    std::fs::write(&path, "").unwrap();
    let ran = feedctl(&["sub", "ls", "--database", path.to_str().unwrap()]).await;
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no database of a Feedway service"),
        "{}",
        ran.stderr
    );
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);

    for wrong in ["", "postgres://user:secret@db/orders", "sqlite::memory:"] {
        let ran = feedctl(&["sub", "ls", "--database", wrong]).await;
        assert_eq!(ran.code, 2, "{wrong}");
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_newer_schema_is_named() {
    let store = TempStore::new(Migrations::NONE).await;
    let newer: Result<u64, StoreError> = store
        .write(async |tx: &mut Tx<'_>| {
            tx.execute(
                "INSERT INTO feed_core_migrations (version, name, applied_on, checksum) VALUES (99, 'later', '', '')",
                &[],
            )
            .await
        })
        .await;
    newer.unwrap();
    let ran = feedctl(&["sub", "ls", "--database", store.path().to_str().unwrap()]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("V99__later"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_database_without_subscriptions_has_none() {
    let store = TempStore::new(Migrations::NONE).await;
    let path = format!("sqlite:{}", store.path().display());
    let ran = feedctl(&["sub", "ls", "--database", &path]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("no subscription"), "{}", ran.stderr);
    let ran = feedctl(&["sub", "ls", "--database", &path, "-o", "json"]).await;
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "[]\n", "")
    );
}

#[tokio::test]
async fn lists_tell_what_is_parked() {
    let subscriber = Subscriber::with_parked_events().await;
    let ran = subscriber.sub(&["ls"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let lines: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            "NAME STATE POSITION HEAD LAG PARKED WAITING HOLDER REASON",
            "house/lamps running 6 6 0 events, 0 s 3 1 - -"
        ]
        .map(|line| line.split(' ').collect::<Vec<_>>())
    );

    let listed = read(&subscriber.sub(&["ls", "-o", "json"]).await);
    let fields: Vec<&String> = listed[0].as_object().unwrap().keys().collect();
    // Whoever reads it counts on these.
    assert_eq!(
        fields,
        [
            "name",
            "feed_url",
            "state",
            "reason",
            "cursor",
            "position",
            "recorded",
            "head",
            "head_position",
            "head_seen",
            "lag_events",
            "lag_seconds",
            "failures",
            "next_try",
            "holder",
            "fence",
            "passed",
            "unhandled",
            "duplicates",
            "changed",
            "kept",
        ]
    );
    assert_eq!(listed[0]["position"], 6);
    assert_eq!(listed[0]["lag_seconds"], 0.0);
    let kept = json!({"retrying": 0, "parked": 3, "waiting": 1, "replaying": 0, "dropped": 0});
    assert_eq!(listed[0]["kept"], kept);
}

#[tokio::test]
async fn one_is_shown_with_its_events() {
    let subscriber = Subscriber::with_parked_events().await;
    let ran = subscriber.sub(&["show", NAME]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("3 parked, 1 waiting"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("the dimmer is broken").count(), 3);

    let shown = read(&subscriber.sub(&["show", NAME, "-o", "json"]).await);
    let events = shown["events"].as_array().unwrap();
    let states: Vec<_> = events
        .iter()
        .map(|kept| {
            (
                kept["position"].as_u64().unwrap(),
                kept["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [(2, "parked"), (4, "parked"), (5, "waiting"), (6, "parked")]
    );
    let fields: Vec<&String> = events[0].as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "id",
            "position",
            "state",
            "type",
            "subject",
            "ordering_key",
            "attempts",
            "next_try",
            "error",
            "dropped_by",
            "dropped_why",
            "changed",
        ]
    );

    let some = subscriber
        .sub(&[
            "show", NAME, "--state", "parked", "--limit", "2", "-o", "json",
        ])
        .await;
    assert_eq!(read(&some)["events"].as_array().unwrap().len(), 2);
    assert!(some.stderr.contains("--after 4"), "{}", some.stderr);
    let rest = subscriber
        .sub(&[
            "show", NAME, "--state", "parked", "--after", "4", "-o", "json",
        ])
        .await;
    assert_eq!(read(&rest)["events"][0]["position"], 6);
    assert_eq!(
        subscriber
            .sub(&["show", NAME, "--state", "sleeping"])
            .await
            .code,
        2
    );
}

#[tokio::test]
async fn an_event_is_shown_whole() {
    let subscriber = Subscriber::with_parked_events().await;
    let id = subscriber.shown().await["events"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ran = subscriber.sub(&["show", NAME, "--event", &id]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout.contains("the dimmer is broken"),
        "{}",
        ran.stdout
    );
    // The data of that event.
    assert!(ran.stdout.ends_with("\n1\n"), "{}", ran.stdout);
    let whole = read(
        &subscriber
            .sub(&["show", NAME, "--event", &id, "-o", "json"])
            .await,
    );
    assert_eq!(whole["event"]["data"], 1);
    assert_eq!(whole["event"]["id"], whole["id"]);

    let other = "0190b6e2-1111-7000-8000-000000000001";
    let ran = subscriber.sub(&["show", NAME, "--event", other]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("nothing is kept"), "{}", ran.stderr);
}

#[tokio::test]
async fn who_names_another_is_told_which_there_are() {
    let subscriber = Subscriber::with_parked_events().await;
    for command in [
        &["show", "house/lamp"][..],
        &["pause", "house/lamp"],
        &["resume", "house/lamp"],
        &["reset", "house/lamp", "--to", "now", "--yes"],
        &["retry", "house/lamp", "--all"],
        &["drop", "house/lamp", "--all", "--why", "x", "--yes"],
        &["skip", "house/lamp", "--why", "x", "--yes"],
    ] {
        let ran = subscriber.sub(command).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{command:?}");
        assert!(ran.stderr.contains("it has house/lamps"), "{}", ran.stderr);
    }
}
