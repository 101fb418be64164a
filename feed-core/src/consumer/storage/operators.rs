//! What is done to a row of `subscriptions` by those who do not hold it: operators, and a rebuild at its end.

use chrono::{DateTime, Utc};

use crate::consumer::state::SubscriptionState;
use crate::error::StoreError;
use crate::event::SubscriptionName;
use crate::position::Cursor;
use crate::store::Tx;

/// An operator's change: takes the next fence and the lease away, so that whoever held it looks anew.
pub(in crate::consumer) async fn operate(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    state: SubscriptionState,
    reason: Option<&str>,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let changed = tx
        .execute(
            "UPDATE subscriptions
             SET fence = fence + 1, holder = NULL, lease_boot = NULL, lease_until_ms = NULL,
                 state = $2, reason = $3, failures = 0, next_try_us = NULL, updated_us = $4
             WHERE name = $1",
            &[
                name.as_str().into(),
                state.as_str().into(),
                reason.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// An operator puts the cursor somewhere else; [`operate`] has to come with it.
pub(in crate::consumer) async fn put_cursor(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    cursor: Option<Cursor>,
    recorded: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let cursor = cursor.map(|cursor| cursor.to_string());
    tx.execute(
        "UPDATE subscriptions SET cursor = $2, recorded_us = $3, head = NULL, head_seen_us = NULL WHERE name = $1",
        &[name.as_str().into(), cursor.as_deref().into(), recorded.into()],
    )
    .await
    .map(drop)
}

/// An operator lets the cursor pass one event; [`operate`] has to come with it.
pub(in crate::consumer) async fn pass(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    cursor: Cursor,
    recorded: DateTime<Utc>,
) -> Result<(), StoreError> {
    let cursor = cursor.to_string();
    tx.execute(
        "UPDATE subscriptions SET cursor = $2, recorded_us = $3, events = events + 1 WHERE name = $1",
        &[name.as_str().into(), (&cursor).into(), recorded.into()],
    )
    .await
    .map(drop)
}

/// Changes nothing, but lets nobody else change the row until the end of the transaction. Returns whether there is one.
pub(in crate::consumer) async fn touch(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<bool, StoreError> {
    let touched = tx
        .execute(
            "UPDATE subscriptions SET fence = fence WHERE name = $1",
            &[name.as_str().into()],
        )
        .await?;
    Ok(touched == 1)
}

/// Takes the next fence: whoever holds the subscription has to look anew before it commits anything further.
pub(in crate::consumer) async fn take_fence(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE subscriptions SET fence = fence + 1, holder = NULL, lease_boot = NULL, lease_until_ms = NULL WHERE name = $1",
        &[name.as_str().into()],
    )
    .await
    .map(drop)
}

/// Takes the subscription and all that is kept for it away.
pub(in crate::consumer) async fn remove(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<bool, StoreError> {
    for sql in [
        "DELETE FROM subscription_events WHERE subscription = $1",
        "DELETE FROM inbox WHERE subscription = $1",
    ] {
        tx.execute(sql, &[name.as_str().into()]).await?;
    }
    let removed = tx
        .execute(
            "DELETE FROM subscriptions WHERE name = $1",
            &[name.as_str().into()],
        )
        .await?;
    Ok(removed == 1)
}
