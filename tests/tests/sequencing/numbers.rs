//! Numbers that are drawn a second time.

use super::scene::{Appender, Scene, numbers};

/// A copy of a database by `CREATE DATABASE … TEMPLATE` does so when its server crashes: the numbers that the template had
/// drawn in advance are in no log of the copy. The torture found the feed to stand still then, for ever.
#[tokio::test]
async fn i06_a_number_that_is_drawn_twice_stalls_nobody() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mut appender = Appender::new(&scene).await;
    appender.append("first", 1).await;
    scene.store.sequenced().await.unwrap();
    let again = "SELECT setval(pg_get_serial_sequence('outbox', 'event_no'), 1, false)";
    scene.client().await.batch_execute(again).await.unwrap();
    appender.append("second", 2).await;
    appender.append("third", 3).await;
    scene.store.sequenced().await.unwrap();
    let events = scene.read().await;
    assert_eq!(numbers(&events), [1, 2, 3]);
    let log = scene.store.log(super::scene::FEED).unwrap();
    for event in &events {
        let found = log.event(event.id).await.unwrap().unwrap();
        assert_eq!(found.cursor(), event.cursor());
    }
}
