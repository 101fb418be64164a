//! Hashes of ordering keys, by which what is kept of events belongs to partitions.

use crate::consumer::partition::key_hash;
use crate::error::StoreError;
use crate::event::{EventId, SubscriptionName};
use crate::store::Tx;

/// Computes the hashes of ordering keys that were kept before there were any: which partition an event belongs to depends on
/// them. Of dropped events nothing does.
pub(in crate::consumer) async fn fill(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<(), StoreError> {
    let keys: Vec<(String,)> = tx
        .query(
            "SELECT DISTINCT ordering_key FROM subscription_events
             WHERE subscription = $1 AND state IN ('parked', 'waiting', 'replaying') AND key_hash < 0",
            &[name.as_str().into()],
        )
        .await?;
    for (key,) in keys {
        tx.execute(
            "UPDATE subscription_events SET key_hash = $3
             WHERE subscription = $1 AND ordering_key = $2 AND state IN ('parked', 'waiting', 'replaying')",
            &[
                name.as_str().into(),
                (&key).into(),
                key_hash(&key).into(),
            ],
        )
        .await?;
    }
    let retried: Vec<(EventId, String)> = tx
        .query(
            "SELECT event_id, ordering_key FROM subscription_events
             WHERE subscription = $1 AND state = 'retrying' AND key_hash < 0",
            &[name.as_str().into()],
        )
        .await?;
    for (id, key) in retried {
        tx.execute(
            "UPDATE subscription_events SET key_hash = $3 WHERE subscription = $1 AND event_id = $2",
            &[
                name.as_str().into(),
                (&id).into(),
                key_hash(&key).into(),
            ],
        )
        .await?;
    }
    Ok(())
}
