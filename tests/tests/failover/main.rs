//! Several PostgreSQL servers under one service: a primary that dies, standbys that are read and promoted, a network that is
//! cut. Nothing acknowledged is lost where a standby is synchronous; where something was lost, readers halt and never skip.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod appenders;
mod becoming;
mod cut_off;
mod finding;
mod follower;
mod instances;
mod leases;
mod lossy;
mod nodes;
mod promotion;
mod reading;
#[path = "../served/mod.rs"]
#[allow(dead_code, reason = "other tests look closer at what is served")]
mod served;
mod tls;

use std::time::Duration;

use feed_core::{Event, Expected, FeedConfig, FeedState, Migrations, NewEvent, Position, Store};
use feed_core::{EventId, Subject, Tx, Window};

/// The feed of all that is here.
pub(crate) const FEED: &str = "lamps";
/// Events in a page of it.
pub(crate) const CAPACITY: u32 = 10;
/// Longest time that anything here is waited for.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// A service's store, with its feed.
pub(crate) async fn service(url: &str) -> Store {
    let store = Store::open(url, Migrations::NONE).await.unwrap();
    let config = FeedConfig::new(FEED, "lamp-svc").unwrap();
    let config = config.page_capacity(CAPACITY).unwrap();
    store.create_feed(config).await.unwrap();
    store
}

/// Appends an event with this id about a subject.
pub(crate) async fn append(
    store: &Store,
    subject: &str,
    id: EventId,
    number: u32,
) -> Result<(), feed_core::AppendError> {
    let subject = Subject::new(subject).unwrap();
    let event = NewEvent::json("Lit", &number).unwrap().with_id(id);
    let work = async move |tx: &mut Tx<'_>| {
        let events = std::slice::from_ref(&event);
        tx.append(FEED, &subject, Expected::Any, events).await
    };
    store.write(work).await.map(drop)
}

/// Appends `count` events and waits until all have their places. The last one's id.
pub(crate) async fn light(store: &Store, count: u32) -> EventId {
    let mut last = EventId::now();
    for number in 0..count {
        last = EventId::now();
        append(store, "lamp-1", last, number).await.unwrap();
    }
    store.sequenced().await.unwrap();
    last
}

/// All of the feed, with every place and check verified from the beginning on.
pub(crate) async fn read_all(store: &Store) -> (FeedState, Vec<Event>) {
    let window = Window::After {
        after: Position::START,
        limit: 1_000_000,
    };
    let (state, events) = store.log(FEED).unwrap().read(window).await.unwrap();
    let read = feed_core::client::verify(feed_core::client::Seen::Nothing, events).unwrap();
    assert_eq!(state.head.position.get(), read.len() as u64);
    (state, read)
}

/// Looks again and again until there is something.
#[track_caller]
pub(crate) fn wait_for<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let looked = tokio::time::timeout(WAIT_MAX, async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        looked
            .await
            .unwrap_or_else(|_| panic!("never: {what}, at {caller}"))
    }
}

/// The feed's head, as soon as the store can be asked and it is as wanted.
pub(crate) async fn head_when(
    store: &Store,
    what: &str,
    wanted: impl Fn(&FeedState) -> bool,
) -> FeedState {
    let log = store.log(FEED).unwrap();
    wait_for(what, async || match log.state().await {
        Ok(state) => wanted(&state).then_some(state),
        Err(error) => {
            assert!(error.is_transient(), "{error}");
            None
        }
    })
    .await
}
