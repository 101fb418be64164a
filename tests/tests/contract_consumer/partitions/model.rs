//! A split subscription under any sequence of events, steps, joins, deaths, changes of the number of partitions, and what
//! operators do: after each of them nothing was applied twice, out of order, or passed without a trace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use feed_core::{
    Chosen, Consumer, EventState, HandlerError, Mode, OperateError, Store, SubscriptionState,
};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::scene::{
    SUBJECTS, assert_all_applied, expire, instance_of, of, operator, other_store, position, rows,
    settle,
};
use crate::live::Live;

const INSTANCES: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Fate {
    Good,
    Transient,
    Lasting,
    Permanent,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Append(usize, Fate),
    Steps(usize, usize),
    /// An instance dies, its leases stay, and another one takes its place.
    Die(usize),
    /// An instance leaves, and another one takes its place.
    Leave(usize),
    /// The time of all leases is over.
    Expire,
    Resize(u32),
    Keep,
    /// What is wrong with an event is mended.
    Mend(usize),
    Retry,
    Pause(u32),
    Resume,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let fate = prop_oneof![
        7 => Just(Fate::Good),
        1 => Just(Fate::Transient),
        1 => Just(Fate::Lasting),
        2 => Just(Fate::Permanent),
    ];
    let one = prop_oneof![
        10 => (0..SUBJECTS.len(), fate).prop_map(|(subject, fate)| Move::Append(subject, fate)),
        14 => (0..INSTANCES, 1..14_usize).prop_map(|(instance, count)| Move::Steps(instance, count)),
        1 => (0..INSTANCES).prop_map(Move::Die),
        1 => (0..INSTANCES).prop_map(Move::Leave),
        2 => Just(Move::Expire),
        4 => (1..=5_u32).prop_map(Move::Resize),
        1 => Just(Move::Keep),
        3 => (0..40_usize).prop_map(Move::Mend),
        2 => Just(Move::Retry),
        1 => (0..5_u32).prop_map(Move::Pause),
        2 => Just(Move::Resume),
    ];
    proptest::collection::vec(one, 1..80)
}

struct World {
    live: Live,
    store: Store,
    instances: Vec<Consumer>,
    /// The subjects of the events, by position.
    subjects: Vec<&'static str>,
    partitions: u32,
    fence: i64,
}

impl World {
    async fn new(partitions: u32) -> Self {
        let live = Live::new(&[]).await;
        let store = other_store(&live).await;
        let instances = (0..INSTANCES).map(|_| start(&store, &live, partitions));
        World {
            instances: instances.collect(),
            store,
            live,
            subjects: Vec::new(),
            partitions,
            fence: 0,
        }
    }

    async fn make(&mut self, made: Move) {
        let handle = self.live.handle();
        match made {
            Move::Append(subject, fate) => self.append(SUBJECTS[subject], fate).await,
            Move::Steps(instance, count) => {
                for _ in 0..count {
                    let _ = self.instances[instance].step().await;
                }
            }
            Move::Die(instance) => {
                self.instances[instance] = start(&self.store, &self.live, self.partitions);
            }
            Move::Leave(instance) => {
                let next = start(&self.store, &self.live, self.partitions);
                let leaves = std::mem::replace(&mut self.instances[instance], next);
                let stopped = CancellationToken::new();
                stopped.cancel();
                leaves.run(stopped).await.unwrap();
            }
            Move::Expire => expire(&self.live).await,
            Move::Resize(to) => made_or_refused(handle.set_partitions(to, Mode::Do).await),
            Move::Keep => made_or_refused(handle.keep_partitions(Mode::Do).await),
            Move::Mend(event) if !self.subjects.is_empty() => {
                self.live
                    .faults
                    .mend((event % self.subjects.len()) as u64 + 1);
            }
            Move::Mend(_) => {}
            Move::Retry => made_or_refused(handle.retry(Chosen::All, Mode::Do).await),
            Move::Pause(number) => {
                let one = handle.partition(number);
                made_or_refused(one.pause(&operator(), Mode::Do).await);
            }
            Move::Resume => made_or_refused(handle.resume(Mode::Do).await),
        }
        self.check().await;
    }

    async fn append(&mut self, subject: &'static str, fate: Fate) {
        self.subjects.push(subject);
        let error = match fate {
            Fate::Good => None,
            Fate::Transient => Some(HandlerError::transient("not yet")),
            Fate::Lasting => Some(HandlerError::lasting("not for a while")),
            Fate::Permanent => Some(HandlerError::permanent("the lamp is unknown")),
        };
        if let Some(error) = error {
            self.live.faults.set(self.subjects.len() as u64, error);
        }
        self.live.append(&[subject]).await;
    }

    async fn check(&mut self) {
        let there = rows(&self.live).await;
        if there.is_empty() {
            return;
        }
        let partitions = there.len() as u32;
        assert!(there.iter().all(|row| row.partitions == partitions));
        let fence = there.iter().map(|row| row.fence).max().unwrap();
        assert!(fence >= self.fence, "I9: a fence that goes back");
        self.fence = fence;
        for row in &there {
            assert_eq!(row.resizing, there[0].resizing);
            if let Some(resizing) = row.resizing {
                assert!(position(row) <= resizing.stop_at, "beyond the stop");
            }
        }
        let applied = self.live.applied().await;
        let once: BTreeSet<i64> = applied.iter().copied().collect();
        assert_eq!(once.len(), applied.len(), "I7: twice in {applied:?}");
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for at in &applied {
            let before = last.insert(self.subjects[*at as usize - 1], *at);
            assert!(before < Some(*at), "I10: the order of {applied:?}");
        }
        let kept: BTreeMap<u64, EventState> = self.live.states().await.into_iter().collect();
        for (at, subject) in (1..).zip(&self.subjects) {
            let row = &there[of(subject, partitions)];
            let is_applied = once.contains(&(at as i64));
            let state = kept.get(&at).copied();
            if at > position(row) {
                assert!(!is_applied, "I8: {at} is applied, and not passed");
                assert!(matches!(state, None | Some(EventState::Retrying)));
            } else {
                assert_ne!(
                    is_applied,
                    state.is_some(),
                    "I8: {at} was passed: {state:?}"
                );
                assert_ne!(state, Some(EventState::Retrying));
            }
        }
    }

    /// Everything heals, and then all is applied, and all changes have come about.
    async fn end(mut self) {
        for event in 0..self.subjects.len() {
            self.make(Move::Mend(event)).await;
        }
        self.instances.clear();
        for made in [Move::Resume, Move::Retry, Move::Expire] {
            self.make(made).await;
        }
        let wanted = rows(&self.live).await.first().map(|row| {
            let resizing = row.resizing.map(|resizing| resizing.to);
            resizing.unwrap_or(row.partitions)
        });
        settle(&mut start(&self.store, &self.live, self.partitions)).await;
        let there = rows(&self.live).await;
        assert_eq!(there.len() as u32, wanted.unwrap_or(self.partitions));
        let is_well = |row: &feed_core::Subscription| {
            row.state == SubscriptionState::Running && row.resizing.is_none()
        };
        assert!(there.iter().all(is_well), "{there:#?}");
        assert!(self.live.kept().await.is_empty());
        assert_all_applied(&self.live).await;
        self.store.close().await;
    }
}

fn start(store: &Store, live: &Live, partitions: u32) -> Consumer {
    instance_of(store, live, partitions).backoff_max(Duration::ZERO)
}

fn made_or_refused(changed: Result<feed_core::Changed, OperateError>) {
    if let Err(OperateError::Store(error)) = changed {
        panic!("{error}");
    }
}

fn play(partitions: u32, moves: Vec<Move>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(partitions).await;
        for made in moves {
            world.make(made).await;
        }
        world.end().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::MODEL_CASES, max_shrink_iters: 100, ..ProptestConfig::default() })]
    #[test]
    fn i07_i08_i09_i10_i13_hold_for_partitions_whatever_happens(partitions in 1..=5_u32, moves in moves()) {
        play(partitions, moves);
    }
}
