//! The read model of customers, in generations: one is read, and the next one may be being built beside it.

use feed_core::{StoreError, Tx};

use super::CustomerRow;

/// A generation of the read model, found anew in every transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// The one that is read.
    Live,
    /// The one that a rebuild fills.
    Next,
}

impl Generation {
    async fn number(self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        let live = live_generation(tx).await?;
        Ok(match self {
            Generation::Live => live,
            Generation::Next => live + 1,
        })
    }
}

/// The number of the generation that is read.
pub(crate) async fn live_generation(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    let row: Option<(i64,)> = tx
        .query_first(
            "SELECT generation FROM read_models WHERE name = 'customers'",
            &[],
        )
        .await?;
    row.map(|(generation,)| generation)
        .ok_or_else(|| StoreError::Corrupt("no generation of customers is live".to_owned()))
}

/// The customer is as its feed says now.
pub(crate) async fn put_customer(
    tx: &mut Tx<'_>,
    generation: Generation,
    customer_id: &str,
    customer: &CustomerRow,
) -> Result<(), StoreError> {
    let generation = generation.number(tx).await?;
    tx.execute(
        "INSERT INTO customers (generation, customer_id, name, geo, current_mbps, updated_us)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (generation, customer_id) DO UPDATE SET
             name = excluded.name, geo = excluded.geo, current_mbps = excluded.current_mbps,
             updated_us = excluded.updated_us",
        &[
            generation.into(),
            customer_id.into(),
            (&customer.name).into(),
            (&customer.geo).into(),
            customer.current_mbps.into(),
            tx.now().into(),
        ],
    )
    .await
    .map(drop)
}

/// The customer's line runs at this speed now.
pub(crate) async fn set_speed(
    tx: &mut Tx<'_>,
    generation: Generation,
    customer_id: &str,
    current_mbps: u32,
) -> Result<(), StoreError> {
    let generation = generation.number(tx).await?;
    tx.execute(
        "UPDATE customers SET current_mbps = $3, updated_us = $4 WHERE generation = $1 AND customer_id = $2",
        &[
            generation.into(),
            customer_id.into(),
            current_mbps.into(),
            tx.now().into(),
        ],
    )
    .await
    .map(drop)
}

/// Makes the next generation the one that is read.
pub(crate) async fn switch_customers(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE read_models SET generation = generation + 1 WHERE name = 'customers'",
        &[],
    )
    .await
    .map(drop)
}

/// Deletes customers of generations that nobody reads any more, `limit` at most, and returns how many.
pub(crate) async fn delete_old_customers(tx: &mut Tx<'_>, limit: u32) -> Result<u64, StoreError> {
    let live = live_generation(tx).await?;
    tx.execute(
        "DELETE FROM customers WHERE (generation, customer_id) IN (
             SELECT generation, customer_id FROM customers WHERE generation < $1
             ORDER BY generation, customer_id LIMIT $2)",
        &[live.into(), limit.into()],
    )
    .await
}

/// How many customers the live generation has.
pub(crate) async fn count_customers(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    let row: Option<(i64,)> = tx
        .query_first(
            "SELECT count(*) FROM customers WHERE generation = (
                 SELECT generation FROM read_models WHERE name = 'customers')",
            &[],
        )
        .await?;
    Ok(row.map_or(0, |(customers,)| customers))
}
