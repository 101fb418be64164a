//! Searching: events by type and subject, and places by time.

use chrono::{DateTime, Duration, Utc};
use feed_core::limits::SCAN_EVENTS_MAX;
use feed_core::{Event, EventType, Expected, Filter, NewEvent, Position, StoreError, Tx, Window};

use super::kit::Tested;
use super::{store, subject};

/// A feed in which the types A, B and C and two subjects come in turn; with a neighbour, which nothing may find.
async fn filled(count: u64) -> Option<std::sync::Arc<Tested>> {
    let store = store().await?;
    for feed in ["second", "first"] {
        for begin in (0..count).step_by(1_000) {
            let work = async move |tx: &mut Tx<'_>| {
                for number in begin..count.min(begin + 1_000) {
                    let about = subject(&format!("{feed}-{}", number % 2));
                    let event_type = ["A", "B", "C"][number as usize % 3];
                    let event = NewEvent::json(event_type, &number).expect("an event");
                    tx.append(feed, &about, Expected::Any, &[event]).await?;
                }
                Ok::<_, feed_core::AppendError>(())
            };
            store.write(work).await.unwrap();
        }
    }
    Some(store)
}

fn filter(types: &[&str], subjects: &[&str]) -> Filter {
    let mut filter = Filter::default();
    for one in types {
        filter.add_type(EventType::new(*one).unwrap()).unwrap();
    }
    for one in subjects {
        filter.add_subject(subject(one)).unwrap();
    }
    filter
}

async fn all(store: &Tested) -> Vec<Event> {
    let log = store.log("first").unwrap();
    log.read(Window::Newest { limit: 100_000 }).await.unwrap().1
}

fn at(position: u64) -> Position {
    Position::new(position).unwrap()
}

#[tokio::test]
async fn i08_a_scan_finds_what_is_wanted_and_says_how_far_it_looked() {
    let Some(store) = filled(30).await else {
        return;
    };
    let log = store.log("first").unwrap();
    let events = all(&store).await;
    let filters = [
        filter(&[], &[]),
        filter(&["A"], &[]),
        filter(&["A", "C"], &[]),
        filter(&[], &["first-1"]),
        filter(&["B"], &["first-0", "first-1"]),
        filter(&["B"], &["second-0"]),
        filter(&["a"], &[]),
    ];
    for filter in filters {
        for after in [0, 1, 7, 29, 30] {
            for limit in [1, 3, 100] {
                let scan = log.scan(at(after), &filter, limit).await.unwrap();
                let wanted: Vec<Event> = events
                    .iter()
                    .filter(|event| event.position.get() > after && filter.matches(event))
                    .take(limit as usize)
                    .cloned()
                    .collect();
                let full = wanted.len() == limit as usize;
                let upto = if full {
                    wanted.last().unwrap().position.get()
                } else {
                    30
                };
                assert_eq!(scan.events, wanted, "{filter:?} after {after}");
                assert_eq!(
                    scan.upto.unwrap().position.get(),
                    upto,
                    "{filter:?} after {after}"
                );
                assert_eq!(scan.from.unwrap().position.get(), after);
                assert_eq!(scan.state.head.position.get(), 30);
            }
        }
    }
    let beyond = log.scan(at(31), &filter(&["A"], &[]), 1).await.unwrap();
    assert_eq!(
        (beyond.from, beyond.upto, beyond.events.len()),
        (None, None, 0)
    );
}

#[tokio::test]
async fn i12_a_scan_looks_at_so_many_events_and_no_more() {
    let count = u64::from(SCAN_EVENTS_MAX) + 5;
    let Some(store) = filled(count).await else {
        return;
    };
    let log = store.log("first").unwrap();
    let nothing = filter(&["Absent"], &[]);
    let first = log.scan(at(0), &nothing, 10).await.unwrap();
    assert_eq!(
        first.upto.unwrap().position.get(),
        u64::from(SCAN_EVENTS_MAX)
    );
    let second = log
        .scan(first.upto.unwrap().position, &nothing, 10)
        .await
        .unwrap();
    assert_eq!(second.upto, Some(second.state.head));
}

#[tokio::test]
async fn a_place_is_found_by_time() {
    let Some(store) = filled(40).await else {
        return;
    };
    let log = store.log("first").unwrap();
    let events = all(&store).await;
    let moments: Vec<DateTime<Utc>> = events.iter().map(|event| event.recorded).collect();
    let (first, last) = (moments[0], moments[39]);
    let mut times = moments.clone();
    times.extend([
        first - Duration::days(1),
        last + Duration::microseconds(1),
        last + Duration::days(1),
    ]);
    for time in times {
        let before = moments.iter().filter(|moment| **moment < time).count() as u64;
        let cursor = log.cursor_before(time).await.unwrap();
        assert_eq!(cursor.position.get(), before, "{time}");
        if let Some(event) = before.checked_sub(1) {
            assert_eq!(cursor, events[event as usize].cursor());
        }
    }
    let Some(empty) = super::store().await else {
        return;
    };
    let log = empty.log("first").unwrap();
    let cursor = log.cursor_before(Utc::now()).await.unwrap();
    assert_eq!(cursor, log.state().await.unwrap().earliest);
}

#[tokio::test]
async fn what_is_no_feed_has_nothing_to_search() {
    let Some(store) = store().await else { return };
    let log = store.log("third").unwrap();
    let scanned = log.scan(at(0), &Filter::default(), 1).await;
    assert!(matches!(scanned, Err(StoreError::UnknownFeed(_))));
    assert!(matches!(
        log.cursor_before(Utc::now()).await,
        Err(StoreError::UnknownFeed(_))
    ));
}

#[tokio::test]
async fn the_time_of_what_comes_next_is_found_for_many_places() {
    let Some(store) = filled(30).await else {
        return;
    };
    let log = store.log("first").unwrap();
    let events = all(&store).await;
    let places = [29, 0, 30, 7, 7, 31];
    let found = log.recorded_behind(places.map(at).to_vec()).await.unwrap();
    assert_eq!(found.state.head, events[29].cursor());
    let expected = places.map(|place| events.get(place as usize).map(|event| event.recorded));
    assert_eq!(found.times, expected);
    let nothing = log.recorded_behind(Vec::new()).await.unwrap();
    assert_eq!(nothing.times, []);
}
