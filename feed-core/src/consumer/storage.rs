//! All SQL of the consumer. What its holder does to a row of `subscriptions` is here, what others do in `operators`, and how
//! many rows a subscription has in `partitions`; the rows of `subscription_events`, of the inbox and of the instances that
//! share the partitions are in the files named so.
//!
//! Whoever holds a subscription changes it only where its fence and its holder are still theirs; an operator takes the
//! next fence. So of two that change it at the same time, one is refused (invariant I9).

pub(super) mod events;
mod hashes;
pub(super) mod inbox;
pub(super) mod members;
pub(super) mod operators;
pub(super) mod partitions;
mod rows;

pub(super) use rows::{ALL, Stored};

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::handler_error::shortened;
use super::lease::{HolderId, Lease};
use super::partition::Part;
use super::state::SubscriptionState;
use crate::error::StoreError;
use crate::event::SubscriptionName;
use crate::position::Cursor;
use crate::store::{LeaseClock, Tx};
use rows::{ONE, cursor_of};

/// The row of a partition, if there is one.
pub(super) async fn find(tx: &mut Tx<'_>, part: &Part) -> Result<Option<Stored>, StoreError> {
    tx.query_first(ONE, &[part.name.as_str().into(), part.number.into()])
        .await
}

/// The rows of all partitions of a subscription, by their numbers; none when there is no such subscription.
pub(super) async fn find_all(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<Vec<Stored>, StoreError> {
    tx.query(rows::OF_NAME, &[name.as_str().into()]).await
}

/// How a partition is taken.
pub(super) struct Taking<'a> {
    pub(super) holder: &'a HolderId,
    pub(super) lease: Duration,
    /// Also one that halts.
    pub(super) halted_too: bool,
    /// Where its feed is followed from now on.
    pub(super) feed_url: &'a str,
}

/// Takes the partition for a holder, if nobody else may count on it, it is in one of the states in which it may be taken, and
/// there are as many partitions as the holder believes. Returns the row as it is then: its cursor is the one to go on from.
pub(super) async fn take(
    tx: &mut Tx<'_>,
    part: &Part,
    taking: &Taking<'_>,
) -> Result<Option<Stored>, StoreError> {
    let clock = tx.lease_clock();
    let until = ends(&clock, taking.lease);
    let now = tx.now();
    // Clocks decide only whether it may be tried: what may commit is decided by the fence.
    tx.query_first(
        concat!(
            "UPDATE subscriptions
             SET fence = fence + 1, holder = $4, lease_boot = $5, lease_until_ms = $6, updated_us = $7, feed_url = $8
             WHERE name = $1 AND partition = $2 AND partitions = $3
               AND (state IN ('running', 'waiting') OR (state = 'halted' AND $9 = 1))
               AND (holder IS NULL OR holder = $4 OR lease_boot <> $5 OR lease_until_ms <= $10)
             RETURNING ",
            rows::columns!()
        ),
        &[
            part.name.as_str().into(),
            part.number.into(),
            part.of.into(),
            taking.holder.as_slice().into(),
            (&clock.boot).into(),
            until.into(),
            now.into(),
            taking.feed_url.into(),
            taking.halted_too.into(),
            clock.ms.into(),
        ],
    )
    .await
}

pub(super) fn ends(clock: &LeaseClock, lease: Duration) -> i64 {
    clock
        .ms
        .saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
}

/// Makes the lease last longer. Returns whether it is still held.
pub(super) async fn renew(
    tx: &mut Tx<'_>,
    part: &Part,
    held: &Lease,
    lease: Duration,
) -> Result<bool, StoreError> {
    let clock = tx.lease_clock();
    let changed = tx
        .execute(
            "UPDATE subscriptions SET lease_boot = $5, lease_until_ms = $6
             WHERE name = $1 AND partition = $2 AND fence = $3 AND holder = $4",
            &[
                part.name.as_str().into(),
                part.number.into(),
                held.fence.into(),
                held.holder.as_slice().into(),
                (&clock.boot).into(),
                ends(&clock, lease).into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Gives the lease back, so that another instance may take it at once.
pub(super) async fn release(tx: &mut Tx<'_>, part: &Part, held: &Lease) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE subscriptions SET holder = NULL, lease_boot = NULL, lease_until_ms = NULL
         WHERE name = $1 AND partition = $2 AND fence = $3 AND holder = $4",
        &[
            part.name.as_str().into(),
            part.number.into(),
            held.fence.into(),
            held.holder.as_slice().into(),
        ],
    )
    .await
    .map(drop)
}

/// The cursor, if the subscription is still held: the outer none is for one that is not.
pub(super) async fn held_cursor(
    tx: &mut Tx<'_>,
    part: &Part,
    held: &Lease,
) -> Result<Option<Option<Cursor>>, StoreError> {
    let row: Option<(Option<String>,)> = tx
        .query_first(
            "SELECT cursor FROM subscriptions WHERE name = $1 AND partition = $2 AND fence = $3 AND holder = $4",
            &[
                part.name.as_str().into(),
                part.number.into(),
                held.fence.into(),
                held.holder.as_slice().into(),
            ],
        )
        .await?;
    row.map(|(cursor,)| cursor_of(cursor)).transpose()
}

/// A move of the cursor.
#[derive(Debug, Clone)]
pub(super) struct Advance {
    pub(super) from: Option<Cursor>,
    pub(super) to: Cursor,
    /// When the event at `to` was recorded.
    pub(super) recorded: Option<DateTime<Utc>>,
    /// The newest event that was heard of.
    pub(super) head: Option<Cursor>,
    /// Events that are passed by it.
    pub(super) events: usize,
    pub(super) unhandled: usize,
    pub(super) duplicates: usize,
}

/// Moves the cursor, unless somebody else has moved it or holds the subscription: compare-and-set on cursor, fence and
/// holder. Returns whether it did. The lease lasts anew from then on.
pub(super) async fn advance(
    tx: &mut Tx<'_>,
    part: &Part,
    held: &Lease,
    lease: Duration,
    advance: &Advance,
) -> Result<bool, StoreError> {
    #[cfg(feature = "faults")]
    let (held, advance) = &super::torn::forged(tx, part, held, advance).await?;
    let (now, clock) = (tx.now(), tx.lease_clock());
    let text = |cursor: Option<Cursor>| cursor.map(|cursor| cursor.to_string());
    let (from, to, head) = (
        text(advance.from).unwrap_or_default(),
        advance.to.to_string(),
        text(advance.head),
    );
    let changed = tx
        .execute(
            "UPDATE subscriptions
             SET cursor = $5, recorded_us = coalesce($6, recorded_us), head = coalesce($7, head),
                 head_seen_us = CASE WHEN CAST($7 AS TEXT) IS NULL THEN head_seen_us ELSE $8 END,
                 events = events + $9, unhandled = unhandled + $10, duplicates = duplicates + $11,
                 state = 'running', reason = NULL, failures = 0, next_try_us = NULL,
                 lease_boot = $12, lease_until_ms = $13, updated_us = $8
             WHERE name = $1 AND fence = $2 AND holder = $3 AND coalesce(cursor, '') = $4 AND partition = $14",
            &[
                part.name.as_str().into(),
                held.fence.into(),
                held.holder.as_slice().into(),
                (&from).into(),
                (&to).into(),
                advance.recorded.into(),
                head.as_deref().into(),
                now.into(),
                (advance.events as i64).into(),
                (advance.unhandled as i64).into(),
                (advance.duplicates as i64).into(),
                (&clock.boot).into(),
                ends(&clock, lease).into(),
                part.number.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// How a subscription is doing.
pub(super) struct Doing<'a> {
    pub(super) state: SubscriptionState,
    pub(super) reason: Option<&'a str>,
    pub(super) failures: u32,
    pub(super) next_try: Option<DateTime<Utc>>,
}

/// Notes how the subscription is doing, if it is still held, and the newest event that was heard of: what is stuck is
/// behind that, too.
pub(super) async fn note(
    tx: &mut Tx<'_>,
    part: &Part,
    held: &Lease,
    doing: &Doing<'_>,
    head: Option<Cursor>,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let head = head.map(|head| head.to_string());
    let reason = doing.reason.map(|reason| shortened(reason.to_owned()));
    let changed = tx
        .execute(
            "UPDATE subscriptions
             SET state = $4, reason = $5, failures = $6, next_try_us = $7, updated_us = $8, head = coalesce($9, head),
                 head_seen_us = CASE WHEN CAST($9 AS TEXT) IS NULL THEN head_seen_us ELSE $8 END
             WHERE name = $1 AND fence = $2 AND holder = $3 AND partition = $10",
            &[
                part.name.as_str().into(),
                held.fence.into(),
                held.holder.as_slice().into(),
                doing.state.as_str().into(),
                reason.as_deref().into(),
                doing.failures.into(),
                doing.next_try.into(),
                now.into(),
                head.as_deref().into(),
                part.number.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Counts replayed events that no handler was for; [`renew`] has to come with it.
pub(super) async fn count_unhandled(
    tx: &mut Tx<'_>,
    part: &Part,
    unhandled: usize,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE subscriptions SET unhandled = unhandled + $3 WHERE name = $1 AND partition = $2",
        &[
            part.name.as_str().into(),
            part.number.into(),
            (unhandled as i64).into(),
        ],
    )
    .await
    .map(drop)
}
