//! What operators change: pause, resume, reset, retry, drop, skip. Each change takes the next fence, so that whoever holds
//! the subscription looks anew before it commits anything further (invariant I9).

use super::concerned::{drop_event, drop_one, stuck, to_retry};
use super::operator::{Changed, Chosen, Mode, OperateError, Operator};
use super::partition::Part;
use super::resizing;
use super::state::{EventState, SubscriptionState};
use super::storage::{self, events::Change, operators::Rows};
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
    /// Which partitions pausing, resuming and skipping are about.
    pub(super) rows: Rows,
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
            rows: Rows::All,
        })
    }

    /// The subscriptions in this database, by name; each with all its partitions together.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        let rows: Vec<Subscription> = self.query(storage::ALL, &[]).await?;
        let by_name = rows.chunk_by(|a, b| a.name == b.name);
        Ok(by_name.filter_map(Subscription::whole).collect())
    }
}

/// A change, within its transaction. Tells which events it touched, and how many it made forget.
pub(super) type Touched = Result<(Vec<EventId>, u64), OperateError>;

impl SubscriptionHandle {
    /// Its name.
    pub fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// The same subscription, and only this partition of it where that makes a difference: for its status, for pausing,
    /// resuming and skipping. Whether there is one is found out by that.
    #[must_use]
    pub fn partition(&self, number: u32) -> Self {
        SubscriptionHandle {
            rows: Rows::One(number),
            ..self.clone()
        }
    }

    /// How it is doing, all its partitions together; none when this database does not have it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn status(&self) -> Result<Option<Subscription>, StoreError> {
        Ok(Subscription::whole(&self.partitions().await?))
    }

    /// How each of its partitions is doing, by their numbers; one for a subscription that is not split, and none when this
    /// database does not have it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn partitions(&self) -> Result<Vec<Subscription>, StoreError> {
        let (name, which) = (self.name.clone(), self.rows);
        self.store
            .read(async move |tx: &mut Tx<'_>| rows(tx, &name, which).await)
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
        let (name, rows) = (self.name.clone(), self.rows);
        let reason = operator.sentence();
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, _: &Subscription| -> Touched {
                let paused = SubscriptionState::Paused;
                storage::operators::operate(tx, &name, rows, paused, Some(&reason)).await?;
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
        let (name, rows) = (self.name.clone(), self.rows);
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, _: &Subscription| -> Touched {
                if storage::operators::resume(tx, &name, rows).await? == 0 {
                    return Err(OperateError::Running(name.clone()));
                }
                Ok((Vec::new(), 0))
            },
        )
        .await
    }

    /// Puts the cursor elsewhere, of all partitions; none: before the first event. Kept events behind it are forgotten, since they will come
    /// again, and so is one that is retried; the others before it stay. Effects of events that come again happen again,
    /// unless the handlers see to it. A change of the number of partitions that waits is made, if none of them is paused.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn reset(&self, cursor: Option<Cursor>, mode: Mode) -> Result<Changed, OperateError> {
        let name = self.name.clone();
        if self.rows != Rows::All {
            return Err(OperateError::AllPartitions(name));
        }
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, _: &Subscription| -> Touched {
                storage::operators::operate_unless_paused(tx, &name, Rows::All).await?;
                storage::operators::put_cursor(tx, &name, cursor, None).await?;
                let position = cursor.map_or(0, |cursor| cursor.position.get());
                storage::inbox::forget_behind(tx, &name, position).await?;
                let forgotten = storage::events::forget_behind(tx, &name, position).await?;
                resizing::after_reset(tx, &name, position).await?;
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
            async move |tx: &mut Tx<'_>, _: &Subscription| -> Touched {
                storage::operators::operate_events(tx, &name).await?;
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
            async move |tx: &mut Tx<'_>, _: &Subscription| -> Touched {
                storage::operators::operate_events(tx, &name).await?;
                let keys = match &chosen {
                    Chosen::Event(id) => return drop_one(tx, &name, *id, &operator).await,
                    Chosen::Key(key) => vec![key.clone()],
                    Chosen::All => {
                        storage::events::blocked(tx, &Part::whole(&name))
                            .await?
                            .keys
                    }
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
        let (name, operator, which) = (self.name.clone(), operator.clone(), self.rows);
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, _: &Subscription| -> Touched {
                let (number, event) = stuck(tx, &name, which).await?;
                let row = Rows::One(number);
                storage::operators::operate_unless_paused(tx, &name, row).await?;
                storage::operators::pass(tx, &name, number, event.cursor(), event.recorded).await?;
                drop_event(tx, &name, event.id, &operator).await?;
                Ok((vec![event.id], 0))
            },
        )
        .await
    }

    /// Runs a change in one transaction and tells what it did.
    pub(super) async fn change<W>(&self, mode: Mode, work: W) -> Result<Changed, OperateError>
    where
        W: AsyncFn(&mut Tx<'_>, &Subscription) -> Touched + Send + Sync + 'static,
    {
        let (name, which) = (self.name.clone(), self.rows);
        let done = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                // Locks the row, so that what is decided by what it says stays true.
                storage::operators::touch(tx, &name).await?;
                let before = found(tx, &name, which).await?;
                let (ids, forgotten) = work(tx, &before).await?;
                let mut events = Vec::new();
                for id in ids {
                    events.extend(storage::events::find(tx, &name, id).await?);
                }
                events.sort_by_key(|kept| kept.event.position);
                let changed = Changed {
                    before,
                    after: found(tx, &name, which).await?,
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

async fn rows(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    which: Rows,
) -> Result<Vec<Subscription>, StoreError> {
    let rows = storage::find_all(tx, name).await?;
    let chosen = rows.into_iter().filter(|row| which.contain(row.number));
    Ok(chosen.map(|row| row.subscription).collect())
}

async fn found(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    which: Rows,
) -> Result<Subscription, OperateError> {
    if let Some(found) = Subscription::whole(&rows(tx, name, which).await?) {
        return Ok(found);
    }
    let there = storage::find_all(tx, name).await?.len() as u32;
    Err(match which {
        Rows::One(number) if there > 0 => {
            OperateError::UnknownPartition(name.clone(), number, there)
        }
        Rows::One(_) | Rows::All => OperateError::UnknownSubscription(name.to_string()),
    })
}
