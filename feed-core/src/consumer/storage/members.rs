//! The instances that share the partitions of a subscription: the rows of `subscription_members`.

use std::time::Duration;

use super::ends;
use crate::consumer::lease::HolderId;
use crate::error::StoreError;
use crate::event::SubscriptionName;
use crate::limits::MEMBERS_MAX;
use crate::store::Tx;

/// Notes that `member` is there for as long as the lease, and forgets those whose leases are over.
pub(in crate::consumer) async fn join(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    member: &HolderId,
    lease: Duration,
) -> Result<(), StoreError> {
    let clock = tx.lease_clock();
    let until = ends(&clock, lease);
    tx.execute(
        "INSERT INTO subscription_members (subscription, member, lease_boot, lease_until_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (subscription, member) DO UPDATE
         SET lease_boot = excluded.lease_boot, lease_until_ms = excluded.lease_until_ms",
        &[
            name.as_str().into(),
            member.as_slice().into(),
            (&clock.boot).into(),
            until.into(),
        ],
    )
    .await?;
    tx.execute(
        "DELETE FROM subscription_members
         WHERE subscription = $1 AND member <> $2 AND (lease_boot <> $3 OR lease_until_ms <= $4)",
        &[
            name.as_str().into(),
            member.as_slice().into(),
            (&clock.boot).into(),
            clock.ms.into(),
        ],
    )
    .await
    .map(drop)
}

/// Forgets that `member` is there.
pub(in crate::consumer) async fn leave(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    member: &HolderId,
) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM subscription_members WHERE subscription = $1 AND member = $2",
        &[name.as_str().into(), member.as_slice().into()],
    )
    .await
    .map(drop)
}

/// Those whose leases last, and `me` if it has joined, by their ids.
pub(in crate::consumer) async fn members(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    me: &HolderId,
) -> Result<Vec<HolderId>, StoreError> {
    let clock = tx.lease_clock();
    let rows: Vec<(HolderId,)> = tx
        .query(
            "SELECT member FROM subscription_members
             WHERE subscription = $1 AND (member = $2 OR (lease_boot = $3 AND lease_until_ms > $4))
             ORDER BY member LIMIT $5",
            &[
                name.as_str().into(),
                me.as_slice().into(),
                (&clock.boot).into(),
                clock.ms.into(),
                MEMBERS_MAX.into(),
            ],
        )
        .await?;
    Ok(rows.into_iter().map(|(member,)| member).collect())
}
