//! An appender that stops inside its transaction holds nobody up.

use std::time::{Duration, Instant};

use feed_core::{Expected, Migrations, NewEvent, Store, Subject, Tx};

use super::scene::{Appender, FEED, Scene, numbers, read_all};

/// How long an event may take from its commit to its place while another appender is stopped. It takes milliseconds; the
/// machine may be busy.
const PLACED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i06_an_appender_that_is_stopped_past_every_limit_stalls_nobody() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let service = Store::open(scene.database.url(), Migrations::NONE)
        .await
        .unwrap();
    let mut stopped = Appender::new(&scene).await;
    stopped.begin().await;
    stopped.append("stopped", 0).await;
    let begun = Instant::now();
    let log = service.log(FEED).unwrap();
    let mut given = 0;
    // Longer than a session of ours may be silent in a transaction, and than a statement or a lock may take; more batches
    // than are kept.
    while begun.elapsed() < Duration::from_secs(6) || given < 1_100 {
        given += 1;
        let event = NewEvent::json("Lit", &given).unwrap();
        let id = feed_core::EventId::now();
        let event = event.with_id(id);
        let subject = Subject::new(format!("lamp-{}", given % 7)).unwrap();
        service
            .write(async move |tx: &mut Tx<'_>| {
                tx.append(FEED, &subject, Expected::Any, std::slice::from_ref(&event))
                    .await
            })
            .await
            .unwrap();
        let placed = log.cursor_of(id, PLACED_WITHIN).await.unwrap();
        assert_eq!(
            placed.map(|cursor| cursor.position.get()),
            Some(given.into())
        );
    }
    stopped.end(true).await;
    service.sequenced().await.unwrap();
    let mut wanted: Vec<u32> = (1..=given).collect();
    wanted.push(0);
    assert_eq!(numbers(&read_all(&service).await), wanted);
    service.close().await;
}

/// A session of ours that goes silent inside a transaction is ended by the server, with its locks.
#[tokio::test]
async fn i06_a_session_of_ours_is_silent_in_a_transaction_for_a_bounded_time() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let rows = scene
        .store
        .query::<(String, String)>(
            "SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('synchronous_commit')",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows, [("5s".to_owned(), "on".to_owned())]);
}
