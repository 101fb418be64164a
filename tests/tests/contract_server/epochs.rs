//! A feed whose history has two epochs, as after a restore (invariants I4, I11).

use feed_core::client::{Seen, verify};
use feed_core::{Cursor, Epoch, Format};

use super::lamps::{Scene, append};
use super::problems::assert_problem;
use super::served::FORMATS;

/// Four events of one epoch, then four of another: page 2 of three events has both.
async fn scene() -> (Scene, Epoch, Epoch) {
    let scene = Scene::new(3, 4).await;
    let old = scene.events().await[0].epoch;
    let new = Epoch::from_bytes([0xab; 8]);
    let conn = rusqlite::Connection::open(scene.store.path()).unwrap();
    conn.execute(
        "INSERT INTO epochs (feed, first_position, epoch, reason, opened_us) SELECT feed, 5, ?1, 'restored', 0 FROM feeds",
        [&new.as_bytes()[..]],
    )
    .unwrap();
    append(&scene.store, 4).await;
    (scene, old, new)
}

#[tokio::test]
async fn i04_each_event_carries_the_epoch_it_got_its_position_in() {
    let (scene, old, new) = scene().await;
    for format in FORMATS {
        let mut url = scene.served.url("/feeds/lamps?after=start");
        let mut events = Vec::new();
        let mut reply = scene.served.document(&url, format).await;
        loop {
            events.extend(reply.events());
            if reply
                .headers
                .get("feed-caught-up")
                .is_some_and(|v| v == "true")
            {
                break;
            }
            url = reply.link("next").unwrap();
            reply = scene.served.document(&url, format).await;
        }
        let epochs: Vec<Epoch> = events.iter().map(|event| event.epoch).collect();
        assert_eq!(epochs, [old, old, old, old, new, new, new, new]);
        assert_eq!(verify(Seen::Nothing, events.clone()).unwrap(), events);
        assert_eq!(events, scene.events().await);
    }
}

#[tokio::test]
async fn i04_a_sealed_page_is_found_under_the_epoch_of_its_last_event() {
    let (scene, old, new) = scene().await;
    for format in FORMATS {
        let extension = format.extension();
        let at = |epoch: Epoch, page: u64| {
            let path = format!("/feeds/lamps/archive/{epoch}/{page}.r1.{extension}");
            scene.served.url(&path)
        };
        for (right, wrong, page) in [(old, new, 1), (new, old, 2)] {
            let reply = scene.served.get(&at(right, page), &[]).await;
            assert_eq!((reply.status, reply.positions().len()), (200, 3));
            let reply = scene.served.get(&at(wrong, page), &[]).await;
            assert_eq!(reply.status, 307);
            assert_eq!(reply.location(), at(right, page));
            assert_eq!(reply.header("cache-control"), "no-store");
        }
        let second = scene.served.get(&at(new, 2), &[]).await;
        assert_eq!(second.link("prev-archive"), Some(at(old, 1)));
    }
}

#[tokio::test]
async fn i11_cursors_of_the_old_epoch_are_taken_up_to_the_fork_only() {
    let (scene, old, new) = scene().await;
    let events = scene.events().await;
    let ask = async |cursor: Cursor| {
        let url = scene.served.url(&format!("/feeds/lamps?after={cursor}"));
        let accept = [("accept", Format::Json.media_type())];
        scene.served.get(&url, &accept).await
    };
    for event in &events {
        let reply = ask(event.cursor()).await;
        assert!([200, 307].contains(&reply.status), "{reply:?}");
        let epoch = if event.epoch == old { new } else { old };
        let elsewhere = Cursor {
            epoch,
            ..event.cursor()
        };
        assert_problem(&ask(elsewhere).await, 409, "cursor-diverged");
    }
}
