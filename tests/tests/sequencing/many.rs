//! Many sequencers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use feed_core::{AppendError, Expected, Migrations, NewEvent, Store, StoreError, Subject, Tx};

use super::scene::{FEED, Scene, numbers, read_all};

const WRITERS: u32 = 8;
const EACH: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i03_sequencers_of_several_processes_skip_and_double_nothing() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    // Two services, each with a sequencer, and two more that do nothing else.
    let services = [
        Store::open(scene.database.url(), Migrations::NONE)
            .await
            .unwrap(),
        Store::open(scene.database.url(), Migrations::NONE)
            .await
            .unwrap(),
    ];
    let done = Arc::new(AtomicBool::new(false));
    let sequencers: Vec<_> = (0..2)
        .map(|_| {
            let (store, done) = (scene.store.clone(), done.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    store.sequenced().await.unwrap();
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = services[writer as usize % 2].clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    let rolls_back = number % 6 == 5;
                    let work = async move |tx: &mut Tx<'_>| {
                        let subject =
                            Subject::new(format!("lamp-{}", number % 5)).expect("a subject");
                        let event =
                            NewEvent::json("Lit", &(writer * EACH + number)).expect("an event");
                        tx.append(FEED, &subject, Expected::Any, &[event]).await?;
                        if rolls_back {
                            return Err(StoreError::Closed.into());
                        }
                        Ok(())
                    };
                    let written: Result<(), AppendError> = store.write(work).await;
                    assert_eq!(written.is_err(), rolls_back, "{written:?}");
                }
            })
        })
        .collect();
    // A reader that goes along: what it has read stays.
    let reader = {
        let (store, done) = (services[0].clone(), done.clone());
        tokio::spawn(async move {
            let mut seen: Vec<u32> = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let now = numbers(&read_all(&store).await);
                assert_eq!(now[..seen.len()], seen);
                seen = now;
            }
        })
    };
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    for sequencer in sequencers {
        sequencer.await.unwrap();
    }
    reader.await.unwrap();
    scene.store.sequenced().await.unwrap();
    let mut read = numbers(&scene.read().await);
    read.sort_unstable();
    let wanted: Vec<u32> = (0..WRITERS * EACH)
        .filter(|number| number % EACH % 6 != 5)
        .collect();
    assert_eq!(read, wanted);
    for service in services {
        service.close().await;
    }
}
