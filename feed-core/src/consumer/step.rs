//! One step of a worker: take the partition, fetch what comes next, apply what was fetched, or replay what was
//! parked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::apply::Rules;
use super::error::ConsumerError;
use super::fetching::Fetching;
use super::held::{Held, Keeper};
use super::instance::Consumer;
use super::lease::HolderId;
use super::options::ConsumerOptions;
use super::partition::Part;
use super::state::SubscriptionState;
use super::storage::Doing;
use crate::event::{Event, EventId};
use crate::limits::BATCH_EVENTS_MAX;
use crate::position::Cursor;
use crate::store::Store;

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepOutcome {
    /// The subscription was taken: this instance holds it now.
    Taken,
    /// Events were passed and the cursor saved: applied, or left to wait behind a parked one.
    Applied {
        /// How many.
        events: usize,
        /// Where the subscription stands now.
        cursor: Cursor,
    },
    /// An event was parked and the cursor saved.
    Parked {
        /// The event.
        event: EventId,
        /// Where the subscription stands now.
        cursor: Cursor,
    },
    /// It was tried to apply parked events.
    Replayed {
        /// How many were applied.
        events: usize,
    },
    /// Events were fetched, or the feed goes on elsewhere: the next step goes on at once.
    Fetched,
    /// There is nothing new.
    CaughtUp,
    /// Another instance of this subscription has moved on, or an operator has changed it; the next step looks anew.
    Superseded,
    /// Another instance holds the subscription.
    Standby {
        /// How long it may count on being left alone.
        left: Duration,
    },
    /// The subscription is halted; an operator has to resume it.
    Halted,
    /// An operator has paused the subscription.
    Paused,
    /// The rebuilt read model has taken the place of the live one; there is nothing more to do.
    SwitchedOver,
    /// A partition stands where it is to stop, since the subscription is being split anew; others are not so far.
    Stopped,
    /// The subscription is split into another number of partitions from now on.
    Resized,
    /// This instance gave a partition back, since others have less than their share.
    Gave {
        /// Which.
        partition: u32,
    },
}

/// Follows the feed for one partition of a subscription, or for all of one that is not split.
pub(super) struct Worker {
    pub(super) part: Part,
    pub(super) store: Store,
    pub(super) feed_url: String,
    pub(super) options: ConsumerOptions,
    pub(super) rules: Arc<Rules>,
    pub(super) holder: HolderId,
    /// Made at the first step.
    pub(super) fetching: Option<Fetching>,
    /// None while it is not held.
    pub(super) held: Option<Held>,
    /// Verified events that wait to be applied.
    pub(super) fetched: VecDeque<Event>,
    /// What halts is tried once by each instance.
    pub(super) may_try_halted: bool,
    /// The last step replayed, so that the next one does not: live events go on meanwhile.
    replayed: bool,
    /// A cursor that was read before the partition was taken.
    #[cfg(feature = "faults")]
    pub(super) stale: Option<Cursor>,
}

impl Worker {
    /// The worker of `part` for the instance `consumer`.
    pub(super) fn new(consumer: &Consumer, part: Part, may_try_halted: bool) -> Self {
        Worker {
            part,
            store: consumer.store.clone(),
            feed_url: consumer.feed_url.clone(),
            options: consumer.options.clone(),
            rules: consumer.rules.clone(),
            holder: consumer.holder,
            fetching: None,
            held: None,
            fetched: VecDeque::new(),
            may_try_halted,
            replayed: false,
            #[cfg(feature = "faults")]
            stale: None,
        }
    }

    /// See [`Consumer::step`].
    pub(super) async fn step(&mut self) -> Result<StepOutcome, ConsumerError> {
        self.step_waiting(None).await
    }

    /// A step that asks the server to wait, while there is nothing new.
    pub(super) async fn step_waiting(
        &mut self,
        wait: Option<Duration>,
    ) -> Result<StepOutcome, ConsumerError> {
        let stepped = match &self.held {
            None => self.take().await,
            Some(held) if !held.begun => self.begin().await,
            Some(_) => self.work(wait).await,
        };
        match stepped {
            // Whoever does not hold it any more has nothing to say of it.
            Err(ConsumerError::Halted(halt)) if !self.halt(&halt).await? => {
                self.let_go();
                Ok(StepOutcome::Superseded)
            }
            stepped => stepped,
        }
    }

    async fn work(&mut self, wait: Option<Duration>) -> Result<StepOutcome, ConsumerError> {
        if self.held.as_ref().is_some_and(|held| held.unsure) {
            self.let_go();
            return Ok(StepOutcome::Superseded);
        }
        let replay = self.held.as_ref().and_then(Held::replay_in);
        if replay == Some(Duration::ZERO) && !self.replayed {
            self.replayed = true;
            return self.replay().await;
        }
        self.replayed = false;
        if self.held.as_ref().is_some_and(Held::stands_at_stop) {
            return self.resize().await;
        }
        if !self.fetched.is_empty() {
            return self.apply().await;
        }
        // Not longer than until a parked event has its turn; servers wait for whole seconds.
        let wait = wait.map(|wait| replay.map_or(wait, |replay| replay.min(wait)));
        self.fetch(wait.filter(|wait| wait.as_secs() > 0)).await
    }

    async fn fetch(&mut self, wait: Option<Duration>) -> Result<StepOutcome, ConsumerError> {
        let (Some(held), Some(fetching)) = (&mut self.held, &mut self.fetching) else {
            return Ok(StepOutcome::Superseded);
        };
        let keeper = Keeper {
            store: &self.store,
            part: &self.part,
            lease_for: self.options.lease,
        };
        let cursor = held.cursor;
        let fetch = async {
            let mut events = fetching.fetch(cursor, wait).await?;
            fetching.add_fetched(&mut events, BATCH_EVENTS_MAX).await;
            Ok::<_, ConsumerError>(events)
        };
        let Ok(fetched) = keeper.while_held(held, fetch).await else {
            self.let_go();
            return Ok(StepOutcome::Superseded);
        };
        self.fetched = fetched?.into();
        // A document without news is waited after, whatever it promises: else empty ones in a circle are a hot loop.
        let outcome = if self.fetched.is_empty() {
            StepOutcome::CaughtUp
        } else {
            StepOutcome::Fetched
        };
        if self.fetched.is_empty() {
            if let Some(switched) = self.switch_over().await? {
                return Ok(switched);
            }
            self.is_well().await?;
        }
        Ok(outcome)
    }

    /// The feed takes the cursor: what the row says of trouble is over. Where the head is another one than the row has, as
    /// after a restore or a false one, that is noted too.
    async fn is_well(&mut self) -> Result<(), ConsumerError> {
        let head = self.fetching.as_ref().and_then(Fetching::head);
        let is_noted = |held: &Held| !held.troubled && (head.is_none() || held.head == head);
        if self
            .held
            .as_ref()
            .is_none_or(|held| held.retrying || is_noted(held))
        {
            return Ok(());
        }
        let doing = Doing {
            state: SubscriptionState::Running,
            reason: None,
            failures: 0,
            next_try: None,
        };
        self.note(doing).await?;
        if let Some(held) = &mut self.held {
            held.troubled = false;
            held.head = head.or(held.head);
        }
        Ok(())
    }
}
