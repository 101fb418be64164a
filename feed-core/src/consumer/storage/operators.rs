//! What is done to a row of `subscriptions` by those who do not hold it: operators, and a rebuild at its end.

use chrono::{DateTime, Utc};

use crate::consumer::state::SubscriptionState;
use crate::error::StoreError;
use crate::event::SubscriptionName;
use crate::position::Cursor;
use crate::store::{Tx, Value};

/// Which rows of a subscription are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::consumer) enum Rows {
    /// Those of all partitions.
    All,
    /// That of one partition.
    One(u32),
}

impl Rows {
    /// Whether that of this partition is one of them.
    pub(in crate::consumer) fn contain(self, number: u32) -> bool {
        match self {
            Rows::All => true,
            Rows::One(one) => one == number,
        }
    }

    /// The number of the partition; -1 for all.
    fn number(self) -> Value<'static> {
        match self {
            Rows::All => Value::Integer(-1),
            Rows::One(number) => number.into(),
        }
    }
}

/// An operator's change: takes the next fence and the lease away, so that whoever held it looks anew.
pub(in crate::consumer) async fn operate(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    rows: Rows,
    state: SubscriptionState,
    reason: Option<&str>,
) -> Result<u64, StoreError> {
    let now = tx.now();
    tx.execute(
        "UPDATE subscriptions
         SET fence = fence + 1, holder = NULL, lease_boot = NULL, lease_until_ms = NULL,
             state = $2, reason = $3, failures = 0, next_try_us = NULL, updated_us = $4
         WHERE name = $1 AND ($5 < 0 OR partition = $5)",
        &[
            name.as_str().into(),
            state.as_str().into(),
            reason.into(),
            now.into(),
            rows.number(),
        ],
    )
    .await
}

/// An operator's change that lets go on what is not running: see [`operate`]. Returns how many rows that were.
pub(in crate::consumer) async fn resume(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    rows: Rows,
) -> Result<u64, StoreError> {
    let now = tx.now();
    tx.execute(
        "UPDATE subscriptions
         SET fence = fence + 1, holder = NULL, lease_boot = NULL, lease_until_ms = NULL,
             state = 'running', reason = NULL, failures = 0, next_try_us = NULL, updated_us = $2
         WHERE name = $1 AND ($3 < 0 OR partition = $3) AND state <> 'running'",
        &[name.as_str().into(), now.into(), rows.number()],
    )
    .await
}

/// An operator's change of the cursor: see [`operate`]. What is paused stays so, all else runs.
pub(in crate::consumer) async fn operate_unless_paused(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    rows: Rows,
) -> Result<u64, StoreError> {
    let now = tx.now();
    tx.execute(
        "UPDATE subscriptions
         SET fence = fence + 1, holder = NULL, lease_boot = NULL, lease_until_ms = NULL,
             state = CASE state WHEN 'paused' THEN 'paused' ELSE 'running' END,
             reason = CASE state WHEN 'paused' THEN reason ELSE NULL END,
             failures = 0, next_try_us = NULL, updated_us = $2
         WHERE name = $1 AND ($3 < 0 OR partition = $3)",
        &[name.as_str().into(), now.into(), rows.number()],
    )
    .await
}

/// An operator's change of what is kept: see [`operate`]. How the subscription is doing stays as it is.
pub(in crate::consumer) async fn operate_events(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<u64, StoreError> {
    let now = tx.now();
    tx.execute(
        "UPDATE subscriptions
         SET fence = fence + 1, holder = NULL, lease_boot = NULL, lease_until_ms = NULL,
             failures = 0, next_try_us = NULL, updated_us = $2
         WHERE name = $1",
        &[name.as_str().into(), now.into()],
    )
    .await
}

/// An operator puts the cursor of all partitions somewhere else; [`operate_unless_paused`] has to come with it.
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

/// An operator lets the cursor of a partition pass one event; [`operate_unless_paused`] has to come with it.
pub(in crate::consumer) async fn pass(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    number: u32,
    cursor: Cursor,
    recorded: DateTime<Utc>,
) -> Result<(), StoreError> {
    let cursor = cursor.to_string();
    tx.execute(
        "UPDATE subscriptions SET cursor = $2, recorded_us = $3, events = events + 1 WHERE name = $1 AND partition = $4",
        &[
            name.as_str().into(),
            (&cursor).into(),
            recorded.into(),
            number.into(),
        ],
    )
    .await
    .map(drop)
}

/// Changes nothing, but lets nobody else change the rows until the end of the transaction. Returns whether there are any.
///
/// The first partition's row comes first: of those who change several rows, all wait for it, and not for one another.
pub(in crate::consumer) async fn touch(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<bool, StoreError> {
    let first = tx
        .execute(
            "UPDATE subscriptions SET fence = fence WHERE name = $1 AND partition = 0",
            &[name.as_str().into()],
        )
        .await?;
    if first == 0 {
        return Ok(false);
    }
    tx.execute(
        "UPDATE subscriptions SET fence = fence WHERE name = $1 AND partition > 0",
        &[name.as_str().into()],
    )
    .await?;
    Ok(true)
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
        "DELETE FROM subscription_members WHERE subscription = $1",
    ] {
        tx.execute(sql, &[name.as_str().into()]).await?;
    }
    let removed = tx
        .execute(
            "DELETE FROM subscriptions WHERE name = $1",
            &[name.as_str().into()],
        )
        .await?;
    Ok(removed > 0)
}
