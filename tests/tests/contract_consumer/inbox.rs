//! The inbox: an event whose id came before is passed over, for feeds that do not promise that an id comes once.

use feed_core::{Chosen, EventState, Format, HandlerError, Mode, StoreError, Tx};

use super::live::{Faults, settle};
use super::reader::{Reader, SUBSCRIPTION};
use super::scripted::{ScriptedFeed, ScriptedServer};

const START: &str = "/feeds/lamps?after=start";

/// A feed in which these ids come, in one document and then nothing more.
async fn scene(ids: &[u64]) -> (ScriptedFeed, Reader, ScriptedServer) {
    let feed = ScriptedFeed::with_ids(1, ids);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    let length = feed.len();
    server.on(START, [feed.tail(Format::Json, 1..=length)]);
    for position in 1..length {
        let rest = feed.tail(Format::Json, position + 1..=length);
        server.on(&feed.after(position), [rest]);
    }
    let end = feed.nothing_after(Format::Json, length);
    server.on(&feed.after(length), [end]);
    (feed, reader, server)
}

#[tokio::test]
async fn i07_an_id_that_comes_twice_is_applied_once_with_an_inbox_and_counted() {
    let (_, reader, server) = scene(&[1, 2, 1, 3, 3, 2]).await;
    settle(&mut reader.consumer(&server.feed_url()).inbox()).await;
    assert_eq!(reader.applied_positions().await, [1, 2, 4]);
    let row = reader.subscription().await.unwrap();
    assert_eq!((row.events, row.duplicates), (6, 3));
}

#[tokio::test]
async fn i07_an_id_that_was_parked_and_replayed_is_not_applied_again() {
    // The id 1 comes again while it is parked, and when it was replayed.
    let (feed, reader, server) = scene(&[1, 2, 1, 3, 1]).await;
    let faults = Faults::default();
    faults.set(1, HandlerError::permanent("the lamp is unknown"));
    server.on(&feed.after(1), [feed.tail(Format::Json, 2..=3)]);
    server.on(&feed.after(3), [feed.nothing_after(Format::Json, 3)]);
    server.on(START, [feed.tail(Format::Json, 1..=3)]);
    let url = server.feed_url();
    let mut consumer = reader.consumer_with(&url, faults.handlers()).inbox();
    settle(&mut consumer).await;
    assert_eq!(reader.applied_positions().await, [2]);
    faults.mend(1);
    let handle = reader.store.subscription(SUBSCRIPTION).unwrap();
    assert_eq!(handle.counts().await.unwrap(), [(EventState::Parked, 1)]);
    handle.retry(Chosen::All, Mode::Do).await.unwrap();
    let mut consumer = reader.consumer_with(&url, faults.handlers()).inbox();
    settle(&mut consumer).await;
    server.on(&feed.after(3), [feed.tail(Format::Json, 4..=5)]);
    settle(&mut consumer).await;
    assert_eq!(reader.applied_positions().await, [2, 1, 4]);
    assert_eq!(reader.subscription().await.unwrap().duplicates, 2);
    assert_eq!(handle.counts().await.unwrap(), []);
}

#[tokio::test]
async fn i12_an_inbox_forgets_what_lies_far_back_and_what_comes_again_after_a_reset() {
    let (feed, reader, server) = scene(&[1, 2, 3]).await;
    let mut consumer = reader.consumer(&server.feed_url()).inbox();
    consumer.step().await.unwrap();
    // As far back as an inbox of a feed this short can reach.
    let added: Result<u64, StoreError> = reader
        .store
        .write(async |tx: &mut Tx<'_>| {
            tx.execute(
                "INSERT INTO inbox (subscription, event_id, position) VALUES ($1, $2, 0)",
                &[SUBSCRIPTION.into(), [0; 16].as_slice().into()],
            )
            .await
        })
        .await;
    assert_eq!(added.unwrap(), 1);
    settle(&mut consumer).await;
    assert_eq!(remembered(&reader).await, [1, 2, 3]);
    let handle = reader.store.subscription(SUBSCRIPTION).unwrap();
    handle.reset(Some(feed.cursor(1)), Mode::Do).await.unwrap();
    assert_eq!(remembered(&reader).await, [1]);
    settle(&mut reader.consumer(&server.feed_url()).inbox()).await;
    assert_eq!(reader.applied_positions().await, [1, 2, 3, 2, 3]);
}

async fn remembered(reader: &Reader) -> Vec<i64> {
    let rows = reader
        .store
        .query::<(i64,)>("SELECT position FROM inbox ORDER BY position", &[])
        .await;
    rows.unwrap().into_iter().map(|(at,)| at).collect()
}
