//! A feed, its reader's database, and what has to hold of a split subscription in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use feed_core::{
    Consumer, EventId, Mode, Operator, StepOutcome, Store, StoreError, Subscription,
    SubscriptionHandle, Tx, partition_of,
};

use crate::live::Live;
use crate::reader::{MIGRATIONS, SUBSCRIPTION, consumer};

/// How long is waited for what has to happen.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Steps that no scenario needs.
const STEPS_MAX: usize = 2_000;

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// Subjects of which each of up to five partitions has some.
pub(super) const SUBJECTS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

pub(super) fn operator() -> Operator {
    Operator::new("kim", "it is time").unwrap()
}

/// A feed with so many events, about all subjects in turn.
pub(super) async fn feed_of(events: usize) -> Live {
    let subjects: Vec<&'static str> = SUBJECTS.into_iter().cycle().take(events).collect();
    Live::new(&subjects).await
}

/// An instance that asks for so many partitions.
pub(super) fn instance(live: &Live, partitions: u32) -> Consumer {
    live.consumer().partitions(partitions).unwrap().lease(HOUR)
}

/// An instance in another process, as far as the database is concerned.
pub(super) async fn other_store(live: &Live) -> Store {
    Store::open(live.reader.store.url(), MIGRATIONS)
        .await
        .unwrap()
}

pub(super) fn instance_of(store: &Store, live: &Live, partitions: u32) -> Consumer {
    consumer(store, &live.url())
        .handlers(live.faults.handlers())
        .partitions(partitions)
        .unwrap()
        .lease(HOUR)
}

pub(super) async fn rows(live: &Live) -> Vec<Subscription> {
    live.handle().partitions().await.unwrap()
}

pub(super) fn position(row: &Subscription) -> u64 {
    row.cursor.map_or(0, |cursor| cursor.position.get())
}

pub(super) async fn positions(live: &Live) -> Vec<u64> {
    rows(live).await.iter().map(position).collect()
}

/// How many partitions each holder has, in no order.
pub(super) async fn shares(live: &Live) -> Vec<usize> {
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for holder in rows(live).await.into_iter().filter_map(|row| row.holder) {
        *shares.entry(holder).or_default() += 1;
    }
    let mut shares: Vec<usize> = shares.into_values().collect();
    shares.sort_unstable();
    shares
}

/// Waits until the partitions are shared so.
#[track_caller]
pub(super) fn wait_for_shares<'a>(
    live: &'a Live,
    wanted: &'a [usize],
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(WAIT_MAX, async {
            while shares(live).await != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        if waited.await.is_err() {
            panic!(
                "{:?} and not {wanted:?}, seen from {caller}",
                shares(live).await
            );
        }
    }
}

/// Waits until there are so many partitions and all of them are behind `position`.
pub(super) async fn wait_for(live: &Live, partitions: usize, at: u64) {
    let waited = tokio::time::timeout(WAIT_MAX, async {
        loop {
            let there = positions(live).await;
            if there.len() == partitions && there.iter().all(|stands| *stands >= at) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    if waited.await.is_err() {
        panic!("{:#?}", rows(live).await);
    }
}

/// Steps until nothing more comes of it, over all errors.
pub(super) async fn settle(consumer: &mut Consumer) {
    let mut quiet = 0;
    for _ in 0..STEPS_MAX {
        quiet = match consumer.step().await {
            Ok(StepOutcome::CaughtUp | StepOutcome::Standby { .. } | StepOutcome::Stopped) => {
                quiet + 1
            }
            _ => 0,
        };
        // Each of at most five partitions was quiet twice.
        if quiet == 12 {
            return;
        }
    }
    panic!("not settled after {STEPS_MAX} steps");
}

/// The leases of all are over.
pub(super) async fn expire(live: &Live) {
    let expired: Result<(), StoreError> = live
        .reader
        .store
        .write(async |tx: &mut Tx<'_>| {
            tx.execute("UPDATE subscriptions SET lease_until_ms = 0", &[])
                .await?;
            tx.execute("UPDATE subscription_members SET lease_until_ms = 0", &[])
                .await?;
            Ok(())
        })
        .await;
    expired.unwrap();
}

pub(super) async fn split(handle: &SubscriptionHandle, partitions: u32) {
    handle.set_partitions(partitions, Mode::Do).await.unwrap();
}

/// All events of the feed were applied: each once, those of a subject in their order, each with the follow-up that it would
/// have had without any partitions; and all partitions stand at the end.
#[track_caller]
pub(super) fn assert_all_applied(live: &Live) -> impl Future<Output = ()> + '_ {
    let caller = std::panic::Location::caller();
    async move {
        let log = live.feed.log(crate::live::LAMPS).unwrap();
        let newest = feed_core::Window::Newest { limit: 100_000 };
        let (state, events) = log.read(newest).await.unwrap();
        let subject_of: BTreeMap<i64, String> = events
            .iter()
            .map(|event| (event.position.get() as i64, event.subject.to_string()))
            .collect();
        let applied = live.applied().await;
        let mut sorted = applied.clone();
        sorted.sort_unstable();
        let all: Vec<i64> = subject_of.keys().copied().collect();
        assert_eq!(sorted, all, "each once, seen from {caller}");
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for position in &applied {
            let before = last.insert(&subject_of[position], *position);
            let in_order = before.is_none_or(|before| before < *position);
            assert!(in_order, "{applied:?}, seen from {caller}");
        }
        let mut follow_ups = live.reader.follow_ups().await;
        let mut derived: Vec<EventId> = events
            .iter()
            .map(|event| EventId::follow_up(SUBSCRIPTION, event.id, 0))
            .collect();
        follow_ups.sort_unstable();
        derived.sort_unstable();
        assert_eq!(follow_ups, derived, "seen from {caller}");
        let rows = rows(live).await;
        let mut passed = 0;
        for row in &rows {
            assert_eq!(row.partitions as usize, rows.len());
            assert_eq!(
                position(row),
                state.head.position.get(),
                "seen from {caller}"
            );
            passed += row.events;
        }
        assert_eq!(passed, events.len() as u64, "seen from {caller}");
        assert_eq!(live.row().await.events, passed);
    }
}

/// The partition of a subject.
pub(super) fn of(subject: &str, partitions: u32) -> usize {
    partition_of(subject, partitions) as usize
}
