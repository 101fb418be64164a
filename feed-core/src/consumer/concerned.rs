//! Which events an operator's change concerns, and whether it may.

use super::operate::Touched;
use super::operator::{OperateError, Operator};
use super::partition::partition_of;
use super::state::EventState;
use super::storage::{self, events::Change, operators::Rows};
use crate::error::StoreError;
use crate::event::{Event, EventId, SubscriptionName};
use crate::limits::PARTITIONS_MAX;
use crate::store::Tx;

/// The event at which a partition is stuck: it is retried, and comes next.
pub(super) async fn stuck(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    which: Rows,
) -> Result<(u32, Event), OperateError> {
    let retried =
        storage::events::list(tx, name, Some(EventState::Retrying), 0, PARTITIONS_MAX).await?;
    let mut stuck = Vec::new();
    for row in storage::find_all(tx, name).await? {
        let subscription = row.subscription;
        let next = subscription
            .cursor
            .map_or(0, |cursor| cursor.position.get())
            + 1;
        let found = retried.iter().find(|kept| {
            let owner = partition_of(&kept.ordering_key, subscription.partitions);
            kept.event.position.get() == next && owner == row.number
        });
        if let Some(kept) = found.filter(|_| which.contain(row.number)) {
            stuck.push((row.number, kept.event.clone()));
        }
    }
    let more = stuck.len() > 1;
    match stuck.into_iter().next() {
        Some(_) if more => Err(OperateError::SeveralStuck(name.clone())),
        Some(stuck) => Ok(stuck),
        None => Err(OperateError::NotStuck(name.clone())),
    }
}

/// The event with this id, if it can be retried.
pub(super) async fn to_retry(
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

pub(super) async fn drop_one(
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

pub(super) async fn drop_event(
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
