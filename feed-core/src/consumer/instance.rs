//! An instance of a consumer: the worker of the whole subscription, or those of the partitions that are its share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::apply::Rules;
use super::error::ConsumerError;
use super::lease::HolderId;
use super::options::ConsumerOptions;
use super::partition::Part;
use super::sharing::{self, Can, Plan, Seen};
use super::state::SubscriptionState;
use super::step::{StepOutcome, Worker};
use super::storage::{self, Stored, partitions::Wanted};
use crate::client::FeedClient;
use crate::error::StoreError;
use crate::event::SubscriptionName;
use crate::limits::LEASE_LOOK_MS;
use crate::store::{LeaseClock, Store, Tx};

/// Follows one feed for one subscription.
///
/// Of several instances one holds the subscription; the others stand by. One that is [split](Self::partitions) is shared
/// by them, partition by partition. What is applied, what is parked and where it stands is committed in one transaction,
/// guarded by a compare-and-set (invariants I7 to I10).
///
/// ```no_run
/// # async fn f(store: feed_core::Store) -> Result<(), Box<dyn std::error::Error>> {
/// use feed_core::{Consumer, Event, Handlers, Tx};
/// let handlers = Handlers::new().on("SpeedReserved", async |tx: &mut Tx<'_>, event: &Event| {
///     tx.execute("UPDATE orders SET status = 'CONFIRMED' WHERE subject = $1", &[event.subject.as_str().into()]).await?;
///     Ok(())
/// });
/// let consumer = Consumer::new(&store, "orders/customers", "http://127.0.0.1:8082/feeds/customers")?.handlers(handlers);
/// consumer.run(feed_core::shutdown_signal()).await?;
/// # Ok(()) }
/// ```
pub struct Consumer {
    pub(super) name: SubscriptionName,
    pub(super) store: Store,
    pub(super) feed_url: String,
    pub(super) options: ConsumerOptions,
    pub(super) rules: Arc<Rules>,
    /// With which it holds partitions, and by which it is known to the other instances.
    pub(super) holder: HolderId,
    /// How many partitions there are; none before the first step, and when that may have changed.
    pub(super) split: Option<u32>,
    /// Those that are stepped here.
    pub(super) workers: BTreeMap<u32, Worker>,
    /// Partitions that this instance has taken, which it takes no more while they halt.
    pub(super) tried: BTreeSet<u32>,
    /// When the other instances were told last that this one is there.
    joined: Option<Instant>,
    /// Whose turn it is in this round.
    turns: VecDeque<u32>,
}

/// What an instance finds when it looks at the partitions.
pub(super) enum Shared {
    /// There are as many as it believed.
    Plan(Plan),
    /// There is another number of them.
    Resized,
}

impl Consumer {
    pub(super) fn with(name: SubscriptionName, store: Store, feed_url: String) -> Self {
        Consumer {
            name,
            store,
            feed_url,
            options: ConsumerOptions::default(),
            rules: Arc::default(),
            holder: super::lease::new_holder(),
            split: None,
            workers: BTreeMap::new(),
            tried: BTreeSet::new(),
            joined: None,
            turns: VecDeque::new(),
        }
    }

    /// Does one thing: takes the subscription, fetches what comes next, applies a batch of what was fetched, or replays
    /// what was parked. Where the subscription is split, the partitions of this instance's share have their turns one after
    /// another, and between the rounds it is looked which those are.
    ///
    /// # Errors
    /// See [`ConsumerError`]; transient ones are worth another step. After [`ConsumerError::Halted`] the reason stands
    /// in the database, and further steps do nothing until an operator has resumed the subscription.
    pub async fn step(&mut self) -> Result<StepOutcome, ConsumerError> {
        let partitions = self.partitions_there().await?;
        if partitions == 1 {
            self.work_on(0);
            self.turns = VecDeque::from([0]);
        }
        if self.turns.is_empty()
            && let Some(outcome) = self.share_out().await?
        {
            return Ok(outcome);
        }
        let turn = self.turns.pop_front();
        let Some((number, worker)) = turn.and_then(|number| {
            let worker = self.workers.get_mut(&number)?;
            Some((number, worker))
        }) else {
            // All partitions are held by others.
            let left = Duration::from_millis(LEASE_LOOK_MS);
            return Ok(StepOutcome::Standby { left });
        };
        let stepped = worker.step().await;
        if !worker.may_try_halted {
            self.tried.insert(number);
        }
        match &stepped {
            Ok(StepOutcome::Resized) => self.look_anew(),
            Ok(StepOutcome::Standby { .. } | StepOutcome::Halted | StepOutcome::Paused)
                if partitions > 1 =>
            {
                self.workers.remove(&number);
            }
            _ => {}
        }
        stepped
    }

    /// Between two rounds: takes what is to be worked on, and gives back what others are to work on. Returns what came of
    /// it, if that was all.
    async fn share_out(&mut self) -> Result<Option<StepOutcome>, ConsumerError> {
        let mine = self.workers.keys().copied().collect();
        let plan = match self.share(&mine).await? {
            Shared::Plan(plan) => plan,
            Shared::Resized => {
                self.look_anew();
                return Ok(Some(StepOutcome::Resized));
            }
        };
        let mut gave = None;
        for partition in plan.give {
            if let Some(mut worker) = self.workers.remove(&partition) {
                worker.release().await?;
                gave = Some(StepOutcome::Gave { partition });
            }
        }
        for number in plan.take {
            self.work_on(number);
        }
        self.turns = self.workers.keys().copied().collect();
        Ok(gave)
    }

    /// Adds a worker for the partition, if there is none yet.
    fn work_on(&mut self, number: u32) {
        if !self.workers.contains_key(&number) {
            let worker = self.worker(number);
            self.workers.insert(number, worker);
        }
    }

    /// A worker for the partition.
    pub(super) fn worker(&self, number: u32) -> Worker {
        let part = Part {
            name: self.name.clone(),
            number,
            of: self.split.unwrap_or(1),
        };
        Worker::new(self, part, !self.tried.contains(&number))
    }

    /// Forgets all that is not in the database.
    pub(super) fn look_anew(&mut self) {
        self.split = None;
        self.workers.clear();
        self.turns.clear();
        self.tried.clear();
    }

    /// How many partitions the subscription has; makes it when there is none.
    pub(super) async fn partitions_there(&mut self) -> Result<u32, ConsumerError> {
        if let Some(partitions) = self.split {
            return Ok(partitions);
        }
        FeedClient::new(&self.feed_url, self.options.client.clone())?;
        let ordering = &self.rules.ordering;
        let asked = self.options.partitions;
        if ordering.is_feed() && asked.is_some_and(|asked| asked > 1) {
            return Err(ConsumerError::CannotBeSplit(self.name.clone()));
        }
        let (name, feed_url, split_by) =
            (self.name.clone(), self.feed_url.clone(), ordering.as_str());
        let rows: Vec<Stored> = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let wanted = Wanted {
                    feed_url: &feed_url,
                    ordering: split_by,
                    partitions: asked.unwrap_or(1),
                };
                storage::partitions::ensure(tx, &name, &wanted).await
            })
            .await?;
        let there = rows.first().map_or(1, |row| row.subscription.partitions);
        if there > 1 && ordering.is_feed() {
            return Err(ConsumerError::CannotBeSplit(self.name.clone()));
        }
        let stored = rows.into_iter().find_map(|row| row.ordering);
        if let Some(stored) = stored.filter(|stored| there > 1 && *stored != split_by) {
            return Err(ConsumerError::SplitByAnother {
                name: self.name.clone(),
                stored,
                given: split_by,
            });
        }
        if let Some(asked) = asked.filter(|asked| *asked != there) {
            tracing::warn!(subscription = %self.name, asked, there,
                "the subscription has another number of partitions than asked for, and keeps it: feedctl sub partitions changes it");
        }
        self.split = Some(there);
        Ok(there)
    }

    /// Tells the other instances that this one is there, and finds out what it is to give back and to take, if it works on
    /// `mine` now.
    pub(super) async fn share(&mut self, mine: &BTreeSet<u32>) -> Result<Shared, StoreError> {
        let (name, me, lease) = (self.name.clone(), self.holder, self.options.lease);
        let is_due = self.joined.is_none_or(|at| at.elapsed() >= lease / 3);
        let (rows, members, clock) = if is_due {
            let joined = self.store.write(async move |tx: &mut Tx<'_>| {
                storage::members::join(tx, &name, &me, lease).await?;
                look(tx, &name, &me).await
            });
            let looked = joined.await?;
            self.joined = Some(Instant::now());
            looked
        } else {
            self.store
                .read(async move |tx: &mut Tx<'_>| look(tx, &name, &me).await)
                .await?
        };
        if !members.contains(&self.holder) {
            // Others believed it dead: it joins again.
            self.joined = None;
        }
        let there = rows.first().map(|row| row.subscription.partitions);
        if there != self.split {
            return Ok(Shared::Resized);
        }
        let seen: Vec<Seen> = rows.iter().map(|row| seen(row, &clock)).collect();
        let plan = sharing::plan(&seen, &members, &self.holder, mine, &self.tried);
        Ok(Shared::Plan(plan))
    }

    /// Gives back all that this instance holds, and tells the others that it is gone.
    pub(super) async fn leave(&mut self) -> Result<(), StoreError> {
        for worker in self.workers.values_mut() {
            worker.release().await?;
        }
        self.workers.clear();
        self.turns.clear();
        if self.joined.take().is_none() {
            return Ok(());
        }
        let (name, me) = (self.name.clone(), self.holder);
        self.store
            .write(async move |tx: &mut Tx<'_>| {
                storage::members::leave(tx, &name, &me).await?;
                storage::partitions::release_all(tx, &name, &me).await?;
                tx.announce();
                Ok(())
            })
            .await
    }
}

type Looked = (Vec<Stored>, Vec<HolderId>, LeaseClock);

async fn look(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    me: &HolderId,
) -> Result<Looked, StoreError> {
    let members = storage::members::members(tx, name, me).await?;
    let rows = storage::find_all(tx, name).await?;
    Ok((rows, members, tx.lease_clock()))
}

fn seen(row: &Stored, clock: &LeaseClock) -> Seen {
    let lasting = row
        .lease
        .as_ref()
        .filter(|lease| !lease.left(clock).is_zero());
    Seen {
        number: row.number,
        can: match row.subscription.state {
            SubscriptionState::Running | SubscriptionState::Waiting => Can::Run,
            SubscriptionState::Halted => Can::BeTried,
            SubscriptionState::Paused => Can::Not,
        },
        holder: lasting.map(|lease| lease.holder),
    }
}
