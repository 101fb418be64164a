//! How a partition is taken, and how it is let go.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::error::{ConsumerError, Halt};
use super::fetching::Fetching;
use super::held::{Held, Keeper};
use super::lease::Lease;
use super::partition::Part;
use super::state::SubscriptionState;
use super::step::{StepOutcome, Worker};
use super::storage::{self, Advance, Doing, Stored, Taking, events::Blocked};
use crate::client::{ClientError, ClientOptions, FeedClient};
use crate::error::StoreError;
use crate::faults::{Point, at};
use crate::position::Cursor;
use crate::store::Tx;

impl Worker {
    /// Takes the partition, if nobody else holds it and it may be taken.
    pub(super) async fn take(&mut self) -> Result<StepOutcome, ConsumerError> {
        if self.fetching.is_none() {
            // By this name the producer tells how far behind this reader is.
            let options = ClientOptions {
                subscription: Some(self.part.reader()),
                ..self.options.client.clone()
            };
            let client = FeedClient::new(&self.feed_url, options)?;
            self.fetching = Some(Fetching::new(client));
        }
        if let Some(outcome) = self.look().await? {
            return Ok(outcome);
        }
        let (part, feed_url, holder) = (self.part.clone(), self.feed_url.clone(), self.holder);
        let (lease, halted_too) = (self.options.lease, self.may_try_halted);
        let taken: Option<(Stored, Blocked, bool)> = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let taking = Taking {
                    holder: &holder,
                    lease,
                    halted_too,
                    feed_url: &feed_url,
                };
                let Some(taken) = storage::take(tx, &part, &taking).await? else {
                    return Ok::<_, StoreError>(None);
                };
                let blocked = storage::events::blocked(tx, &part).await?;
                let retrying = storage::events::is_retrying(tx, &part).await?;
                Ok(Some((taken, blocked, retrying)))
            })
            .await?;
        let Some((taken, blocked, retrying)) = taken else {
            return Ok(StepOutcome::Superseded);
        };
        at(Point::Taken);
        self.hold(&taken, blocked, retrying);
        self.begin().await
    }

    /// Why the subscription cannot be taken now; none when it can.
    async fn look(&mut self) -> Result<Option<StepOutcome>, ConsumerError> {
        let part = self.part.clone();
        let (found, clock) = self
            .store
            .read(async move |tx: &mut Tx<'_>| {
                let clock = tx.lease_clock();
                Ok::<_, StoreError>((storage::find(tx, &part).await?, clock))
            })
            .await?;
        let Some(found) = found else {
            // Its row was there before: another instance has switched over, or this one has.
            return Ok(Some(if self.rules.rebuild.is_some() {
                StepOutcome::SwitchedOver
            } else {
                StepOutcome::Resized
            }));
        };
        if found.subscription.partitions != self.part.of {
            return Ok(Some(StepOutcome::Resized));
        }
        #[cfg(feature = "faults")]
        if self.stale.is_none() {
            self.stale = found.subscription.cursor;
        }
        match found.subscription.state {
            SubscriptionState::Paused => return Ok(Some(StepOutcome::Paused)),
            SubscriptionState::Halted if !self.may_try_halted => {
                return Ok(Some(StepOutcome::Halted));
            }
            SubscriptionState::Halted | SubscriptionState::Running | SubscriptionState::Waiting => {
            }
        }
        let others = found.lease.filter(|lease| lease.holder != self.holder);
        let left = others.map_or(Duration::ZERO, |lease| lease.left(&clock));
        Ok((!left.is_zero()).then_some(StepOutcome::Standby { left }))
    }

    fn hold(&mut self, taken: &Stored, blocked: Blocked, retrying: bool) {
        let subscription = &taken.subscription;
        self.may_try_halted = false;
        let cursor = subscription.cursor;
        #[cfg(feature = "faults")]
        let cursor = self
            .stale
            .take()
            .filter(|_| crate::faults::planted(crate::faults::Bug::StaleCursorOnTakeOver))
            .or(cursor);
        let now = Instant::now();
        self.held = Some(Held {
            lease: Lease {
                fence: subscription.fence,
                holder: self.holder,
            },
            cursor,
            stop_at: subscription.resizing.map(|resizing| resizing.stop_at),
            begun: false,
            troubled: subscription.state != SubscriptionState::Running
                || subscription.head.is_none(),
            head: subscription.head,
            blocked: Arc::new(blocked.keys.into_iter().collect()),
            parked: blocked.events,
            retrying,
            unsure: false,
            replay_at: blocked.replaying.then_some(now),
            renewed: now,
            looked: now,
        });
        tracing::info!(subscription = %self.part, fence = subscription.fence, cursor = ?subscription.cursor.map(|cursor| cursor.to_string()), "taken");
    }

    /// Resolves where a subscription begins that has no cursor yet, and saves that before anything is read.
    pub(super) async fn begin(&mut self) -> Result<StepOutcome, ConsumerError> {
        let (Some(held), Some(fetching)) = (&mut self.held, &self.fetching) else {
            return Ok(StepOutcome::Superseded);
        };
        if held.cursor.is_some() {
            held.begun = true;
            return Ok(StepOutcome::Taken);
        }
        let keeper = Keeper {
            store: &self.store,
            part: &self.part,
            lease_for: self.options.lease,
        };
        let resolving = fetching.client().resolve(self.options.start_at);
        let Ok(resolved) = keeper.while_held(held, resolving).await else {
            self.let_go();
            return Ok(StepOutcome::Superseded);
        };
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(ClientError::Refused { refusal, .. }) => {
                return Err(Halt::CursorRefused {
                    cursor: format!("{:?}", self.options.start_at),
                    reason: refusal.to_string(),
                }
                .into());
            }
            // Nothing is read before it is known from where on.
            Err(error) => return Err(error.into()),
        };
        let Some(cursor) = resolved else {
            held.begun = true;
            return Ok(StepOutcome::Taken);
        };
        let advance = Advance {
            from: None,
            to: cursor,
            recorded: None,
            head: None,
            events: 0,
            unhandled: 0,
            duplicates: 0,
        };
        let (part, lease, lease_for) = (self.part.clone(), held.lease, self.options.lease);
        let saved: Option<Option<Cursor>> = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                if part.of > 1 {
                    return begin_together(tx, &part, &lease, cursor).await;
                }
                let saved = storage::advance(tx, &part, &lease, lease_for, &advance).await?;
                Ok::<_, StoreError>(saved.then_some(Some(cursor)))
            })
            .await?;
        let Some(begins) = saved else {
            self.let_go();
            return Ok(StepOutcome::Superseded);
        };
        held.cursor = begins;
        held.begun = true;
        Ok(StepOutcome::Taken)
    }

    /// Notes how the subscription is doing, if it is still held. Returns whether it is.
    pub(super) async fn note(&self, doing: Doing<'_>) -> Result<bool, StoreError> {
        let Some(lease) = self.held.as_ref().map(|held| held.lease) else {
            return Ok(false);
        };
        let part = self.part.clone();
        let (state, failures, next_try) = (doing.state, doing.failures, doing.next_try);
        let reason = doing.reason.map(str::to_owned);
        let head = self.fetching.as_ref().and_then(Fetching::head);
        self.store
            .write(async move |tx: &mut Tx<'_>| {
                let reason = reason.as_deref();
                let doing = Doing {
                    state,
                    reason,
                    failures,
                    next_try,
                };
                let is_held = storage::note(tx, &part, &lease, &doing, head).await?;
                if let (true, Some(next_try)) = (is_held, next_try) {
                    storage::events::put_next_try(tx, &part, next_try).await?;
                }
                Ok(is_held)
            })
            .await
    }

    /// Writes down why the subscription halts, for operators, and lets it go. Returns whether it was still held.
    pub(super) async fn halt(&mut self, halt: &Halt) -> Result<bool, StoreError> {
        let reason = halt.to_string();
        let doing = Doing {
            state: SubscriptionState::Halted,
            reason: Some(&reason),
            failures: 0,
            next_try: None,
        };
        let is_noted = self.note(doing).await?;
        self.release().await?;
        Ok(is_noted)
    }

    /// Gives the lease back, so that another instance may take the subscription at once.
    pub(super) async fn release(&mut self) -> Result<(), StoreError> {
        let Some(held) = self.held.take() else {
            return Ok(());
        };
        self.let_go();
        let (part, lease) = (self.part.clone(), held.lease);
        self.store
            .write(async move |tx: &mut Tx<'_>| storage::release(tx, &part, &lease).await)
            .await
    }

    /// Forgets all that is not in the database: the next step looks anew.
    pub(super) fn let_go(&mut self) {
        self.held = None;
        self.fetched.clear();
        if let Some(fetching) = &mut self.fetching {
            fetching.start_over();
        }
    }
}

/// The partitions of a subscription begin at the same place: at `cursor`, if none has begun anywhere else. Returns where this
/// one begins; none when it is not held any more, or has a cursor by now.
async fn begin_together(
    tx: &mut Tx<'_>,
    part: &Part,
    lease: &Lease,
    cursor: Cursor,
) -> Result<Option<Option<Cursor>>, StoreError> {
    storage::operators::touch(tx, &part.name).await?;
    if storage::held_cursor(tx, part, lease).await? != Some(None) {
        return Ok(None);
    }
    // Where another one has a cursor and this one has none, all began at the start.
    let begun = storage::partitions::begin_at(tx, &part.name, cursor).await?;
    Ok(Some(begun.then_some(cursor)))
}
