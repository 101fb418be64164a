//! SQLite: a copy of the file.

use feed_core::FeedName;

use crate::kit::{FEED, Scene, service};

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Files {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    async fn play(&self) -> Scene {
        let store = service(&self.path("lamps.db")).await;
        let scene = Scene::play(&store, async || {
            let conn = rusqlite::Connection::open(self.path("lamps.db")).unwrap();
            conn.execute("VACUUM INTO ?1", [self.path("backup.db")])
                .unwrap();
        });
        let scene = scene.await;
        store.close().await;
        scene
    }
}

#[tokio::test]
async fn i11_after_a_new_epoch_consumers_go_on_or_halt() {
    let files = Files::new();
    let scene = files.play().await;
    let restored = service(&files.path("backup.db")).await;
    let feed = FeedName::new(FEED).unwrap();
    restored.open_epoch(&feed, "restored").await.unwrap();
    scene.goes_on(&restored).await;
    restored.close().await;
}

#[tokio::test]
async fn i11_without_a_new_epoch_the_check_makes_them_halt() {
    let files = Files::new();
    let scene = files.play().await;
    let restored = service(&files.path("backup.db")).await;
    scene.is_noticed(&restored).await;
    restored.close().await;
}
