//! `feedctl sub partitions`, and what the other commands say of a subscription that is split.

use std::sync::atomic::Ordering;
use std::time::Duration;

use feed_core::{HandlerError, Handlers, OrderingKey, StepOutcome, partition_of};
use tokio_util::sync::CancellationToken;

use super::feed::append;
use super::subscriber::{NAME, Subscriber, eventually, json};

async fn split(subscriber: &Subscriber, partitions: &str) -> serde_json::Value {
    json(
        &subscriber
            .sub(&["partitions", NAME, partitions, "-o", "json"])
            .await,
    )
}

#[tokio::test]
async fn a_subscription_is_split_and_joined_again() {
    let subscriber = Subscriber::with_parked_events().await;
    let before = subscriber.shown().await;
    let tried = subscriber
        .sub(&["partitions", NAME, "3", "--dry-run"])
        .await;
    assert_eq!(tried.code, 0, "{}", tried.stderr);
    assert!(tried.stdout.contains("nothing was changed"));
    assert_eq!(subscriber.shown().await, before);

    let ran = subscriber.sub(&["partitions", NAME, "3"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(
        ran.stdout,
        "partitions house/lamps: done\n  state     running\n  split     1 partition -> 3 partitions\n"
    );
    let shown = subscriber.shown().await;
    assert_eq!(
        (&shown["split"], &shown["position"]),
        (&3.into(), &6.into())
    );
    assert_eq!(shown["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(shown["partitions"][2]["partition"], 2);
    assert_eq!(
        (&shown["kept"], &shown["events"]),
        (&before["kept"], &before["events"])
    );
    assert_eq!(shown["passed"], before["passed"]);

    let ran = subscriber.sub(&["ls"]).await;
    let lines: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            "NAME STATE POSITION HEAD LAG PARKED WAITING HOLDER REASON",
            "house/lamps running 6 6 0 events, 0 s 3 1 - -",
            "#0 running 6 6 0 events, 0 s - - - -",
            "#1 running 6 6 0 events, 0 s - - - -",
            "#2 running 6 6 0 events, 0 s - - - -",
        ]
        .map(|line| line.split(' ').collect::<Vec<_>>())
    );
    let ran = subscriber.sub(&["show", NAME]).await;
    assert!(
        ran.stdout.contains("  split     3 partitions\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("    #2     running  position 6, 0 events, holder -\n"),
        "{}",
        ran.stdout
    );

    let ran = subscriber.sub(&["partitions", NAME, "3"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("3 partitions already"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        split(&subscriber, "1").await["after"]["split"],
        serde_json::Value::Null
    );
    let mut after = subscriber.shown().await;
    for changes in ["fence", "changed"] {
        after[changes] = before[changes].clone();
    }
    assert_eq!(after, before, "nothing is left of it");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let subscriber = Subscriber::with_parked_events().await;
    for arguments in [
        &["partitions", NAME][..],
        &["partitions", NAME, "0"],
        &["partitions", NAME, "65"],
        &["partitions", NAME, "x"],
        &["partitions", NAME, "2", "--cancel"],
        &["partitions", "house/nothing", "2"],
    ] {
        let ran = subscriber.sub(arguments).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
    }
    let ran = subscriber.sub(&["partitions", NAME, "--cancel"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("nothing to cancel"), "{}", ran.stderr);
    let ran = subscriber.sub(&["pause", NAME, "--partition", "1"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no partition 1"), "{}", ran.stderr);

    let subscriber = Subscriber::new().await;
    let mut consumer = subscriber.consumer().ordering(OrderingKey::Feed);
    assert_eq!(consumer.step().await.unwrap(), StepOutcome::Taken);
    let ran = subscriber.sub(&["partitions", NAME, "2"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("in order"), "{}", ran.stderr);
}

/// Two instances at work, all the while.
#[tokio::test]
async fn running_instances_are_split_paused_and_resumed() {
    let subscriber = Subscriber::new().await;
    subscriber.mended.store(true, Ordering::SeqCst);
    let stop = CancellationToken::new();
    let running = [(); 2].map(|()| subscriber.consumer().spawn(stop.clone()));
    eventually(async || subscriber.shown_if_there().await["position"] == 6).await;
    split(&subscriber, "4").await;
    let shares = async || {
        let shown = subscriber.shown().await;
        let all = shown["partitions"].as_array().cloned().unwrap_or_default();
        let mut holders: Vec<String> = all
            .iter()
            .filter_map(|one| one["holder"].as_str().map(str::to_owned))
            .collect();
        holders.sort_unstable();
        let held = holders.chunk_by(|a, b| a == b);
        held.map(<[String]>::len).collect::<Vec<_>>()
    };
    eventually(async || shares().await == [2, 2]).await;

    let number = partition_of("lamp-1", 4);
    let partition = number.to_string();
    let ran = subscriber
        .sub_as("mo", &["pause", NAME, "--partition", &partition])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("running -> paused, by mo"),
        "{}",
        ran.stdout
    );
    append(&subscriber.feed.store, 6).await;
    let at = async |number: u32| {
        let shown = subscriber.shown().await;
        shown["partitions"][number as usize]["position"].clone()
    };
    let other = (number + 1) % 4;
    eventually(async || at(other).await == 12).await;
    assert_eq!(at(number).await, 6);
    assert_eq!(subscriber.shown().await["state"], "paused");

    // A change waits for it, and says so.
    let ran = subscriber.sub(&["partitions", NAME, "2"]).await;
    assert!(
        ran.stdout
            .contains("split     4 partitions -> 4 partitions, 2 when all stand at position 12"),
        "{}",
        ran.stdout
    );
    let ran = subscriber.sub(&["show", NAME]).await;
    let waits = format!("waits for partition {number}, which is paused");
    assert!(ran.stdout.contains(&waits), "{}", ran.stdout);
    let ran = subscriber.sub(&["partitions", NAME, "--cancel"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("-> 4 partitions\n"), "{}", ran.stdout);

    split(&subscriber, "2").await;
    let ran = subscriber.sub(&["resume", NAME]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    eventually(async || subscriber.shown().await["split"] == 2).await;
    append(&subscriber.feed.store, 1).await;
    eventually(async || subscriber.shown().await["position"] == 13).await;
    eventually(async || shares().await == [1, 1]).await;
    stop.cancel();
    for one in running {
        one.await.unwrap().unwrap();
    }
    let mut applied = subscriber.applied().await;
    applied.sort_unstable();
    assert_eq!(applied, (1..=13).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_partition_that_is_stuck_is_skipped() {
    let subscriber = Subscriber::new().await;
    let never = Handlers::new().on(
        "Lit",
        async |_: &mut feed_core::Tx<'_>, _: &feed_core::Event| {
            Err(HandlerError::transient("the lamp is out"))
        },
    );
    let mut consumer = subscriber
        .consumer()
        .handlers(never)
        .partitions(2)
        .unwrap()
        .lease(Duration::ZERO);
    for _ in 0..40 {
        let _ = consumer.step().await;
    }
    let shown = subscriber.shown().await;
    let retrying = shown["kept"]["retrying"].as_u64().unwrap();
    let skip = ["skip", NAME, "--why", "no use", "--yes"];
    let ran = subscriber.sub(&skip).await;
    if retrying == 2 {
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains("--partition"), "{}", ran.stderr);
    } else {
        assert_eq!((ran.code, retrying), (0, 1), "{}", ran.stderr);
    }
    let number = partition_of(shown["events"][0]["ordering_key"].as_str().unwrap(), 2).to_string();
    if retrying == 2 {
        let ran = subscriber
            .sub(&[&skip[..], &["--partition", &number]].concat())
            .await;
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert_eq!(subscriber.shown().await["kept"]["dropped"], 1);
}
