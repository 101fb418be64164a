//! One step of the consumer: take the subscription, fetch what comes next, apply what was fetched, or replay what was
//! parked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::apply::Rules;
use super::error::ConsumerError;
use super::fetching::Fetching;
use super::held::{Held, Keeper};
use super::lease::HolderId;
use super::options::ConsumerOptions;
use super::state::SubscriptionState;
use super::storage::Doing;
use crate::event::{Event, EventId, SubscriptionName};
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
}

/// Follows one feed for one subscription.
///
/// Of several instances one holds the subscription; the others stand by. What it applies, what it parks and where it
/// stands is committed in one transaction, guarded by a compare-and-set (invariants I7 to I10).
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
    pub(super) holder: HolderId,
    /// Made at the first step.
    pub(super) fetching: Option<Fetching>,
    /// None while it is not held.
    pub(super) held: Option<Held>,
    /// Verified events that wait to be applied.
    pub(super) fetched: VecDeque<Event>,
    /// A halted subscription is tried once by each instance.
    pub(super) may_try_halted: bool,
    /// The last step replayed, so that the next one does not: live events go on meanwhile.
    replayed: bool,
    /// A cursor that was read before the subscription was taken.
    #[cfg(feature = "faults")]
    pub(super) stale: Option<Cursor>,
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
            fetching: None,
            held: None,
            fetched: VecDeque::new(),
            may_try_halted: true,
            replayed: false,
            #[cfg(feature = "faults")]
            stale: None,
        }
    }

    /// Does one thing: takes the subscription, fetches what comes next, applies a batch of what was fetched, or replays
    /// what was parked.
    ///
    /// # Errors
    /// See [`ConsumerError`]; transient ones are worth another step. After [`ConsumerError::Halted`] the reason stands
    /// in the database, and further steps do nothing until an operator has resumed the subscription.
    pub async fn step(&mut self) -> Result<StepOutcome, ConsumerError> {
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
            name: &self.name,
            lease_for: self.options.lease,
        };
        let cursor = held.cursor;
        let Ok(fetched) = keeper.while_held(held, fetching.fetch(cursor, wait)).await else {
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
