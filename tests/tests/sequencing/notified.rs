//! One notification a batch, by the sequencer and by nobody else; and none of them is counted on.

use std::time::Duration;

use feed_core::{Expected, Migrations, NewEvent, Store, Subject, Tx};
use futures_util::StreamExt;
use futures_util::stream;
use tokio_postgres::AsyncMessage;

use super::scene::{FEED, Scene};

async fn light(store: &Store, count: u32) {
    for number in 0..count {
        let work = async move |tx: &mut Tx<'_>| {
            let subject = Subject::new(format!("lamp-{number}")).expect("a subject");
            let event = NewEvent::json("Lit", &number).expect("an event");
            tx.append(FEED, &subject, Expected::Any, &[event]).await
        };
        store.write(work).await.unwrap();
    }
}

#[tokio::test]
async fn writers_notify_nobody_and_a_batch_notifies_once() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let (client, mut connection) =
        tokio_postgres::connect(scene.database.url(), tokio_postgres::NoTls)
            .await
            .unwrap();
    let mut messages = Box::pin(stream::poll_fn(move |context| {
        connection.poll_message(context)
    }));
    let channel = scene
        .store
        .query::<(String,)>(
            "SELECT 'feedway_' || oid FROM pg_namespace WHERE nspname = current_schema()",
            &[],
        )
        .await
        .unwrap();
    // What the server says comes in order: the answer to a statement, after what it was told before.
    let mut told = async |statement: String| {
        let run = client.batch_execute(&statement);
        tokio::pin!(run);
        let mut notifications = 0;
        loop {
            tokio::select! {
                biased;
                Some(message) = messages.next() => {
                    if let Ok(AsyncMessage::Notification(_)) = message {
                        notifications += 1;
                    }
                }
                done = &mut run => {
                    done.unwrap();
                    return notifications;
                }
            }
        }
    };
    told(format!("LISTEN \"{}\"", channel[0].0)).await;
    light(&scene.store, 25).await;
    assert_eq!(told("SELECT 1".to_owned()).await, 0, "writers");
    scene.store.sequenced().await.unwrap();
    assert_eq!(told("SELECT 1".to_owned()).await, 1, "one batch");
    scene.store.sequenced().await.unwrap();
    assert_eq!(told("SELECT 1".to_owned()).await, 0, "nothing happened");
}

/// Connections are ended under a service, the listener's too: who waits is told all the same, and within a bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_a_lost_listener_delays_and_loses_nothing() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let waits = Store::open(scene.database.url(), Migrations::NONE)
        .await
        .unwrap();
    let mut commits = waits.commits();
    let admin = feedway_tests::postgres::connect(scene.database.admin_url())
        .await
        .unwrap();
    for round in 1..=3 {
        let ended = admin
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'feedway'",
                &[],
            )
            .await
            .unwrap();
        assert!(!ended.is_empty());
        commits.mark_unchanged();
        // By another process, as far as the one that waits can tell. A connection of its pool was ended as well.
        let writer = Store::open_existing(scene.database.url()).await.unwrap();
        light(&writer, 1).await;
        writer.sequenced().await.unwrap();
        writer.close().await;
        let told = tokio::time::timeout(Duration::from_secs(10), commits.changed()).await;
        told.expect("told within a bound").unwrap();
        let read = async {
            loop {
                // A pooled connection that was ended is found out by using it.
                match waits.log(FEED).unwrap().state().await {
                    Ok(state) if state.head.position.get() >= round => return state,
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => assert!(error.is_transient(), "{error}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .expect("read within a bound");
    }
    waits.close().await;
}
