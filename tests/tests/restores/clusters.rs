//! PostgreSQL: base backups, with recovery and without.

use feed_core::FeedName;
use feedway_tests::postgres::{Cluster, ClusterOptions, is_installed};

use crate::kit::{FEED, Scene, service};

/// Plays the scene with a base backup, and starts a cluster of that.
async fn put_back(recovers: bool) -> (Scene, Cluster) {
    let cluster = Cluster::start(ClusterOptions::default()).await.unwrap();
    cluster.create_database("lamps").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    let store = service(&cluster.url("lamps")).await;
    let scene = Scene::play(&store, async || cluster.base_backup(&backup).await.unwrap());
    let scene = scene.await;
    store.close().await;
    let mut options = ClusterOptions::default();
    if recovers {
        // To the end of what the backup has of the log: a recovery to a point in time.
        options = options.set("restore_command", "false");
        std::fs::write(backup.join("recovery.signal"), "").unwrap();
    }
    let restored = Cluster::from_base_backup(&backup, options).await.unwrap();
    (scene, restored)
}

#[tokio::test]
async fn i11_after_a_recovery_a_new_epoch_begins_by_itself() {
    if !is_installed() {
        return;
    }
    let (scene, cluster) = put_back(true).await;
    let restored = service(&cluster.url("lamps")).await;
    scene.goes_on(&restored).await;
    restored.close().await;
}

#[tokio::test]
async fn i11_after_a_copy_of_the_files_a_new_epoch_is_opened_by_hand() {
    if !is_installed() {
        return;
    }
    let (scene, cluster) = put_back(false).await;
    let restored = service(&cluster.url("lamps")).await;
    let feed = FeedName::new(FEED).unwrap();
    restored.open_epoch(&feed, "restored").await.unwrap();
    scene.goes_on(&restored).await;
    restored.close().await;
}

#[tokio::test]
async fn i11_without_a_new_epoch_the_check_makes_consumers_halt() {
    if !is_installed() {
        return;
    }
    let (scene, cluster) = put_back(false).await;
    let restored = service(&cluster.url("lamps")).await;
    scene.is_noticed(&restored).await;
    restored.close().await;
}
