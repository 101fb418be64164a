//! Rebuilding a read model beside the live one: a second subscription fills it from the start, and takes the live one's
//! place at a moment at which both stand at the same event.

use std::future::Future;
use std::pin::Pin;

use super::apply::{Batch, BatchError};
use super::error::ConsumerError;
use super::handler_error::HandlerError;
use super::instance::Consumer;
use super::ordering::OrderingKey;
use super::partition::Part;
use super::step::{StepOutcome, Worker};
use super::storage;
use crate::error::{InvalidValue, StoreError};
use crate::event::{Event, SubscriptionName};
use crate::position::Cursor;
use crate::store::Tx;

type Switching<'a> = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + 'a>>;

trait Switch: Send + Sync {
    fn switch<'a>(&'a self, tx: &'a mut Tx<'_>) -> Switching<'a>;
}

struct By<S>(S);

impl<S> Switch for By<S>
where
    S: AsyncFn(&mut Tx<'_>) -> Result<(), HandlerError> + Send + Sync,
{
    fn switch<'a>(&'a self, tx: &'a mut Tx<'_>) -> Switching<'a> {
        Box::pin((self.0)(tx))
    }
}

/// What a rebuild follows, and what it does at its end.
pub(super) struct Rebuild {
    live: SubscriptionName,
    switch: Box<dyn Switch>,
}

impl std::fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rebuild of {}", self.live)
    }
}

impl Consumer {
    /// Makes this a rebuild of what the subscription `live` has made: it never overtakes it, and at a moment at which both
    /// stand at the same event, `switch` runs in a transaction in which neither moves. With that this subscription is
    /// over, and is taken away; the steps of all its instances say [`StepOutcome::SwitchedOver`]. One that is made later
    /// rebuilds once more.
    ///
    /// Its handlers write beside what is in use, for example rows of another generation; `switch` makes those the ones
    /// that are read, and that `live` goes on writing. As long as `live` has parked events there is no switch, since they
    /// would be applied twice. The whole feed is the ordering key: an event that cannot be applied halts the rebuild.
    ///
    /// # Errors
    /// When the name cannot be used.
    ///
    /// # Panics
    /// While a batch is being applied.
    pub fn rebuild_of<S>(self, live: &str, switch: S) -> Result<Self, InvalidValue>
    where
        S: AsyncFn(&mut Tx<'_>) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        let live = SubscriptionName::new(live)?;
        Ok(self.with_rules(|rules| {
            rules.ordering = OrderingKey::Feed;
            rules.rebuild = Some(Rebuild {
                live,
                switch: Box::new(By(switch)),
            });
        }))
    }
}

impl Worker {
    /// Takes the live one's place if both stand at the same event; none when this is no rebuild, or it is not so far.
    pub(super) async fn switch_over(&mut self) -> Result<Option<StepOutcome>, ConsumerError> {
        let Some(held) = self.held.as_ref().filter(|_| self.rules.rebuild.is_some()) else {
            return Ok(None);
        };
        let (rules, part, lease, lease_for) = (
            self.rules.clone(),
            self.part.clone(),
            held.lease,
            self.options.lease,
        );
        let cursor = held.cursor;
        let switched: Result<bool, BatchError> = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let Some(rebuild) = &rules.rebuild else {
                    return Ok(false);
                };
                if !storage::renew(tx, &part, &lease, lease_for).await? {
                    return Err(BatchError::Superseded);
                }
                rebuild.switch_if_at(tx, &part.name, cursor).await
            })
            .await;
        match switched {
            Ok(true) => {
                self.let_go();
                Ok(Some(StepOutcome::SwitchedOver))
            }
            Ok(false) => Ok(None),
            Err(BatchError::Superseded) => {
                self.let_go();
                Ok(Some(StepOutcome::Superseded))
            }
            Err(BatchError::Store(error)) => Err(error.into()),
            Err(BatchError::Switch(source)) => Err(ConsumerError::switch(source)),
            // Switching over runs no handler.
            Err(BatchError::Handler { source, .. }) => {
                Err(StoreError::Panicked(source.to_string()).into())
            }
        }
    }
}

impl Rebuild {
    /// How many of the events all partitions of the live subscription have passed.
    pub(super) async fn limit(
        &self,
        tx: &mut Tx<'_>,
        events: &[Event],
    ) -> Result<usize, StoreError> {
        let stands = self.stands(tx).await?.into_iter();
        let live = stands
            .map(|cursor| cursor.map_or(0, |cursor| cursor.position.get()))
            .min()
            .unwrap_or(0);
        Ok(events
            .iter()
            .take_while(|event| event.position.get() <= live)
            .count())
    }

    /// Where the partitions of the live subscription stand.
    async fn stands(&self, tx: &mut Tx<'_>) -> Result<Vec<Option<Cursor>>, StoreError> {
        let live = storage::find_all(tx, &self.live).await?;
        Ok(live
            .into_iter()
            .map(|row| row.subscription.cursor)
            .collect())
    }

    /// Switches over if all partitions of the live subscription stand at `cursor` and nothing of it is parked. The caller's transaction
    /// holds the rebuild's row.
    pub(super) async fn switch_if_at(
        &self,
        tx: &mut Tx<'_>,
        name: &SubscriptionName,
        cursor: Option<Cursor>,
    ) -> Result<bool, BatchError> {
        // Changes nothing but keeps the live subscription from moving until the end of the transaction.
        let stays = storage::operators::touch(tx, &self.live).await?;
        if !stays || cursor.is_none() {
            return Ok(false);
        }
        if self
            .stands(tx)
            .await?
            .iter()
            .any(|stands| *stands != cursor)
        {
            return Ok(false);
        }
        let live = Part::whole(&self.live);
        if storage::events::blocked(tx, &live).await?.events > 0 {
            return Ok(false);
        }
        let switched = self.switch.switch(tx).await;
        switched.map_err(BatchError::Switch)?;
        // A batch of the live one that is under way, on a store with several writers, may not commit any more: it would
        // write what is not read from here on.
        storage::operators::take_fence(tx, &self.live).await?;
        storage::operators::remove(tx, name).await?;
        Ok(true)
    }
}

impl Batch {
    /// At the end of a rebuild's batch: takes the live one's place if that stands at the same event.
    pub(super) async fn end_rebuild(
        &self,
        tx: &mut Tx<'_>,
        cursor: Cursor,
    ) -> Result<bool, BatchError> {
        match &self.rules.rebuild {
            Some(rebuild) => {
                rebuild
                    .switch_if_at(tx, &self.part.name, Some(cursor))
                    .await
            }
            None => Ok(false),
        }
    }
}
