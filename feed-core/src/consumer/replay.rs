//! Replaying what was parked: key by key, in order, while live events of other keys go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::apply::{BatchError, Rules};
use super::backoff;
use super::error::{ConsumerError, EventName};
use super::handler::Answers;
use super::handler_error::{HandlerError, HandlerErrorKind};
use super::lease::Lease;
use super::partition::Part;
use super::state::EventState;
use super::step::{StepOutcome, Worker};
use super::storage::{self, events::Change};
use super::subscription::SubscriptionEvent;
use crate::error::StoreError;
use crate::faults::{Bug, Point, at, planted, wall_clock};
use crate::limits::{
    BACKOFF_MS_MAX, BATCH_MS_MAX, LASTING_TRIES_MAX, REPLAYED_EVENTS_MAX, RETRY_AFTER_MS_MAX,
};
use crate::store::{Store, Tx};

/// Events of one key that have their turn.
#[derive(Clone)]
struct Turn {
    part: Part,
    lease: Lease,
    lease_for: Duration,
    key: String,
    events: Arc<[SubscriptionEvent]>,
    rules: Arc<Rules>,
    /// What the calls of the first event's handlers were answered.
    answers: Option<Arc<Answers>>,
}

/// What became of a turn.
struct Replayed {
    events: usize,
    /// Whether the key has more.
    left: bool,
}

/// What is to be replayed next.
enum Due {
    Nothing,
    Later(Duration),
    Now(String, Vec<SubscriptionEvent>),
}

impl Worker {
    /// Tries to apply the parked events of the key whose turn it is.
    pub(super) async fn replay(&mut self) -> Result<StepOutcome, ConsumerError> {
        let (key, events) = match self.due().await? {
            Due::Now(key, events) => (key, events),
            Due::Later(wait) => {
                self.replay_in(Some(wait));
                return Ok(StepOutcome::Replayed { events: 0 });
            }
            Due::Nothing => {
                self.replay_in(None);
                return Ok(StepOutcome::Replayed { events: 0 });
            }
        };
        let Some(mut turn) = self.turn(key, events) else {
            return Ok(StepOutcome::Superseded);
        };
        if let Some(first) = turn
            .events
            .first()
            .filter(|first| self.rules.handlers.calls(&first.event))
        {
            let event = first.event.clone();
            match self.call(&event).await {
                Some(Ok(answers)) => turn.answers = Some(Arc::new(answers)),
                Some(Err(source)) => return self.replay_failed(&turn, source).await,
                None => {
                    self.let_go();
                    return Ok(StepOutcome::Superseded);
                }
            }
        }
        self.unsure(true);
        let applied = turn.apply_good(&self.store).await;
        self.unsure(matches!(applied, Err(BatchError::Store(_))));
        match applied {
            Ok(replayed) => Ok(self.replayed(&turn, &replayed)),
            Err(BatchError::Superseded) => {
                self.let_go();
                Ok(StepOutcome::Superseded)
            }
            Err(BatchError::Store(error)) => Err(error.into()),
            Err(BatchError::Switch(source)) => Err(ConsumerError::switch(source)),
            Err(BatchError::Handler { source, .. }) => self.replay_failed(&turn, source).await,
        }
    }

    async fn due(&self) -> Result<Due, StoreError> {
        let part = self.part.clone();
        self.store
            .read(async move |tx: &mut Tx<'_>| {
                let Some((key, due)) = storage::events::due_key(tx, &part).await? else {
                    return Ok::<_, StoreError>(Due::Nothing);
                };
                let wait = (due - tx.now()).to_std().unwrap_or_default();
                // Further away than any wait that is ever noted: the clock was set back since.
                let jumped = wait > Duration::from_millis(RETRY_AFTER_MS_MAX.max(BACKOFF_MS_MAX));
                if !wait.is_zero() && !jumped {
                    return Ok(Due::Later(wait));
                }
                let events =
                    storage::events::of_key(tx, &part.name, &key, REPLAYED_EVENTS_MAX).await?;
                Ok(Due::Now(key, events))
            })
            .await
    }

    fn turn(&self, key: String, events: Vec<SubscriptionEvent>) -> Option<Turn> {
        let held = self.held.as_ref()?;
        let calls = |kept: &SubscriptionEvent| self.rules.handlers.calls(&kept.event);
        let mut events: Vec<SubscriptionEvent> = events
            .into_iter()
            .enumerate()
            // An event for which another system is called begins a turn.
            .take_while(|(index, kept)| *index == 0 || !calls(kept))
            .map(|(_, kept)| kept)
            .collect();
        if planted(Bug::ReplayNewestFirst) {
            events.reverse();
        }
        Some(Turn {
            part: self.part.clone(),
            lease: held.lease,
            lease_for: self.options.lease,
            key,
            events: events.into(),
            rules: self.rules.clone(),
            answers: None,
        })
    }

    fn replayed(&mut self, turn: &Turn, replayed: &Replayed) -> StepOutcome {
        if let Some(held) = &mut self.held {
            held.parked = held.parked.saturating_sub(replayed.events);
            if !replayed.left {
                Arc::make_mut(&mut held.blocked).remove(&turn.key);
            }
        }
        tracing::info!(subscription = %self.part, key = turn.key, events = replayed.events, left = replayed.left, "replayed");
        StepOutcome::Replayed {
            events: replayed.events,
        }
    }

    /// The first event of the turn failed again: it is tried later, or parked again.
    async fn replay_failed(
        &mut self,
        turn: &Turn,
        source: HandlerError,
    ) -> Result<StepOutcome, ConsumerError> {
        let Some(first) = turn.events.first() else {
            return Ok(StepOutcome::Replayed { events: 0 });
        };
        let attempts = first.attempts + 1;
        let again = match source.kind() {
            HandlerErrorKind::Transient => true,
            HandlerErrorKind::Lasting => attempts < LASTING_TRIES_MAX,
            HandlerErrorKind::Permanent => false,
        };
        let wait = backoff::after_failure(
            attempts,
            rand::random(),
            self.options.backoff_max,
            source.wait(),
        );
        let (state, next_try) = if again {
            (EventState::Replaying, Some(wall_clock() + wait))
        } else {
            (EventState::Parked, None)
        };
        tracing::warn!(subscription = %self.part, event = %EventName::of(&first.event), attempts, error = %source,
            %state, "could not be replayed");
        if !self.note_failure(turn, state, next_try, &source).await? {
            self.let_go();
            return Ok(StepOutcome::Superseded);
        }
        Ok(StepOutcome::Replayed { events: 0 })
    }

    async fn note_failure(
        &self,
        turn: &Turn,
        state: EventState,
        next_try: Option<DateTime<Utc>>,
        source: &HandlerError,
    ) -> Result<bool, StoreError> {
        let (turn, error) = (turn.clone(), source.to_string());
        self.store
            .write(async move |tx: &mut Tx<'_>| {
                let Some(first) = turn.events.first() else {
                    return Ok(false);
                };
                let held = storage::renew(tx, &turn.part, &turn.lease, turn.lease_for).await?;
                if held {
                    let change = Change {
                        error: Some(&error),
                        next_try,
                        dropped: None,
                    };
                    storage::events::change(tx, &turn.part.name, first.event.id, state, &change)
                        .await?;
                }
                Ok::<_, StoreError>(held)
            })
            .await
    }

    fn unsure(&mut self, unsure: bool) {
        if let Some(held) = &mut self.held {
            held.unsure = unsure;
        }
    }

    fn replay_in(&mut self, wait: Option<Duration>) {
        if let Some(held) = &mut self.held {
            held.replay_at = wait.map(|wait| tokio::time::Instant::now() + wait);
        }
    }
}

impl Turn {
    /// Applies as many of the events as are good, from the first on; fails only if the first does.
    async fn apply_good(&self, store: &Store) -> Result<Replayed, BatchError> {
        let mut limit = self.events.len();
        loop {
            let turn = self.clone();
            let applied: Result<Replayed, BatchError> = store
                .write(async move |tx: &mut Tx<'_>| turn.apply_in(tx, limit).await)
                .await;
            match applied {
                Err(BatchError::Handler { index, .. }) if index > 0 => limit = index,
                applied => return applied,
            }
        }
    }

    async fn apply_in(&self, tx: &mut Tx<'_>, limit: usize) -> Result<Replayed, BatchError> {
        // This is what guards the transaction: the row is changed only while it is held.
        if !storage::renew(tx, &self.part, &self.lease, self.lease_for).await? {
            return Err(BatchError::Superseded);
        }
        let began = Instant::now();
        let (mut events, mut unhandled) = (0, 0);
        for (index, kept) in self.events.iter().take(limit).enumerate() {
            let run = std::slice::from_ref(&kept.event);
            let answers = self.answers.as_deref().filter(|_| index == 0);
            let applied = self
                .rules
                .handlers
                .apply(tx, &self.part.name, run, answers)
                .await;
            unhandled += applied.map_err(|failed| BatchError::Handler {
                index,
                count: 1,
                source: failed.source,
            })?;
            #[cfg(feature = "faults")]
            crate::faults::note_applied(
                tx,
                &self.part.name,
                self.lease.fence,
                &self.lease.holder,
                run,
            )
            .await?;
            storage::events::remove(tx, &self.part.name, kept.event.id).await?;
            events += 1;
            if began.elapsed() >= Duration::from_millis(BATCH_MS_MAX) {
                break;
            }
        }
        if unhandled > 0 {
            storage::count_unhandled(tx, &self.part, unhandled).await?;
        }
        let left = storage::events::next_of_key(tx, &self.part.name, &self.key).await?;
        at(Point::Replayed);
        Ok(Replayed { events, left })
    }
}
