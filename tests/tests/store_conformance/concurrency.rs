//! Many writers at once, readers beside them, commands that share a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use feed_core::client::{Seen, verify};
use feed_core::{AppendError, Expected, Position, StoreError, Tx, Window};

use super::{event, note, notes, store, subject};

const WRITERS: u32 = 16;
const APPENDS_EACH: u32 = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i03_a_reader_beside_many_writers_never_skips() {
    let Some(store) = store().await else { return };
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (log, done) = (store.log("first").unwrap(), done.clone());
        async move {
            let (mut seen, mut read) = (Seen::Nothing, 0_u64);
            loop {
                // Asked before reading: what was written before is read after.
                let last_round = done.load(Ordering::SeqCst);
                let after = Position::new(read).unwrap();
                let (_, events) = log.read(Window::After { after, limit: 7 }).await.unwrap();
                let fresh = verify(seen, events).expect("no gap, no repetition, no other order");
                read += fresh.len() as u64;
                match fresh.last() {
                    Some(last) => seen = Seen::Cursor(last.cursor()),
                    None if last_round => return read,
                    None => tokio::task::yield_now().await,
                }
            }
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..APPENDS_EACH {
                    let name = format!("subject-{}", (writer + number) % 5);
                    let fails = number % 5 == 4;
                    let work = async move |tx: &mut Tx<'_>| {
                        tx.append("first", &subject(&name), Expected::Any, &[event(number)])
                            .await?;
                        if fails {
                            Err(StoreError::Closed.into())
                        } else {
                            Ok(())
                        }
                    };
                    let written: Result<(), AppendError> = store.write(work).await;
                    assert_eq!(written.is_err(), fails);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    assert_eq!(
        reader.await.unwrap(),
        u64::from(WRITERS * APPENDS_EACH / 5 * 4)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i05_of_many_who_expect_the_same_version_one_wins() {
    let Some(store) = store().await else { return };
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let work = async move |tx: &mut Tx<'_>| {
                    tx.append("first", &subject("a"), Expected::New, &[event(number)])
                        .await
                };
                store.write(work).await
            })
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(error.is_conflict(), "{error}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rule_over_a_row_holds_under_concurrent_writers() {
    let Some(store) = store().await else { return };
    store
        .write(async |tx: &mut Tx<'_>| note(tx, "seats").await)
        .await
        .unwrap();
    store
        .write(async |tx: &mut Tx<'_>| tx.execute("UPDATE notes SET number = 5", &[]).await)
        .await
        .unwrap();
    let takers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let take = "UPDATE notes SET number = number - 1 WHERE note = $1 AND number >= 1";
                store
                    .write(async |tx: &mut Tx<'_>| tx.execute(take, &["seats".into()]).await)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += taker.await.unwrap();
    }
    assert_eq!(taken, 5);
}

#[tokio::test]
async fn i01_a_command_that_fails_takes_no_other_of_its_group_with_it() {
    let Some(store) = store().await else { return };
    // Sent together, so that they wait together and share a commit.
    let writes = (0..40).map(|number| {
        let store = store.clone();
        async move {
            let name = format!("note-{number:02}");
            let work = async move |tx: &mut Tx<'_>| {
                note(tx, &name).await?;
                if number % 4 == 0 {
                    note(tx, &name).await?;
                }
                Ok::<_, StoreError>(())
            };
            store.write(work).await
        }
    });
    let results = futures_util::future::join_all(writes).await;
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), number % 4 == 0, "{number}: {result:?}");
    }
    assert_eq!(notes(&store).await.len(), 30);
}

#[tokio::test]
async fn a_closed_store_has_done_what_it_took_and_refuses_more() {
    let Some(store) = store().await else { return };
    let write = store.write(async |tx: &mut Tx<'_>| note(tx, "taken").await);
    let (written, ()) = tokio::join!(write, store.close());
    written.unwrap();
    let refused = store
        .write(async |tx: &mut Tx<'_>| note(tx, "late").await)
        .await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
}
