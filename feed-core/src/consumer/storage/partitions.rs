//! How many rows a subscription has: one for each partition. All that concerns several of them is guarded by an UPDATE of
//! them all ([`touch`](super::operators::touch)), after which none of them moves until the end of the transaction.

use super::operators;
use super::{Stored, find_all, hashes};
use crate::consumer::lease::HolderId;
use crate::consumer::state::SubscriptionState;
use crate::consumer::subscription::Subscription;
use crate::error::StoreError;
use crate::event::SubscriptionName;
use crate::position::Cursor;
use crate::store::Tx;

/// What a service says of a subscription when it begins to follow it.
pub(in crate::consumer) struct Wanted<'a> {
    pub(in crate::consumer) feed_url: &'a str,
    /// By what its events are split.
    pub(in crate::consumer) ordering: &'static str,
    /// Into how many partitions, if there is none yet.
    pub(in crate::consumer) partitions: u32,
}

/// Makes the rows when there are none, and notes the URL that it is followed at now. By what it is split is noted while
/// there is one partition. Returns the rows.
pub(in crate::consumer) async fn ensure(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    wanted: &Wanted<'_>,
) -> Result<Vec<Stored>, StoreError> {
    // Whoever makes the first row makes the others: two that begin at the same time make as many as the first one wants.
    let is_new = insert(tx, name, 0, wanted).await? == 1;
    if is_new {
        for number in 1..wanted.partitions {
            insert(tx, name, number, wanted).await?;
        }
    } else {
        tx.execute(
            "UPDATE subscriptions
             SET feed_url = $2, ordering = CASE WHEN ordering IS NULL OR partitions = 1 THEN $3 ELSE ordering END
             WHERE name = $1 AND (feed_url <> $2 OR ordering IS NULL OR (partitions = 1 AND ordering <> $3))",
            &[
                name.as_str().into(),
                wanted.feed_url.into(),
                wanted.ordering.into(),
            ],
        )
        .await?;
    }
    find_all(tx, name).await
}

async fn insert(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    number: u32,
    wanted: &Wanted<'_>,
) -> Result<u64, StoreError> {
    let now = tx.now();
    tx.execute(
        "INSERT INTO subscriptions (name, partition, partitions, feed_url, ordering, updated_us)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name, partition) DO NOTHING",
        &[
            name.as_str().into(),
            number.into(),
            wanted.partitions.into(),
            wanted.feed_url.into(),
            wanted.ordering.into(),
            now.into(),
        ],
    )
    .await
}

/// Where all partitions begin that have no cursor, if none has one: they begin at the same place. The caller's transaction
/// has locked the rows. Returns whether they begin there.
pub(in crate::consumer) async fn begin_at(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    cursor: Cursor,
) -> Result<bool, StoreError> {
    let rows = find_all(tx, name).await?;
    if rows.iter().any(|row| row.subscription.cursor.is_some()) {
        return Ok(false);
    }
    let (now, cursor) = (tx.now(), cursor.to_string());
    tx.execute(
        "UPDATE subscriptions SET cursor = $2, updated_us = $3 WHERE name = $1",
        &[name.as_str().into(), (&cursor).into(), now.into()],
    )
    .await?;
    Ok(true)
}

/// A change begins: no partition goes beyond `stop_at`, and whoever holds one looks anew.
pub(in crate::consumer) async fn stop_at(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    wanted: u32,
    stop_at: u64,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE subscriptions SET partitions_wanted = $2, stop_at = $3 WHERE name = $1",
        &[name.as_str().into(), wanted.into(), (stop_at as i64).into()],
    )
    .await?;
    operators::take_fence(tx, name).await
}

/// A change is over before its end: the partitions go on as they are.
pub(in crate::consumer) async fn go_on(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE subscriptions SET partitions_wanted = NULL, stop_at = NULL WHERE name = $1",
        &[name.as_str().into()],
    )
    .await?;
    operators::take_fence(tx, name).await
}

/// What keeps the partitions from being replaced; nothing when they can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::consumer) enum Obstacle {
    /// They do not stand at the same event.
    Apart,
    /// This partition halts.
    Halted(u32),
    /// This partition is paused, and others are not.
    Paused(u32),
}

/// Whether the partitions can be replaced as they stand.
pub(in crate::consumer) fn obstacle(rows: &[Stored]) -> Option<Obstacle> {
    let in_state = |state| {
        rows.iter()
            .find(|row| row.subscription.state == state)
            .map(|row| row.number)
    };
    if let Some(number) = in_state(SubscriptionState::Halted).filter(|_| rows.len() > 1) {
        return Some(Obstacle::Halted(number));
    }
    let is_paused = |row: &Stored| row.subscription.state == SubscriptionState::Paused;
    if let Some(number) =
        in_state(SubscriptionState::Paused).filter(|_| !rows.iter().all(is_paused))
    {
        return Some(Obstacle::Paused(number));
    }
    let cursor = rows.first().and_then(|row| row.subscription.cursor);
    let together = rows.iter().all(|row| row.subscription.cursor == cursor);
    (!together).then_some(Obstacle::Apart)
}

/// Replaces the rows by `partitions` others that stand where these do, if nothing is in the way. The caller's transaction
/// has locked the rows, and read them since. Each of the new ones has a fence above all old ones.
///
/// What is kept of events needs no change: it belongs to the partition that its ordering key belongs to, and so do the ids
/// of the inbox, which is one for all.
pub(in crate::consumer) async fn replace(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    rows: &[Stored],
    partitions: u32,
) -> Result<(), StoreError> {
    let ordering = rows.iter().find_map(|row| row.ordering.clone());
    let rows: Vec<Subscription> = rows.iter().map(|row| row.subscription.clone()).collect();
    let Some(whole) = Subscription::whole(&rows) else {
        return Ok(());
    };
    hashes::fill(tx, name).await?;
    tx.execute(
        "DELETE FROM subscriptions WHERE name = $1",
        &[name.as_str().into()],
    )
    .await?;
    let now = tx.now();
    let text = |cursor: Option<Cursor>| cursor.map(|cursor| cursor.to_string());
    let (cursor, head) = (text(whole.cursor), text(whole.head));
    // What it waited for is tried at once.
    let (state, reason) = match whole.state {
        SubscriptionState::Waiting => (SubscriptionState::Running, None),
        state => (state, rows.iter().find_map(|row| row.reason.as_deref())),
    };
    for number in 0..partitions {
        // The counts go on in the first one: only their sums are told.
        let counted = |count: u64| if number == 0 { count as i64 } else { 0 };
        tx.execute(
            "INSERT INTO subscriptions
                 (name, partition, partitions, feed_url, ordering, cursor, recorded_us, head, head_seen_us, state, reason,
                  fence, events, unhandled, duplicates, updated_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            &[
                name.as_str().into(),
                number.into(),
                partitions.into(),
                (&whole.feed_url).into(),
                ordering.as_deref().into(),
                cursor.as_deref().into(),
                whole.recorded.into(),
                head.as_deref().into(),
                whole.head_seen.into(),
                state.as_str().into(),
                reason.into(),
                (whole.fence + 1).into(),
                counted(whole.events).into(),
                counted(whole.unhandled).into(),
                counted(whole.duplicates).into(),
                now.into(),
            ],
        )
        .await?;
    }
    tx.announce();
    Ok(())
}

/// Gives back all partitions that `holder` holds.
pub(in crate::consumer) async fn release_all(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    holder: &HolderId,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE subscriptions SET holder = NULL, lease_boot = NULL, lease_until_ms = NULL WHERE name = $1 AND holder = $2",
        &[name.as_str().into(), holder.as_slice().into()],
    )
    .await
    .map(drop)
}
