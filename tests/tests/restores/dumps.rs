//! PostgreSQL: pg_dump and pg_restore, into the same cluster and into others.

use feed_core::{Expected, NewEvent, Store, Subject, Window};
use feedway_tests::postgres::{Cluster, ClusterOptions, connect, is_installed};

use crate::kit::{FEED, Scene, append, service};

async fn cluster() -> Cluster {
    Cluster::start(ClusterOptions::default()).await.unwrap()
}

/// Plays the scene in a cluster, with a dump as the backup.
async fn play(cluster: &Cluster, dump: &std::path::Path) -> Scene {
    cluster.create_database("lamps").await.unwrap();
    let store = service(&cluster.url("lamps")).await;
    let scene = Scene::play(&store, async || cluster.dump("lamps", dump).await.unwrap());
    let scene = scene.await;
    store.close().await;
    scene
}

/// Lets transactions be counted on.
async fn count_on(cluster: &Cluster, transactions: u32) {
    let admin = cluster.admin("postgres").await.unwrap();
    let sql = format!(
        "CREATE PROCEDURE count_on() LANGUAGE plpgsql AS
         $$ BEGIN FOR i IN 1..{transactions} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    );
    admin.batch_execute(&sql).await.unwrap();
    admin.batch_execute("CALL count_on()").await.unwrap();
}

#[tokio::test]
async fn i11_in_the_same_cluster_a_new_epoch_begins_by_itself() {
    if !is_installed() {
        return;
    }
    let (cluster, folder) = (cluster().await, tempfile::tempdir().unwrap());
    let dump = folder.path().join("dump");
    let scene = play(&cluster, &dump).await;
    cluster.restore(&dump, "restored").await.unwrap();
    let restored = service(&cluster.url("restored")).await;
    scene.goes_on(&restored).await;
    restored.close().await;
    // Opened again, it is where it was.
    let again = service(&cluster.url("restored")).await;
    append(&again, 1).await;
    let state = again.log(FEED).unwrap().state().await.unwrap();
    assert_eq!(state.history.epochs().len(), 2);
    again.close().await;
}

#[tokio::test]
async fn i11_under_the_same_name_a_new_epoch_begins_by_itself() {
    if !is_installed() {
        return;
    }
    let (cluster, folder) = (cluster().await, tempfile::tempdir().unwrap());
    let dump = folder.path().join("dump");
    let scene = play(&cluster, &dump).await;
    cluster.drop_database("lamps").await.unwrap();
    cluster.restore(&dump, "lamps").await.unwrap();
    let restored = service(&cluster.url("lamps")).await;
    scene.goes_on(&restored).await;
    restored.close().await;
}

#[tokio::test]
async fn i11_in_a_cluster_that_counts_less_far_a_new_epoch_begins_by_itself() {
    if !is_installed() {
        return;
    }
    let (old, new, folder) = (
        cluster().await,
        cluster().await,
        tempfile::tempdir().unwrap(),
    );
    count_on(&old, 3_000).await;
    let dump = folder.path().join("dump");
    let scene = play(&old, &dump).await;
    new.restore(&dump, "restored").await.unwrap();
    let restored = service(&new.url("restored")).await;
    scene.goes_on(&restored).await;
    // Its transactions come to have the numbers of those that the dump tells of.
    count_on(&new, 4_000).await;
    append(&restored, 3).await;
    assert_eq!(head(&restored).await, 18);
    restored.close().await;
}

#[tokio::test]
async fn i11_in_a_cluster_that_counts_further_a_new_epoch_begins_by_itself() {
    if !is_installed() {
        return;
    }
    let (old, new, folder) = (
        cluster().await,
        cluster().await,
        tempfile::tempdir().unwrap(),
    );
    count_on(&new, 3_000).await;
    let dump = folder.path().join("dump");
    let scene = play(&old, &dump).await;
    new.restore(&dump, "restored").await.unwrap();
    let restored = service(&new.url("restored")).await;
    scene.goes_on(&restored).await;
    restored.close().await;
}

async fn head(store: &Store) -> u64 {
    let state = store.log(FEED).unwrap().state().await.unwrap();
    state.head.position.get()
}

/// Appends beside all services, so that nobody gives positions.
async fn append_beside(url: &str, subject: &str, number: u32) {
    let mut client = connect(url).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let subject = Subject::new(subject).unwrap();
    let event = NewEvent::json("Lit", &number).unwrap();
    feed_core::postgres::append(
        transaction.client(),
        FEED,
        &subject,
        Expected::Any,
        &[event],
    )
    .await
    .unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn i03_events_that_had_no_position_in_the_dump_get_theirs_behind_the_fork() {
    if !is_installed() {
        return;
    }
    let (old, new, folder) = (
        cluster().await,
        cluster().await,
        tempfile::tempdir().unwrap(),
    );
    count_on(&old, 1_000).await;
    old.create_database("lamps").await.unwrap();
    let url = old.url("lamps");
    let store = service(&url).await;
    append(&store, 4).await;
    store.close().await;
    for number in 0..3 {
        append_beside(&url, "lamp-9", number).await;
    }
    let dump = folder.path().join("dump");
    old.dump("lamps", &dump).await.unwrap();
    for cluster in [&old, &new] {
        cluster.restore(&dump, "restored").await.unwrap();
        let url = cluster.url("restored");
        // Others have begun to append before anybody runs a sequencer.
        append_beside(&url, "lamp-9", 3).await;
        let restored = service(&url).await;
        append(&restored, 1).await;
        let log = restored.log(FEED).unwrap();
        let (state, events) = log.read(Window::Newest { limit: 20 }).await.unwrap();
        let versions: Vec<u32> = events
            .iter()
            .filter(|event| event.subject.as_str() == "lamp-9")
            .map(|event| event.version.get())
            .collect();
        assert_eq!((events.len(), versions), (9, vec![1, 2, 3, 4]));
        let begins: Vec<u64> = state
            .history
            .epochs()
            .iter()
            .map(|(first, _)| first.get())
            .collect();
        assert_eq!(begins, [1, 5]);
        restored.close().await;
    }
}

#[tokio::test]
async fn i03_an_appender_at_work_during_the_taking_up_is_not_forgotten() {
    if !is_installed() {
        return;
    }
    let (cluster, folder) = (cluster().await, tempfile::tempdir().unwrap());
    let dump = folder.path().join("dump");
    drop(play(&cluster, &dump).await);
    cluster.restore(&dump, "restored").await.unwrap();
    let url = cluster.url("restored");
    // One has appended and not committed, another one has a number and appends later.
    let (mut first, mut second) = (connect(&url).await.unwrap(), connect(&url).await.unwrap());
    let (early, late) = (
        first.transaction().await.unwrap(),
        second.transaction().await.unwrap(),
    );
    let event = |number: u32| [NewEvent::json("Lit", &number).unwrap()];
    let subjects = ["lamp-7", "lamp-8"].map(|name| Subject::new(name).unwrap());
    late.query("SELECT pg_current_xact_id()", &[])
        .await
        .unwrap();
    feed_core::postgres::append(early.client(), FEED, &subjects[0], Expected::New, &event(1))
        .await
        .unwrap();
    let restored = service(&url).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    early.commit().await.unwrap();
    // It is taken up as soon as the first one has ended.
    let log = restored.log(FEED).unwrap();
    let begun = std::time::Instant::now();
    while head(&restored).await < 11 {
        assert!(begun.elapsed().as_secs() < 20, "never taken up");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    feed_core::postgres::append(late.client(), FEED, &subjects[1], Expected::New, &event(2))
        .await
        .unwrap();
    append(&restored, 2).await;
    assert_eq!(head(&restored).await, 13);
    late.commit().await.unwrap();
    restored.sequenced().await.unwrap();
    let (state, events) = log.read(Window::Newest { limit: 20 }).await.unwrap();
    assert_eq!(state.head.position.get(), 14);
    assert_eq!(events.last().unwrap().subject, subjects[1]);
    restored.close().await;
}

#[tokio::test]
async fn i03_numbers_that_a_restore_left_behind_are_mended() {
    if !is_installed() {
        return;
    }
    let (cluster, folder) = (cluster().await, tempfile::tempdir().unwrap());
    let dump = folder.path().join("dump");
    let scene = play(&cluster, &dump).await;
    cluster.restore(&dump, "restored").await.unwrap();
    // As tools do that copy rows and no sequences.
    let client = connect(&cluster.url("restored")).await.unwrap();
    client
        .batch_execute("SELECT setval(pg_get_serial_sequence('outbox', 'event_no'), 1, false)")
        .await
        .unwrap();
    let restored = service(&cluster.url("restored")).await;
    scene.goes_on(&restored).await;
    restored.close().await;
}

#[tokio::test]
async fn i03_events_with_numbers_of_others_get_their_own() {
    if !is_installed() {
        return;
    }
    let (cluster, folder) = (cluster().await, tempfile::tempdir().unwrap());
    let dump = folder.path().join("dump");
    cluster.create_database("lamps").await.unwrap();
    let store = service(&cluster.url("lamps")).await;
    append(&store, 10).await;
    store.close().await;
    // Two without a place in the dump, whose numbers are high.
    for number in 0..2 {
        append_beside(&cluster.url("lamps"), "lamp-1", number).await;
    }
    cluster.dump("lamps", &dump).await.unwrap();
    cluster.restore(&dump, "restored").await.unwrap();
    let url = cluster.url("restored");
    // Fewer numbers than are taken, then more; all of it before anybody looks.
    connect(&url)
        .await
        .unwrap()
        .batch_execute("SELECT setval(pg_get_serial_sequence('outbox', 'event_no'), 5, false)")
        .await
        .unwrap();
    for number in 0..9 {
        append_beside(&url, "lamp-1", number).await;
    }
    let restored = service(&url).await;
    append(&restored, 3).await;
    let log = restored.log(FEED).unwrap();
    let (_, events) = log.read(Window::Newest { limit: 100 }).await.unwrap();
    assert_eq!(events.len(), 10 + 2 + 9 + 3);
    let versions: Vec<u32> = events
        .iter()
        .filter(|event| event.subject.as_str() == "lamp-1")
        .map(|event| event.version.get())
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
    restored.close().await;
}
