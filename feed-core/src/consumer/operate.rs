//! What operators change: pause, resume, reset, retry, drop, skip. Each change takes the next fence, so that whoever holds
//! the subscription looks anew before it commits anything further (invariant I9).

use super::operator::{Changed, Chosen, Mode, OperateError, Operator};
use super::state::{EventState, SubscriptionState};
use super::storage::{self, events::Change};
use super::subscription::{Subscription, SubscriptionEvent};
use crate::error::{InvalidValue, StoreError};
use crate::event::{EventId, SubscriptionName};
use crate::position::Cursor;
use crate::store::{Store, Tx};

/// A subscription as operators see it. Cheap to clone.
#[derive(Clone)]
pub struct SubscriptionHandle {
    pub(super) store: Store,
    pub(super) name: SubscriptionName,
}

impl Store {
    /// The subscription with this name, to look at and to operate. Whether it exists is found out by that.
    ///
    /// # Errors
    /// When the name is not a valid one.
    pub fn subscription(&self, name: &str) -> Result<SubscriptionHandle, InvalidValue> {
        Ok(SubscriptionHandle {
            store: self.clone(),
            name: SubscriptionName::new(name)?,
        })
    }

    /// The subscriptions in this database, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        self.query(storage::ALL, &[]).await
    }
}

/// A change, within its transaction. Tells which events it touched, and how many it made forget.
type Touched = Result<(Vec<EventId>, u64), OperateError>;

impl SubscriptionHandle {
    /// Its name.
    pub fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// How it is doing; none when this database does not have it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn status(&self) -> Result<Option<Subscription>, StoreError> {
        let name = self.name.clone();
        self.store
            .read(async move |tx: &mut Tx<'_>| {
                let found = storage::find(tx, &name).await?;
                Ok::<_, StoreError>(found.map(|found| found.subscription))
            })
            .await
    }

    /// How many events are kept in each state; states without any are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn counts(&self) -> Result<Vec<(EventState, u64)>, StoreError> {
        let name = self.name.clone();
        self.store
            .read(async move |tx: &mut Tx<'_>| storage::events::counts(tx, &name).await)
            .await
    }

    /// Up to `limit` of the events that were not simply applied, behind the position `after`, in `state` or in any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(
        &self,
        state: Option<EventState>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<SubscriptionEvent>, StoreError> {
        let name = self.name.clone();
        self.store
            .read(async move |tx: &mut Tx<'_>| {
                storage::events::list(tx, &name, state, after, limit).await
            })
            .await
    }

    /// What is kept of an event; none when nothing is: it was applied, or not read yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn event(&self, id: EventId) -> Result<Option<SubscriptionEvent>, StoreError> {
        let name = self.name.clone();
        self.store
            .read(async move |tx: &mut Tx<'_>| storage::events::find(tx, &name, id).await)
            .await
    }

    /// Stops it, whoever holds it, until it is resumed.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn pause(&self, operator: &Operator, mode: Mode) -> Result<Changed, OperateError> {
        let name = self.name.clone();
        let reason = operator.sentence();
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, _: &Subscription| -> Touched {
                storage::operators::operate(tx, &name, SubscriptionState::Paused, Some(&reason))
                    .await?;
                Ok((Vec::new(), 0))
            },
        )
        .await
    }

    /// Lets it go on: from a pause, after a halt, or at once instead of after its wait.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn resume(&self, mode: Mode) -> Result<Changed, OperateError> {
        let name = self.name.clone();
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, before: &Subscription| -> Touched {
                if before.state == SubscriptionState::Running {
                    return Err(OperateError::Running(name.clone()));
                }
                storage::operators::operate(tx, &name, SubscriptionState::Running, None).await?;
                Ok((Vec::new(), 0))
            },
        )
        .await
    }

    /// Puts the cursor elsewhere; none: before the first event. Kept events behind it are forgotten, since they will come
    /// again, and so is one that is retried; the others before it stay. Effects of events that come again happen again,
    /// unless the handlers see to it.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn reset(&self, cursor: Option<Cursor>, mode: Mode) -> Result<Changed, OperateError> {
        let name = self.name.clone();
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, before: &Subscription| -> Touched {
                storage::operators::operate(tx, &name, stays_paused(before), paused_reason(before))
                    .await?;
                storage::operators::put_cursor(tx, &name, cursor, None).await?;
                let position = cursor.map_or(0, |cursor| cursor.position.get());
                storage::inbox::forget_behind(tx, &name, position).await?;
                let forgotten = storage::events::forget_behind(tx, &name, position).await?;
                Ok((Vec::new(), forgotten))
            },
        )
        .await
    }

    /// Lets parked events be applied: each key's parked one is tried, then those that wait behind it.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn retry(&self, chosen: Chosen, mode: Mode) -> Result<Changed, OperateError> {
        let name = self.name.clone();
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, before: &Subscription| -> Touched {
                storage::operators::operate(tx, &name, before.state, before.reason.as_deref())
                    .await?;
                let ids = match &chosen {
                    Chosen::Event(id) => vec![to_retry(tx, &name, *id).await?],
                    Chosen::Key(key) => {
                        let events = storage::events::of_key(tx, &name, key, 1).await?;
                        let first = events
                            .first()
                            .ok_or_else(|| OperateError::UnknownKey(key.clone(), name.clone()))?;
                        vec![first.event.id]
                    }
                    Chosen::All => storage::events::parked(tx, &name).await?,
                };
                for id in &ids {
                    storage::events::change(
                        tx,
                        &name,
                        *id,
                        EventState::Replaying,
                        &Change::default(),
                    )
                    .await?;
                }
                Ok((ids, 0))
            },
        )
        .await
    }

    /// Takes parked or waiting events out: they are not applied. What waited behind them has its turn.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn drop_events(
        &self,
        chosen: Chosen,
        operator: &Operator,
        mode: Mode,
    ) -> Result<Changed, OperateError> {
        let (name, operator) = (self.name.clone(), operator.clone());
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, before: &Subscription| -> Touched {
                storage::operators::operate(tx, &name, before.state, before.reason.as_deref())
                    .await?;
                let keys = match &chosen {
                    Chosen::Event(id) => return drop_one(tx, &name, *id, &operator).await,
                    Chosen::Key(key) => vec![key.clone()],
                    Chosen::All => storage::events::blocked(tx, &name).await?.keys,
                };
                let mut ids = Vec::new();
                for key in keys {
                    let events = storage::events::of_key(tx, &name, &key, usize::MAX >> 1).await?;
                    if events.is_empty() {
                        return Err(OperateError::UnknownKey(key, name.clone()));
                    }
                    for kept in events {
                        drop_event(tx, &name, kept.event.id, &operator).await?;
                        ids.push(kept.event.id);
                    }
                }
                Ok((ids, 0))
            },
        )
        .await
    }

    /// Leaves out the event at which it is stuck: the cursor passes it, and it is kept as dropped.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn skip(&self, operator: &Operator, mode: Mode) -> Result<Changed, OperateError> {
        let (name, operator) = (self.name.clone(), operator.clone());
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, before: &Subscription| -> Touched {
                let after = before.cursor.map_or(0, |cursor| cursor.position.get());
                let stuck =
                    storage::events::list(tx, &name, Some(EventState::Retrying), after, 1).await?;
                let next = stuck
                    .into_iter()
                    .next()
                    .filter(|stuck| stuck.event.position.get() == after + 1);
                let event = next
                    .ok_or_else(|| OperateError::NotStuck(name.clone()))?
                    .event;
                storage::operators::operate(tx, &name, stays_paused(before), paused_reason(before))
                    .await?;
                storage::operators::pass(tx, &name, event.cursor(), event.recorded).await?;
                drop_event(tx, &name, event.id, &operator).await?;
                Ok((vec![event.id], 0))
            },
        )
        .await
    }

    /// Runs a change in one transaction and tells what it did.
    async fn change<W>(&self, mode: Mode, work: W) -> Result<Changed, OperateError>
    where
        W: AsyncFn(&mut Tx<'_>, &Subscription) -> Touched + Send + Sync + 'static,
    {
        let name = self.name.clone();
        let done = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                // Locks the row, so that what is decided by what it says stays true.
                storage::operators::touch(tx, &name).await?;
                let before = found(tx, &name).await?;
                let (ids, forgotten) = work(tx, &before).await?;
                let mut events = Vec::new();
                for id in ids {
                    events.extend(storage::events::find(tx, &name, id).await?);
                }
                events.sort_by_key(|kept| kept.event.position);
                let changed = Changed {
                    before,
                    after: found(tx, &name).await?,
                    events,
                    forgotten,
                };
                match mode {
                    Mode::Do => Ok(changed),
                    Mode::DryRun => Err(OperateError::Rehearsed(Box::new(changed))),
                }
            })
            .await;
        match done {
            Err(OperateError::Rehearsed(changed)) => Ok(*changed),
            done => done,
        }
    }
}

fn stays_paused(before: &Subscription) -> SubscriptionState {
    match before.state {
        SubscriptionState::Paused => SubscriptionState::Paused,
        _ => SubscriptionState::Running,
    }
}

fn paused_reason(before: &Subscription) -> Option<&str> {
    let paused = before.state == SubscriptionState::Paused;
    before.reason.as_deref().filter(|_| paused)
}

async fn found(tx: &mut Tx<'_>, name: &SubscriptionName) -> Result<Subscription, OperateError> {
    let found = storage::find(tx, name).await?;
    let unknown = || OperateError::UnknownSubscription(name.to_string());
    Ok(found.ok_or_else(unknown)?.subscription)
}

/// The event with this id, if it can be retried.
async fn to_retry(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    id: EventId,
) -> Result<EventId, OperateError> {
    let unknown = || OperateError::UnknownEvent(id, name.clone());
    let kept = storage::events::find(tx, name, id)
        .await?
        .ok_or_else(unknown)?;
    let help = match kept.state {
        EventState::Parked | EventState::Replaying => return Ok(id),
        EventState::Waiting => {
            let first = storage::events::of_key(tx, name, &kept.ordering_key, 1).await?;
            let first = first.first().map_or(id, |first| first.event.id);
            format!("retry or drop the one before it, {first}, and it follows")
        }
        EventState::Retrying => {
            "it is tried again by itself; resume the subscription to have that at once".to_owned()
        }
        EventState::Dropped => {
            "what was dropped is not applied; reset the subscription to read it again".to_owned()
        }
    };
    Err(OperateError::State {
        id,
        state: kept.state,
        help,
    })
}

async fn drop_one(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    id: EventId,
    operator: &Operator,
) -> Touched {
    let unknown = || OperateError::UnknownEvent(id, name.clone());
    let kept = storage::events::find(tx, name, id)
        .await?
        .ok_or_else(unknown)?;
    let help = match kept.state {
        EventState::Parked | EventState::Waiting | EventState::Replaying => {
            drop_event(tx, name, id, operator).await?;
            storage::events::next_of_key(tx, name, &kept.ordering_key).await?;
            return Ok((vec![id], 0));
        }
        EventState::Retrying => "the cursor stands before it; skip it instead",
        EventState::Dropped => "there is nothing to do",
    };
    Err(OperateError::State {
        id,
        state: kept.state,
        help: help.to_owned(),
    })
}

async fn drop_event(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    id: EventId,
    operator: &Operator,
) -> Result<(), StoreError> {
    let change = Change {
        error: None,
        next_try: None,
        dropped: Some((&operator.name, &operator.why)),
    };
    storage::events::change(tx, name, id, EventState::Dropped, &change).await
}
