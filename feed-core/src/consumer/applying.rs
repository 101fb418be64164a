//! The part of a step that applies: cuts batches, and decides what becomes of an event that failed.

use std::sync::Arc;

use tokio::time::Instant;

use super::apply::{Applied, Batch, BatchError, End};
use super::error::{ConsumerError, EventName, Halt};
use super::handler::Answers;
use super::handler_error::{HandlerError, HandlerErrorKind};
use super::held::{Held, Keeper};
use super::state::EventState;
use super::step::{StepOutcome, Worker};
use super::storage::{self, events::Kept};
use crate::error::StoreError;
use crate::event::Event;
use crate::faults::{Bug, planted};
use crate::limits::{BATCH_EVENTS_MAX, LASTING_TRIES_MAX};
use crate::store::Tx;

impl Worker {
    /// Applies a batch of what was fetched.
    pub(super) async fn apply(&mut self) -> Result<StepOutcome, ConsumerError> {
        let Some(batch) = self.next_batch()? else {
            self.let_go();
            return Ok(StepOutcome::Superseded);
        };
        let batch = match self.call_others(batch).await {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                self.let_go();
                return Ok(StepOutcome::Superseded);
            }
            Err((batch, source)) => return self.failed(batch, source).await,
        };
        match self.apply_good(&batch).await {
            Ok(Applied { switched: true, .. }) => {
                self.let_go();
                Ok(StepOutcome::SwitchedOver)
            }
            Ok(applied) => Ok(self.passed(&applied)),
            Err(BatchError::Superseded) => {
                self.let_go();
                Ok(StepOutcome::Superseded)
            }
            Err(BatchError::Store(error)) => Err(error.into()),
            Err(BatchError::Switch(source)) => Err(ConsumerError::switch(source)),
            Err(BatchError::Handler { source, .. }) => self.failed(batch, source).await,
        }
    }

    /// Applies as much of the batch as is good; fails only if its first event does.
    async fn apply_good(&self, batch: &Batch) -> Result<Applied, BatchError> {
        let mut batch = batch.clone();
        let mut limit = batch.events.len();
        loop {
            match batch.clone().apply(&self.store, limit).await {
                // Which of them is at fault is found out one by one.
                Err(BatchError::Handler { index, count, .. }) if count > 1 => {
                    batch.at_once = false;
                    limit = index + count;
                }
                // The events before the one that failed are good; it is met again as the first of the next batch.
                Err(BatchError::Handler { index, .. }) if index > 0 || batch.passes_others() => {
                    limit = index;
                }
                applied => return applied,
            }
        }
    }

    fn next_batch(&self) -> Result<Option<Batch>, Halt> {
        let Some(held) = &self.held else {
            return Ok(None);
        };
        let stop_at = held.stop_at.unwrap_or(u64::MAX);
        let coming = || {
            self.fetched
                .iter()
                .take_while(|event| event.position.get() <= stop_at)
        };
        let owns = |event: &Event| self.part.owns(&self.rules.ordering, event);
        let mut limit = BATCH_EVENTS_MAX;
        if !held.blocked.is_empty() {
            let room = self.options.parking.events.saturating_sub(held.parked);
            let first = coming().find(|event| owns(event));
            let blocked =
                first.filter(|first| held.blocked.contains(&self.rules.ordering.of(first)));
            if let (0, Some(event)) = (room, blocked) {
                return Err(too_much_parked(held, event));
            }
            limit = limit.min(room.max(1));
        }
        let about = limit.min(self.fetched.len());
        let (mut events, mut ends) = (Vec::with_capacity(about), vec![None]);
        for (index, event) in coming().enumerate() {
            if owns(event) {
                // An event for which another system is called begins a batch: all before it is committed by then.
                let begins = index > 0 && self.rules.handlers.calls(event);
                if events.len() == limit || begins {
                    break;
                }
                events.push(event.clone());
                ends.push(None);
            }
            if let Some(end) = ends.last_mut() {
                *end = Some(End {
                    cursor: event.cursor(),
                    recorded: event.recorded,
                    fetched: index + 1,
                });
            }
        }
        Ok(Some(Batch {
            part: self.part.clone(),
            lease: held.lease,
            lease_for: self.options.lease,
            from: held.cursor,
            head: self.fetching.as_ref().and_then(|fetching| fetching.head()),
            events: Arc::new(events),
            ends: Arc::new(ends),
            rules: self.rules.clone(),
            blocked: held.blocked.clone(),
            retried: held.retrying,
            answers: None,
            at_once: true,
        }))
    }

    /// Makes the calls of the first event's handlers; none when the subscription was lost meanwhile.
    async fn call_others(
        &mut self,
        mut batch: Batch,
    ) -> Result<Option<Batch>, (Batch, HandlerError)> {
        let first = batch.events.first().cloned();
        let calls = first.filter(|first| {
            self.rules.handlers.calls(first)
                && !batch.blocked.contains(&self.rules.ordering.of(first))
        });
        let Some(event) = calls else {
            return Ok(Some(batch));
        };
        match self.call(&event).await {
            Some(Ok(answers)) => {
                batch.answers = Some(Arc::new(answers));
                Ok(Some(batch))
            }
            Some(Err(source)) => Err((batch, source)),
            None => Ok(None),
        }
    }

    /// Makes the calls of an event's handlers, and keeps the lease meanwhile; none when it was lost.
    pub(super) async fn call(&mut self, event: &Event) -> Option<Result<Answers, HandlerError>> {
        let held = self.held.as_mut()?;
        let keeper = Keeper {
            store: &self.store,
            part: &self.part,
            lease_for: self.options.lease,
        };
        keeper
            .while_held(held, self.rules.handlers.call(event))
            .await
            .ok()
    }

    /// What follows from events that were passed.
    fn passed(&mut self, applied: &Applied) -> StepOutcome {
        // A rebuild that stands where the live subscription does waits for that.
        let Applied {
            events,
            fetched,
            cursor: Some(cursor),
            ..
        } = *applied
        else {
            return StepOutcome::CaughtUp;
        };
        if fetched == 0 {
            return StepOutcome::CaughtUp;
        }
        self.fetched.drain(..fetched.min(self.fetched.len()));
        let head = self.fetching.as_ref().and_then(|fetching| fetching.head());
        if let Some(held) = &mut self.held {
            held.cursor = Some(cursor);
            held.troubled = false;
            held.head = head.or(held.head);
            held.retrying &= events == 0;
            held.parked += applied.waiting;
            held.renewed = Instant::now();
            held.looked = held.renewed;
        }
        tracing::debug!(subscription = %self.part, events, unhandled = applied.unhandled, duplicates = applied.duplicates,
            waiting = applied.waiting, %cursor, "applied");
        StepOutcome::Applied { events, cursor }
    }

    /// The first event of the batch failed: it is retried, parked, or halts the subscription.
    async fn failed(
        &mut self,
        batch: Batch,
        source: HandlerError,
    ) -> Result<StepOutcome, ConsumerError> {
        let Some(event) = batch.events.first().cloned() else {
            return Err(StoreError::Panicked(source.to_string()).into());
        };
        let attempts = self.attempts(&event).await? + 1;
        let again = match source.kind() {
            HandlerErrorKind::Transient => !planted(Bug::TransientParks),
            HandlerErrorKind::Lasting => attempts < LASTING_TRIES_MAX,
            HandlerErrorKind::Permanent => false,
        };
        if again || self.rules.ordering.is_feed() {
            if !self.keep_retrying(&event, &source, attempts).await? {
                self.let_go();
                return Ok(StepOutcome::Superseded);
            }
            let name = EventName::of(&event);
            return Err(if again {
                ConsumerError::Handler {
                    event: name,
                    source,
                }
            } else {
                Halt::Poisoned {
                    event: name,
                    reason: source.to_string(),
                }
                .into()
            });
        }
        self.park(batch, &event, &source, attempts).await
    }

    async fn park(
        &mut self,
        batch: Batch,
        event: &Event,
        source: &HandlerError,
        attempts: u32,
    ) -> Result<StepOutcome, ConsumerError> {
        let key = self.rules.ordering.of(event);
        let limits = self.options.parking;
        if let Some(held) = &self.held
            && (held.blocked.len() >= limits.keys || held.parked >= limits.events)
        {
            return Err(too_much_parked(held, event).into());
        }
        match batch.park(&self.store, source.to_string(), attempts).await {
            Ok(applied) => {
                self.passed(&applied);
                if let Some(held) = self
                    .held
                    .as_mut()
                    .filter(|_| !planted(Bug::ParkWithoutCursor))
                {
                    Arc::make_mut(&mut held.blocked).insert(key);
                    held.parked += 1;
                }
                tracing::warn!(subscription = %self.part, event = %EventName::of(event), attempts, error = %source, "parked");
                Ok(StepOutcome::Parked {
                    event: event.id,
                    cursor: event.cursor(),
                })
            }
            Err(BatchError::Superseded) => {
                self.let_go();
                Ok(StepOutcome::Superseded)
            }
            Err(BatchError::Store(error)) => Err(error.into()),
            Err(BatchError::Switch(source)) => Err(ConsumerError::switch(source)),
            // Parking runs no handler.
            Err(BatchError::Handler { source, .. }) => {
                Err(StoreError::Panicked(source.to_string()).into())
            }
        }
    }

    async fn attempts(&self, event: &Event) -> Result<u32, StoreError> {
        let (name, id) = (self.part.name.clone(), event.id);
        self.store
            .read(async move |tx: &mut Tx<'_>| storage::events::attempts(tx, &name, id).await)
            .await
    }

    /// Notes that the event is retried, if the subscription is still held; the cursor stays before it.
    async fn keep_retrying(
        &mut self,
        event: &Event,
        source: &HandlerError,
        attempts: u32,
    ) -> Result<bool, StoreError> {
        let Some(held) = &mut self.held else {
            return Ok(false);
        };
        // Before it is so: a step that is dropped may have been committed.
        held.retrying = true;
        held.troubled = true;
        let (part, lease, lease_for) = (self.part.clone(), held.lease, self.options.lease);
        let (event, key, error) = (
            event.clone(),
            self.rules.ordering.of(event),
            source.to_string(),
        );
        self.store
            .write(async move |tx: &mut Tx<'_>| {
                let kept = Kept {
                    event: &event,
                    ordering_key: &key,
                    state: EventState::Retrying,
                    error: Some(&error),
                    attempts,
                    next_try: None,
                };
                let held = storage::renew(tx, &part, &lease, lease_for).await?;
                if held {
                    storage::events::keep(tx, &part.name, &kept).await?;
                }
                Ok::<_, StoreError>(held)
            })
            .await
    }
}

fn too_much_parked(held: &Held, event: &Event) -> Halt {
    Halt::TooMuchParked {
        keys: held.blocked.len(),
        events: held.parked,
        event: EventName::of(event),
    }
}
