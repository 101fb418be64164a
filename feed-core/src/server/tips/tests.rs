use super::*;
use crate::error::AppendError;
use crate::event::{NewEvent, Subject};
use crate::feed::FeedConfig;
use crate::store::{Expected, Migrations, Store, Tx};

const FEED: &str = "lamps";

struct Scene {
    store: Store,
    tips: Tips,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lamps.db");
        let store = Store::open(&path.to_string_lossy(), Migrations::NONE).await;
        let store = store.unwrap();
        let config = FeedConfig::new(FEED, "lamp-svc").unwrap();
        store
            .create_feed(config.page_capacity(4).unwrap())
            .await
            .unwrap();
        let tips = Tips::new(store.log(FEED).unwrap(), Arc::new(Semaphore::new(10)));
        Scene {
            store,
            tips,
            _folder: folder,
        }
    }

    async fn append(&self, count: u32) {
        let appended: Result<(), AppendError> = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                for number in 0..count {
                    let subject = Subject::new(format!("lamp-{}", number % 3)).unwrap();
                    let event = NewEvent::json("Lit", &number).unwrap();
                    tx.append(FEED, &subject, Expected::Any, &[event]).await?;
                }
                Ok(())
            })
            .await;
        appended.unwrap();
    }

    /// What is known, and believed. The watcher may have to say first that it has seen our own commits, too.
    async fn known(&self) -> Arc<Tip> {
        loop {
            let tip = self.tips.current().await.unwrap();
            if let Some(known) = self.tips.known() {
                assert!(Arc::ptr_eq(&tip, &known), "nothing was appended");
                return known;
            }
        }
    }
}

#[tokio::test]
async fn i02_a_commit_here_ends_what_is_known_before_it_is_acknowledged() {
    let scene = Scene::new().await;
    assert!(scene.tips.known().is_none());
    for number in 1..=50 {
        scene.known().await;
        scene.append(1).await;
        assert!(scene.tips.known().is_none(), "after event {number}");
        let tip = scene.tips.current().await.unwrap();
        assert_eq!(tip.state.head.position.get(), number);
    }
}

#[tokio::test]
async fn what_did_not_change_stays_the_same_with_its_documents() {
    let scene = Scene::new().await;
    scene.append(3).await;
    let tip = scene.known().await;
    scene.tips.saw(&tip.state);
    assert!(scene.tips.known().is_some());
    // Something else was read: what is known is not believed, until it is read again and still so.
    let mut other = tip.state.clone();
    other.head.position = Position::new(7).unwrap();
    scene.tips.saw(&other);
    assert!(scene.tips.known().is_none());
    assert!(Arc::ptr_eq(&tip, &scene.known().await));
}

#[tokio::test]
async fn the_newest_events_are_kept_in_a_row() {
    let scene = Scene::new().await;
    scene.append(2).await;
    assert_eq!(scene.known().await.begins_at().get(), 2);
    scene.append(1).await;
    scene.known().await;
    scene.append(2).await;
    let tip = scene.known().await;
    let positions: Vec<u64> = tip
        .events
        .iter()
        .map(|event| event.position.get())
        .collect();
    assert_eq!(positions, [3, 4, 5]);
    // More than are read at once: they end before the head.
    scene.append(9).await;
    let tip = scene.known().await;
    assert_eq!(
        (tip.begins_at().get(), tip.state.head.position.get()),
        (2, 14)
    );
    let at = tip.events[2].cursor();
    assert!(tip.behind(at, Position::new(8).unwrap()).is_some());
    assert!(tip.behind(at, Position::new(12).unwrap()).is_none());
    scene.append(1).await;
    assert_eq!(scene.known().await.begins_at().get(), 14);
}

#[tokio::test]
async fn places_are_only_those_of_this_history() {
    let scene = Scene::new().await;
    scene.append(1).await;
    let first = scene.known().await.state.head;
    scene.append(2).await;
    let tip = scene.known().await;
    let head = tip.state.head;
    assert_eq!(tip.place(&After::Now), Some(head));
    for (at, index) in [(first, 0), (tip.events[0].cursor(), 1), (head, 2)] {
        assert_eq!(tip.place(&After::Cursor(at)), Some(at));
        let end = Position::new(4).unwrap();
        assert_eq!(tip.behind(at, end).map(<[_]>::len), Some(2 - index));
        let mut other = at;
        other.check = crate::position::Check::from_bytes([7; 6]);
        assert_eq!(tip.place(&After::Cursor(other)), None);
        assert!(tip.behind(other, end).is_none());
        let mut other = at;
        other.epoch = crate::position::Epoch::random();
        assert_eq!(tip.place(&After::Cursor(other)), None);
    }
    let ahead = Position::new(4).unwrap();
    assert_eq!(tip.place(&After::Position(ahead)), None);
    assert_eq!(
        tip.place(&After::Position(Position::new(2).unwrap())),
        Some(tip.events[0].cursor())
    );
    assert_eq!(tip.place(&After::Start), None);
}

#[tokio::test]
async fn what_nobody_asks_for_is_forgotten() {
    let scene = Scene::new().await;
    scene.append(1).await;
    scene.known().await;
    // The store looks for commits of other processes only as long as somebody beside itself listens.
    while scene.tips.shared.known.read().unwrap().tip.is_some() {
        tokio::task::yield_now().await;
    }
    assert!(scene.tips.shared.newest.borrow().is_none());
    assert_eq!(scene.known().await.state.head.position.get(), 1);
}

#[tokio::test]
async fn i13_those_who_wait_are_woken_by_one_look() {
    let scene = Scene::new().await;
    let mut waiters: Vec<_> = (0..3).map(|_| scene.tips.wait().unwrap()).collect();
    scene.append(2).await;
    let mut woken = Vec::new();
    for waiter in &mut waiters {
        woken.push(waiter.beyond(Position::START).await);
    }
    assert!(woken.iter().all(|tip| Arc::ptr_eq(tip, &woken[0])));
}
