//! A real subscription with two instances, which follow a real feed; beside it the model.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Changed, Chosen, Consumer, ConsumerError, Event, EventId, EventState,
    Expected as Version, FeedConfig, Halt, HandlerError, Handlers, Migrations, Mode, NewEvent,
    OperateError, Operator, ParkingLimits, StepOutcome, StoreError, Subject, SubscriptionState, Tx,
    Window,
};

use super::expected::{EVENTS_MAX, Expected, KEYS_MAX, Made};
use super::moves::{Fate, INSTANCES, Move, Operation, SUBJECTS, Which};
use super::observed::Observed;
use super::operated::Refused;
use crate::reader::{Reader, SUBSCRIPTION, note};
use crate::scripted::LIT;
use crate::served::Served;

const LAMPS: &str = "lamps";

/// A lease that does not end by itself.
const LEASE: Duration = Duration::from_secs(3_600);

/// Steps within which all has to be well again.
const STEPS_MAX: usize = 2_000;

type Fates = Arc<Mutex<BTreeMap<u64, Fate>>>;

pub(super) struct World {
    feed: TempStore,
    served: Served,
    reader: Reader,
    instances: [Consumer; INSTANCES],
    fates: Fates,
    events: Vec<Event>,
    expected: Expected,
    observed: Observed,
    /// Whether an instance that had nothing new was behind the head.
    was_behind: [bool; INSTANCES],
}

impl World {
    pub(super) async fn new() -> Self {
        let feed = TempStore::new(Migrations::NONE).await;
        let config = FeedConfig::new(LAMPS, "lamp-svc").unwrap();
        // Small pages, so that sealed ones are read too.
        feed.create_feed(config.page_capacity(4).unwrap())
            .await
            .unwrap();
        let served = Served::start(&feed, &[LAMPS]).await;
        let reader = Reader::new().await;
        let fates = Fates::default();
        let mut instances = [(); INSTANCES].map(|()| consumer(&reader, &served, &fates));
        let mut expected = Expected::new();
        assert_eq!(instances[0].step().await.unwrap(), StepOutcome::Taken);
        expected.take(0);
        let observed = Observed::of(&reader).await;
        observed.assert_is(&expected, &[]);
        World {
            feed,
            served,
            reader,
            instances,
            fates,
            events: Vec::new(),
            expected,
            observed,
            was_behind: [false; INSTANCES],
        }
    }

    pub(super) async fn make(&mut self, made: Move) {
        match made {
            Move::Append { subject, fate } => self.append(subject, fate).await,
            Move::Steps { instance, count } => {
                for _ in 0..count {
                    self.step(instance).await;
                }
            }
            Move::Restart(instance) => {
                self.instances[instance] = consumer(&self.reader, &self.served, &self.fates);
                self.expected.restart(instance);
            }
            Move::Expire => self.expire().await,
            Move::Mend(number) => {
                let count = self.expected.made.len();
                if count > 0 {
                    self.expected.made[number % count].fate = Fate::Good;
                }
            }
            Move::Operate(operation) => self.operate(operation, Mode::Do).await,
            Move::Rehearse(operation) => self.operate(operation, Mode::DryRun).await,
        }
    }

    /// Mends everything and lets it be tried again: then everything is applied (invariant I13).
    pub(super) async fn end(mut self) {
        for made in &mut self.expected.made {
            made.fate = Fate::Good;
        }
        let replaying = self
            .expected
            .kept
            .iter()
            .filter(|(_, kept)| kept.state == EventState::Replaying);
        let hurried: Vec<usize> = replaying.map(|(position, _)| *position).collect();
        for position in hurried {
            self.operate(Operation::Retry(Which::Event(position - 1)), Mode::Do)
                .await;
        }
        self.operate(Operation::Retry(Which::All), Mode::Do).await;
        self.operate(Operation::Resume, Mode::Do).await;
        self.make(Move::Expire).await;
        for _ in 0..STEPS_MAX {
            if self.is_done() {
                return self.close().await;
            }
            self.step(0).await;
        }
        panic!(
            "I13: after {STEPS_MAX} steps it is still {:?}",
            self.expected
        );
    }

    fn is_done(&self) -> bool {
        let mut kept = self.expected.kept.values();
        self.expected.cursor == self.events.len()
            && kept.all(|kept| kept.state == EventState::Dropped)
    }

    async fn close(self) {
        self.feed.close().await;
        self.reader.store.close().await;
    }

    async fn append(&mut self, subject: usize, fate: Fate) {
        let number = self.events.len();
        let appended: Result<(), AppendError> = self
            .feed
            .write(async move |tx: &mut Tx<'_>| {
                let subject = Subject::new(key(subject)).expect("a subject");
                let event = NewEvent::json(LIT, &number).expect("an event");
                tx.append(LAMPS, &subject, Version::Any, &[event]).await?;
                Ok(())
            })
            .await;
        appended.unwrap();
        let newest = Window::Newest { limit: 1 };
        let (_, newest) = self.feed.log(LAMPS).unwrap().read(newest).await.unwrap();
        self.events.extend(newest);
        self.expected.made.push(Made { subject, fate });
    }

    async fn expire(&mut self) {
        let ended: Result<u64, StoreError> = self
            .reader
            .store
            .write(async |tx: &mut Tx<'_>| {
                tx.execute("UPDATE subscriptions SET lease_until_ms = 0", &[])
                    .await
            })
            .await;
        assert_eq!(ended.unwrap(), 1);
        self.expected.leased = false;
    }

    /// What was done shows in the database as the model has it.
    async fn look(&mut self, is_reset: bool) {
        let observed = Observed::of(&self.reader).await;
        observed.assert_is(&self.expected, &self.events);
        observed.assert_follows(&self.observed, is_reset);
        self.observed = observed;
    }

    async fn step(&mut self, instance: usize) {
        let fates = (1..=self.events.len()).map(|at| (at as u64, self.expected.fate(at)));
        *self.fates.lock().unwrap() = fates.collect();
        let stepped = self.instances[instance].step().await;
        let did_commit = match &stepped {
            Ok(StepOutcome::Applied { .. } | StepOutcome::Parked { .. }) | Err(_) => true,
            Ok(StepOutcome::Replayed { events }) => *events > 0,
            Ok(_) => false,
        };
        assert!(
            !did_commit || self.expected.holds(instance),
            "I9: {instance} does not hold it: {stepped:?}"
        );
        match stepped {
            Ok(StepOutcome::Taken) => self.expected.take(instance),
            Ok(StepOutcome::Applied { events, .. }) => {
                for _ in 0..events {
                    self.expected.pass_next();
                }
            }
            Ok(StepOutcome::Parked { .. }) => self.expected.park_next(),
            Ok(StepOutcome::Replayed { events }) => self.replayed(instance, events).await,
            Ok(StepOutcome::Fetched) => self.was_behind[instance] = false,
            Ok(StepOutcome::CaughtUp) if self.expected.holds(instance) => {
                self.caught_up(instance);
                if self.expected.state == SubscriptionState::Halted {
                    self.expected.state = SubscriptionState::Running;
                }
            }
            Ok(StepOutcome::CaughtUp) => {}
            Ok(StepOutcome::Superseded) => {
                assert!(!self.expected.holds(instance), "superseded by nobody");
                self.expected.believes[instance] = None;
            }
            Ok(StepOutcome::Standby { .. }) => {
                assert!(self.expected.leased && self.expected.holder != Some(instance));
            }
            Ok(StepOutcome::Halted) => {
                assert_eq!(self.expected.state, SubscriptionState::Halted);
                assert!(self.expected.has_taken[instance]);
            }
            Ok(StepOutcome::Paused) => {
                assert_eq!(self.expected.state, SubscriptionState::Paused)
            }
            Err(ConsumerError::Handler { .. }) => self.expected.retry_next(),
            Err(ConsumerError::Halted(Halt::TooMuchParked { .. })) => {
                self.expected.too_much_parked();
            }
            other => panic!("{other:?}"),
        }
        self.look(false).await;
    }

    /// It is at the head; or it was, when the document was fetched ahead that had nothing new.
    fn caught_up(&mut self, instance: usize) {
        let is_behind = self.expected.cursor < self.events.len();
        assert!(
            !is_behind || !self.was_behind[instance],
            "caught up at {} of {}",
            self.expected.cursor,
            self.events.len()
        );
        self.was_behind[instance] = is_behind;
    }

    /// Which events that were is seen by the difference.
    async fn replayed(&mut self, instance: usize, count: usize) {
        let now = Observed::of(&self.reader).await;
        let is_other = |at: &usize, kept: &super::expected::Kept| {
            let tried_now = now.kept.get(at).map(|kept| kept.attempts);
            tried_now != Some(kept.attempts)
        };
        let mut others = self
            .expected
            .kept
            .iter()
            .filter(|(at, kept)| is_other(at, kept));
        let Some((first, _)) = others.next() else {
            let mut kept = self.expected.kept.values();
            let is_due = kept.any(|kept| kept.state == EventState::Replaying && kept.is_due);
            let holds = self.expected.holds(instance);
            assert!(
                !(is_due && holds) && count == 0,
                "what was due was not tried"
            );
            // It is not asked all the time when the next one has its turn.
            tokio::time::sleep(Duration::from_millis(1)).await;
            return;
        };
        assert!(
            self.expected.holds(instance),
            "I9: {instance} does not hold it"
        );
        let subject = self.expected.subject(*first);
        if count > 0 {
            self.expected.replay(subject, count);
        } else {
            self.expected.replay_failed(subject);
        }
    }

    async fn operate(&mut self, operation: Operation, mode: Mode) {
        let operation = self.existing(operation);
        let done = self.really(operation, mode).await;
        let mut expected = self.expected.clone();
        let wanted = expected.operate(operation);
        match (&done, &wanted) {
            (Ok(changed), Ok(())) => {
                assert_eq!(changed.before, self.observed.row);
                assert_eq!(changed.after.state, expected.state);
                assert_eq!(changed.after.fence, expected.fence);
                for kept in &changed.events {
                    let position = kept.event.position.get() as usize;
                    assert_eq!(kept.state, expected.kept[&position].state, "{position}");
                }
                let forgotten = self.expected.kept.len() - expected.kept.len();
                assert_eq!(changed.forgotten, forgotten as u64);
            }
            (Err(error), Err(wanted)) => assert_eq!(refused(error), *wanted),
            (done, wanted) => panic!("{operation:?}: {done:?} instead of {wanted:?}"),
        }
        if mode == Mode::Do && wanted.is_ok() {
            self.expected = expected;
        }
        self.look(matches!(operation, Operation::Reset(_))).await;
        if let (Ok(changed), Mode::Do) = (done, mode) {
            assert_eq!(changed.after, self.observed.row);
        }
    }

    /// The operation on what there is; events by their positions.
    fn existing(&self, operation: Operation) -> Operation {
        let count = self.events.len();
        let which = |which| match which {
            Which::Event(number) => Which::Event(number % count.max(1) + 1),
            Which::Key(subject) => Which::Key(subject % SUBJECTS),
            Which::All => Which::All,
        };
        match operation {
            Operation::Retry(chosen) => Operation::Retry(which(chosen)),
            Operation::Drop(chosen) => Operation::Drop(which(chosen)),
            Operation::Reset(number) => Operation::Reset(number % (count + 1)),
            Operation::Pause | Operation::Resume | Operation::Skip => operation,
        }
    }

    async fn really(&self, operation: Operation, mode: Mode) -> Result<Changed, OperateError> {
        let handle = self.reader.store.subscription(SUBSCRIPTION).unwrap();
        let operator = Operator::new("kim", "the model says so").unwrap();
        let event = |position: usize| self.events.get(position - 1);
        let chosen = |which| match which {
            Which::Event(position) => {
                Chosen::Event(event(position).map_or_else(EventId::now, |event| event.id))
            }
            Which::Key(subject) => Chosen::Key(key(subject)),
            Which::All => Chosen::All,
        };
        match operation {
            Operation::Pause => handle.pause(&operator, mode).await,
            Operation::Resume => handle.resume(mode).await,
            Operation::Retry(which) => handle.retry(chosen(which), mode).await,
            Operation::Drop(which) => handle.drop_events(chosen(which), &operator, mode).await,
            Operation::Skip => handle.skip(&operator, mode).await,
            Operation::Reset(position) => {
                let cursor = position.checked_sub(1).map(|at| self.events[at].cursor());
                handle.reset(cursor, mode).await
            }
        }
    }
}

fn key(subject: usize) -> String {
    format!("lamp-{subject}")
}

fn refused(error: &OperateError) -> Refused {
    match error {
        OperateError::UnknownEvent(..) => Refused::UnknownEvent,
        OperateError::UnknownKey(..) => Refused::UnknownKey,
        OperateError::State { .. } => Refused::State,
        OperateError::NotStuck(_) => Refused::NotStuck,
        OperateError::Running(_) => Refused::Running,
        other => panic!("{other}"),
    }
}

/// An instance whose handler does what the fates say, after all its work, so that there is something to undo.
fn consumer(reader: &Reader, served: &Served, fates: &Fates) -> Consumer {
    let fates = fates.clone();
    let handlers = Handlers::new().on(LIT, async move |tx: &mut Tx<'_>, event: &Event| {
        note(tx, event).await?;
        let fate = fates.lock().unwrap().get(&event.position.get()).copied();
        match fate.unwrap_or(Fate::Good) {
            Fate::Good => Ok(()),
            Fate::Transient(_) => Err(HandlerError::transient("not yet")),
            Fate::Lasting(_) => Err(HandlerError::lasting("not for a while")),
            Fate::Permanent => Err(HandlerError::permanent("the lamp is unknown")),
            Fate::Panic => panic!("the lamp exploded"),
        }
    });
    let url = served.url("/feeds/lamps");
    reader
        .consumer_with(url.as_str(), handlers)
        .lease(LEASE)
        .parking_limits(ParkingLimits {
            keys: KEYS_MAX,
            events: EVENTS_MAX,
        })
}
