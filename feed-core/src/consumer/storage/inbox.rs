//! The inbox: ids of the events that were passed last.

use crate::error::StoreError;
use crate::event::{Event, SubscriptionName};
use crate::limits::INBOX_EVENTS_MAX;
use crate::store::Tx;

/// Notes the event's id. Returns whether it is new.
pub(in crate::consumer) async fn is_new(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    event: &Event,
) -> Result<bool, StoreError> {
    let inserted = tx
        .execute(
            "INSERT INTO inbox (subscription, event_id, position) VALUES ($1, $2, $3)
             ON CONFLICT (subscription, event_id) DO NOTHING",
            &[
                name.as_str().into(),
                (&event.id).into(),
                (event.position.get() as i64).into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Forgets what lies further back than an inbox keeps behind `position`: that of the partition that is least far, since the
/// inbox is one for all of them.
pub(in crate::consumer) async fn trim(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    position: u64,
) -> Result<(), StoreError> {
    let oldest = position.saturating_sub(INBOX_EVENTS_MAX) as i64;
    tx.execute(
        "DELETE FROM inbox WHERE subscription = $1 AND position <= $2",
        &[name.as_str().into(), oldest.into()],
    )
    .await
    .map(drop)
}

/// Forgets what lies behind `position`, since it will come again.
pub(in crate::consumer) async fn forget_behind(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    position: u64,
) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM inbox WHERE subscription = $1 AND position > $2",
        &[name.as_str().into(), (position as i64).into()],
    )
    .await
    .map(drop)
}
