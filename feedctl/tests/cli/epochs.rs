//! `feedctl feed ls` and `feedctl feed new-epoch`.

use feedway_tests::postgres::Database;

use super::feed::{Feed, append};
use super::moving::{house, house_feed};
use super::process::{Ran, feedctl};
use super::subscriber::json;

async fn listed(database: &str) -> serde_json::Value {
    json(&feedctl(&["feed", "ls", "--database", database, "-o", "json"]).await)[0].clone()
}

async fn new_epoch(database: &str, more: &[&str]) -> Ran {
    let command = ["feed", "new-epoch", "lamps", "--database", database];
    feedctl(&[&command, more].concat()).await
}

#[tokio::test]
async fn a_new_epoch_begins_behind_the_head() {
    let feed = Feed::new(4, 6).await;
    let path = feed.store.path();
    begins_behind_the_head(path.to_str().unwrap()).await;
    append(&feed.store, 1).await;
    let head = feed.store.log("lamps").unwrap().state().await.unwrap().head;
    assert_eq!(head.position.get(), 7);
    let epochs = &listed(path.to_str().unwrap()).await["epochs"];
    assert_eq!(epochs[1]["epoch"], head.epoch.to_string());
}

#[tokio::test]
async fn a_new_epoch_begins_behind_the_head_on_postgresql() {
    let Some(database) = Database::for_test("epochs").await.unwrap() else {
        return;
    };
    let store = house(database.url()).await;
    house_feed(&store).await;
    append(&store, 6).await;
    store.sequenced().await.unwrap();
    begins_behind_the_head(database.url()).await;
    store.close().await;
}

/// The feed has six events.
async fn begins_behind_the_head(database: &str) {
    let before = listed(database).await;
    assert_eq!(
        (
            &before["position"],
            before["epochs"].as_array().unwrap().len()
        ),
        (&6.into(), 1)
    );
    let ran = feedctl(&["feed", "ls", "--database", database]).await;
    assert!(
        ran.stdout.starts_with("FEED   HEAD  RECORDED"),
        "{}",
        ran.stdout
    );

    for (wrong, why) in [
        (&["--yes"][..], "--reason"),
        (&["--yes", "--reason", " "], "a reason is expected"),
        (&["--reason", "restored"], "--yes"),
    ] {
        let ran = new_epoch(database, wrong).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{wrong:?}");
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    let ran = new_epoch(database, &["--reason", "restored", "--dry-run"]).await;
    assert!(ran.stdout.contains("from position 7 on"), "{}", ran.stdout);
    assert_eq!(listed(database).await, before);

    let ran = new_epoch(database, &["--reason", "restored", "--by", "mo", "--yes"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let after = listed(database).await;
    let (old, new) = (&after["epochs"][0], &after["epochs"][1]);
    assert_eq!(
        (old, &new["first_position"]),
        (&before["epochs"][0], &7.into())
    );
    for said in [
        before["head"].as_str().unwrap(),
        new["epoch"].as_str().unwrap(),
        "from position 7 on",
        "one that has read up to position 6 or less goes on",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let command = [
        "feed",
        "new-epoch",
        "birds",
        "--reason",
        "x",
        "--yes",
        "--database",
        database,
    ];
    let ran = feedctl(&command).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("it has lamps"), "{}", ran.stderr);
}
