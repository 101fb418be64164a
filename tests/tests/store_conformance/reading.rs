//! Reading: windows, single events, figures, feeds that never change.

use std::time::Duration;

use feed_core::{
    EventId, Expected, FeedConfig, Position, StoreError, Subject, Tx, Version, Window,
};

use super::kit::Tested;
use super::{event, store, subject};

async fn filled(count: u32) -> Option<std::sync::Arc<Tested>> {
    let store = store().await?;
    for number in 1..=count {
        let work = async move |tx: &mut Tx<'_>| {
            tx.append("first", &subject("a"), Expected::Any, &[event(number)])
                .await
        };
        store.write(work).await.unwrap();
    }
    Some(store)
}

#[tokio::test]
async fn windows_hold_what_they_say() {
    let Some(store) = filled(8).await else {
        return;
    };
    let log = store.log("first").unwrap();
    let at = |position| Position::new(position).unwrap();
    let cases: [(Window, &[u64]); 10] = [
        (Window::Nothing, &[]),
        (
            Window::After {
                after: at(0),
                limit: 3,
            },
            &[1, 2, 3],
        ),
        (
            Window::After {
                after: at(7),
                limit: 3,
            },
            &[8],
        ),
        (
            Window::After {
                after: at(8),
                limit: 3,
            },
            &[],
        ),
        (Window::PageFrom { at: at(0) }, &[1, 2, 3]),
        (Window::PageFrom { at: at(4) }, &[4, 5, 6]),
        (Window::PageFrom { at: at(6) }, &[6, 7, 8]),
        (
            Window::Page(feed_core::PageNumber::new(2).unwrap()),
            &[4, 5, 6],
        ),
        (Window::Newest { limit: 2 }, &[7, 8]),
        (Window::NewestPage, &[6, 7, 8]),
    ];
    for (window, positions) in cases {
        let (state, events) = log.read(window).await.unwrap();
        let found: Vec<u64> = events.iter().map(|event| event.position.get()).collect();
        assert_eq!(found, positions, "{window:?}");
        assert_eq!(state.head.position, at(8));
    }
}

#[tokio::test]
async fn an_event_is_found_by_its_id_in_its_own_feed_only() {
    let Some(store) = store().await else { return };
    let work = async |tx: &mut Tx<'_>| {
        tx.append("first", &subject("a"), Expected::New, &[event(1)])
            .await
    };
    let id = store.write(work).await.unwrap().ids[0];
    let found = store
        .log("first")
        .unwrap()
        .event(id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.id, found.position.get(), found.version.get()),
        (id, 1, 1)
    );
    assert_eq!(found.decode::<u32>().unwrap(), 1);
    assert_eq!(store.log("second").unwrap().event(id).await.unwrap(), None);
    let cursor = store
        .log("first")
        .unwrap()
        .cursor_of(id, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(cursor, Some(found.cursor()));
}

#[tokio::test]
async fn the_cursor_of_an_event_is_waited_for() {
    let Some(store) = store().await else { return };
    let log = store.log("first").unwrap();
    let id = EventId::now();
    assert_eq!(
        log.cursor_of(id, Duration::from_millis(1)).await.unwrap(),
        None
    );
    let append = async move |tx: &mut Tx<'_>| {
        tx.append(
            "first",
            &subject("a"),
            Expected::New,
            &[event(1).with_id(id)],
        )
        .await
    };
    let (found, appended) = tokio::join!(
        log.cursor_of(id, Duration::from_secs(20)),
        store.write(append)
    );
    assert_eq!(found.unwrap().unwrap().position.get(), 1);
    appended.unwrap();
}

#[tokio::test]
async fn the_events_of_a_subject_come_in_the_order_of_their_versions() {
    let Some(store) = filled(5).await else {
        return;
    };
    let events = store
        .read(async |tx: &mut Tx<'_>| tx.events_of(&subject("a")).await)
        .await
        .unwrap();
    let versions: Vec<Version> = events.iter().map(|event| event.version).collect();
    assert_eq!(
        versions
            .iter()
            .map(|version| version.get())
            .collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    let none = store
        .read(async |tx: &mut Tx<'_>| tx.events_of(&Subject::new("b").unwrap()).await)
        .await;
    assert!(none.unwrap().is_empty());
}

#[tokio::test]
async fn a_read_may_not_write() {
    let Some(store) = store().await else { return };
    let written = store
        .read(async |tx: &mut Tx<'_>| super::note(tx, "no").await)
        .await;
    assert!(matches!(written, Err(StoreError::ReadOnly)), "{written:?}");
    let appended = store
        .read(async |tx: &mut Tx<'_>| {
            tx.append("first", &subject("a"), Expected::New, &[event(1)])
                .await
        })
        .await;
    assert!(appended.is_err());
}

#[tokio::test]
async fn i04_a_feed_is_for_ever_as_it_was_created() {
    let Some(store) = filled(4).await else {
        return;
    };
    let first = store.log("first").unwrap().state().await.unwrap();
    let same = FeedConfig::new("first", "conformance")
        .unwrap()
        .page_capacity(3)
        .unwrap();
    let same = same
        .event_bytes_max(1_000)
        .unwrap()
        .title("another title")
        .unwrap();
    assert_eq!(
        store.create_feed(same.clone()).await.unwrap(),
        first,
        "identity is stored, not taken from the caller"
    );
    for other in [
        same.clone().page_capacity(4).unwrap(),
        same.clone().event_bytes_max(999).unwrap(),
        same.private(),
    ] {
        let refused = store.create_feed(other).await;
        assert!(
            matches!(refused, Err(StoreError::FeedDiffers { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn figures_count_events_and_sealed_pages() {
    let Some(store) = filled(8).await else {
        return;
    };
    let stats = store.log("first").unwrap().stats().await.unwrap();
    assert_eq!((stats.events, stats.sealed_pages), (8, 2));
    assert_eq!(stats.state.identity.capacity.get(), 3);
    let empty = store.log("second").unwrap().stats().await.unwrap();
    assert_eq!((empty.events, empty.sealed_pages), (0, 0));
    assert_eq!(empty.state.head, empty.state.history.start());
    let unknown = store.log("third").unwrap().stats().await;
    assert!(matches!(unknown, Err(StoreError::UnknownFeed(_))));
    let names = store.feeds().await.unwrap();
    assert_eq!(
        names.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["first", "second"]
    );
}
