//! Changes by `feedctl sub`, beside a service that is at work.

use std::sync::atomic::Ordering;

use feed_core::{OrderingKey, StepOutcome};
use tokio_util::sync::CancellationToken;

use super::feed::append;
use super::subscriber::{NAME, Subscriber, eventually, json};

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let subscriber = Subscriber::with_parked_events().await;
    let before = subscriber.shown().await;
    let id = before["events"][0]["id"].as_str().unwrap();
    for command in [
        &["pause", NAME][..],
        &["reset", NAME, "--to", "start"],
        &["retry", NAME, id],
        &["retry", NAME, "--all"],
        &["drop", NAME, id, "--why", "x"],
        &["drop", NAME, "--key", "lamp-1", "--why", "x"],
    ] {
        let tried = json(
            &subscriber
                .sub(&[command, &["--dry-run", "-o", "json"]].concat())
                .await,
        );
        assert_eq!(tried["dry_run"], true);
        assert_ne!(
            tried["before"]["fence"], tried["after"]["fence"],
            "{command:?}"
        );
        let ran = subscriber.sub(&[command, &["--dry-run"]].concat()).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.contains("nothing was changed"), "{}", ran.stdout);
        assert_eq!(subscriber.shown().await, before, "{command:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_undone_needs_leave() {
    let subscriber = Subscriber::with_parked_events().await;
    let before = subscriber.shown().await;
    for command in [
        &["reset", NAME, "--to", "start"][..],
        &["drop", NAME, "--all", "--why", "x"],
        &["skip", NAME, "--why", "x"],
    ] {
        let ran = subscriber.sub(command).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{command:?}");
        assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    }
    for command in [
        &["drop", NAME, "--all", "--yes"][..],
        &["drop", NAME, "--all", "--why", " ", "--yes"],
        &["drop", NAME, "--why", "x", "--yes"],
        &[
            "drop", NAME, "--all", "--key", "lamp-1", "--why", "x", "--yes",
        ],
        &["retry", NAME],
        &["pause", NAME, "--why", ""],
        &["pause", NAME, "--why", " "],
    ] {
        assert_eq!(subscriber.sub(command).await.code, 2, "{command:?}");
    }
    assert_eq!(subscriber.shown().await, before);
}

#[tokio::test]
async fn a_running_consumer_pauses_and_goes_on() {
    let subscriber = Subscriber::new().await;
    let stop = CancellationToken::new();
    let running = subscriber.consumer().spawn(stop.clone());
    eventually(async || subscriber.shown_if_there().await["position"] == 6).await;

    let ran = subscriber
        .sub_as("mo", &["pause", NAME, "--why", "moving house"])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("running -> paused, by mo: moving house"),
        "{}",
        ran.stdout
    );
    append(&subscriber.feed.store, 3).await;
    // Nothing is to happen, so nothing can be waited for: a running one would be done long before.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let shown = subscriber.shown().await;
    assert_eq!(
        (&shown["state"], &shown["position"]),
        (&"paused".into(), &6.into())
    );

    let resumed = json(&subscriber.sub(&["resume", NAME, "-o", "json"]).await);
    assert_eq!(resumed["after"]["state"], "running");
    eventually(async || subscriber.shown().await["position"] == 9).await;
    let ran = subscriber.sub(&["resume", NAME]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("running already"), "{}", ran.stderr);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_running_consumer_replays_what_is_retried() {
    let subscriber = Subscriber::with_parked_events().await;
    let stop = CancellationToken::new();
    let running = subscriber.consumer().spawn(stop.clone());
    assert_eq!(subscriber.applied().await, [1, 3]);
    let id = |shown: &serde_json::Value, at: usize| {
        shown["events"][at]["id"].as_str().unwrap().to_owned()
    };
    let shown = subscriber.shown().await;

    // The one that waits is told to wait for the one before it.
    let ran = subscriber.sub(&["retry", NAME, &id(&shown, 2)]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains(&id(&shown, 0)), "{}", ran.stderr);
    // Not mended yet: parked again.
    let ran = subscriber.sub(&["retry", NAME, "--key", "lamp-0"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    eventually(async || {
        let kept = &subscriber.shown().await["events"][1];
        kept["state"] == "parked" && kept["attempts"] == 2
    })
    .await;

    subscriber.mended.store(true, Ordering::SeqCst);
    let retried = json(
        &subscriber
            .sub(&["retry", NAME, &id(&shown, 0), "-o", "json"])
            .await,
    );
    assert_eq!(retried["events"][0]["state"], "replaying");
    eventually(async || subscriber.applied().await == [1, 3, 2, 5]).await;

    let dropped = subscriber
        .sub_as(
            "mo",
            &["drop", NAME, &id(&shown, 1), "--why", "a test", "--yes"],
        )
        .await;
    assert_eq!(dropped.code, 0, "{}", dropped.stderr);
    assert!(
        dropped.stdout.contains("by mo: a test"),
        "{}",
        dropped.stdout
    );
    let ran = subscriber.sub(&["retry", NAME, "--all"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    eventually(async || subscriber.applied().await == [1, 3, 2, 5, 6]).await;
    let ran = subscriber.sub(&["retry", NAME, "--all"]).await;
    assert!(ran.stdout.contains("none is parked"), "{}", ran.stdout);
    let kept = &subscriber.shown().await["events"];
    assert_eq!(
        (kept.as_array().unwrap().len(), &kept[0]["dropped_by"]),
        (1, &"mo".into())
    );
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reset_goes_where_it_is_told_to() {
    let subscriber = Subscriber::with_parked_events().await;
    let shown = subscriber.shown().await;
    let id = shown["events"][0]["id"].as_str().unwrap();
    let cursor = shown["cursor"].as_str().unwrap();
    for (to, position) in [
        ("start", 0),
        (id, 2),
        ("3", 3),
        (cursor, 6),
        ("now", 6),
        ("2001-01-01", 0),
        ("9999-01-01", 6),
    ] {
        let tried = subscriber
            .sub(&["reset", NAME, "--to", to, "--dry-run", "-o", "json"])
            .await;
        assert_eq!(json(&tried)["after"]["position"], position, "{to}");
    }
    let ran = subscriber
        .sub(&["reset", NAME, "--to", "700", "--yes"])
        .await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("cursor-beyond-head"), "{}", ran.stderr);
    let unknown = "01a21355-a082-7787-9e1a-5be683ed8f74";
    let ran = subscriber
        .sub(&["reset", NAME, "--to", unknown, "--yes"])
        .await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(
        subscriber
            .sub(&["reset", NAME, "--to", "soon", "--yes"])
            .await
            .code,
        2
    );
    assert_eq!(subscriber.shown().await, shown);

    let ran = subscriber.sub(&["reset", NAME, "--to", "3", "--yes"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("position 6 -> position 3: 3 events are read again"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("3 kept events"), "{}", ran.stdout);
    subscriber.mended.store(true, Ordering::SeqCst);
    let mut consumer = subscriber.consumer();
    while consumer.step().await.unwrap() != StepOutcome::CaughtUp {}
    // 2 is parked still, and 5 waits behind it again.
    assert_eq!(subscriber.applied().await, [1, 3, 4, 6]);
}

#[tokio::test]
async fn a_feed_that_is_not_reached_is_told() {
    let subscriber = Subscriber::with_parked_events().await;
    let (database, feed) = (subscriber.store, subscriber.feed);
    drop(feed);
    let path = database.path();
    let path = path.to_str().unwrap();
    let reset = async |to: &str| {
        let arguments = [
            "sub",
            "reset",
            NAME,
            "--database",
            path,
            "--dry-run",
            "--to",
            to,
        ];
        super::process::feedctl(&arguments).await
    };
    // The server takes a moment to stop.
    eventually(async || reset("now").await.code == 2).await;
    let ran = reset("now").await;
    assert!(
        ran.stderr.contains("is the server running?"),
        "{}",
        ran.stderr
    );
    assert_eq!(reset("start").await.code, 0);
}

#[tokio::test]
async fn what_a_halted_subscription_is_stuck_at_is_skipped() {
    let subscriber = Subscriber::new().await;
    let mut consumer = subscriber.consumer().ordering(OrderingKey::Feed);
    while consumer.step().await.is_ok() {}
    let shown = subscriber.shown().await;
    assert_eq!(
        (&shown["state"], &shown["position"]),
        (&"halted".into(), &1.into())
    );
    let ran = subscriber.sub(&["ls"]).await;
    assert!(
        ran.stdout.contains("halted") && ran.stdout.contains('…'),
        "{}",
        ran.stdout
    );

    let skipped = subscriber
        .sub_as("mo", &["skip", NAME, "--why", "it was a test", "--yes"])
        .await;
    assert_eq!(skipped.code, 0, "{}", skipped.stderr);
    assert!(
        skipped.stdout.contains("halted -> running"),
        "{}",
        skipped.stdout
    );
    let shown = subscriber.shown().await;
    assert_eq!(
        (&shown["state"], &shown["position"]),
        (&"running".into(), &2.into())
    );
    assert_eq!(shown["events"][0]["dropped_why"], "it was a test");
    let ran = subscriber.sub(&["skip", NAME, "--why", "x", "--yes"]).await;
    assert_eq!(ran.code, 1);
}
