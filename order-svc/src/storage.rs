//! All SQL of the service. It is the same on every store; only the DDL is written per store.

mod customers;

pub(crate) use customers::{
    Generation, count_customers, delete_old_customers, live_generation, put_customer, set_speed,
    switch_customers,
};

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use feed_core::{
    DecideError, Decided, EventId, FeedConfig, FromRow, InvalidValue, Loaded, Migrations, Row,
    StoreError, Timer, Tx, Value,
};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::domain::{CustomerId, Order, OrderCommand, OrderError, OrderId, RequestedMbps, Status};

/// The feed that this service publishes.
pub(crate) const FEED: &str = "orders";

/// The kind of the timers by which orders expire; the key is the order's id.
pub(crate) const EXPIRY: &str = "order-expiry";

/// The service's tables.
pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "order",
    sqlite: &[
        (
            "V1__orders",
            include_str!("../migrations/sqlite/V1__orders.sql"),
        ),
        (
            "V2__order_expiry",
            include_str!("../migrations/sqlite/V2__order_expiry.sql"),
        ),
        (
            "V3__customer_generations",
            include_str!("../migrations/sqlite/V3__customer_generations.sql"),
        ),
    ],
    postgres: &[(
        "V1__orders",
        include_str!("../migrations/postgres/V1__orders.sql"),
    )],
};

/// How the feed is made, by whichever command is first.
pub(crate) fn feed_config() -> Result<FeedConfig, InvalidValue> {
    FeedConfig::new(FEED, "order-svc")?.title("Orders for faster lines")
}

/// An order as queries show it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Order)]
pub(crate) struct OrderRow {
    #[schema(value_type = OrderId)]
    pub(crate) id: String,
    pub(crate) status: Status,
    /// Why it was rejected; null when it was not.
    pub(crate) reason: Option<String>,
    #[schema(value_type = CustomerId)]
    pub(crate) customer_id: String,
    #[schema(value_type = RequestedMbps)]
    pub(crate) requested_mbps: u32,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) created_at: DateTime<Utc>,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) updated_at: DateTime<Utc>,
    /// Number of its events.
    pub(crate) version: u32,
    pub(crate) last_event_id: EventId,
}

/// A customer as the customers feed tells of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Customer)]
pub(crate) struct CustomerRow {
    pub(crate) name: String,
    pub(crate) geo: String,
    /// Speed of the line, in Mbit/s.
    pub(crate) current_mbps: u32,
}

/// An order with its customer, if the customers feed has told of it yet.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct OrderWithCustomer {
    #[serde(flatten)]
    pub(crate) order: OrderRow,
    /// Null as long as the customers feed has not told of it.
    pub(crate) customer: Option<CustomerRow>,
}

/// RFC 3339 in UTC, to the microsecond: what the database keeps.
fn rfc3339<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

impl OrderRow {
    /// The row of an order that was just loaded or changed; none if it was never placed.
    pub(crate) fn new(order: &Loaded<Order>, updated_at: DateTime<Utc>) -> Option<Self> {
        let placed = order.state.placed()?;
        Some(OrderRow {
            id: placed.order_id.to_string(),
            status: placed.status,
            reason: placed.reason.clone(),
            customer_id: placed.customer_id.to_string(),
            requested_mbps: placed.requested_mbps.get(),
            created_at: placed.created_at,
            updated_at,
            version: order.version.get(),
            last_event_id: order.last_event?,
        })
    }
}

impl FromRow for OrderRow {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let status: String = row.get("status")?;
        Ok(OrderRow {
            id: row.get("id")?,
            status: Status::parse(&status)
                .ok_or_else(|| StoreError::Corrupt(format!("order status {status:?}")))?,
            reason: row.get("reason")?,
            customer_id: row.get("customer_id")?,
            requested_mbps: row.get("requested_mbps")?,
            created_at: row.get("created_us")?,
            updated_at: row.get("updated_us")?,
            version: row.get("version")?,
            last_event_id: row.get("last_event_id")?,
        })
    }
}

impl FromRow for OrderWithCustomer {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let name: Option<String> = row.get("customer_name")?;
        let customer = match name {
            Some(name) => Some(CustomerRow {
                name,
                geo: row.get("customer_geo")?,
                current_mbps: row.get("customer_mbps")?,
            }),
            None => None,
        };
        Ok(OrderWithCustomer {
            order: OrderRow::from_row(row)?,
            customer,
        })
    }
}

/// Places an order, which waits `order_expiry` for its answer from now on.
///
/// # Errors
/// As [`carry_out`].
pub(crate) async fn place(
    tx: &mut Tx<'_>,
    order_id: &OrderId,
    create: &OrderCommand,
    order_expiry: Duration,
) -> Result<OrderRow, DecideError<OrderError>> {
    let decided = carry_out(tx, order_id, create).await?;
    let row = OrderRow::new(&decided.after, tx.now())
        .ok_or_else(|| StoreError::Corrupt(format!("order {order_id} was not placed")))?;
    // Longer than any clock counts means never.
    let due = TimeDelta::from_std(order_expiry)
        .ok()
        .and_then(|expiry| row.created_at.checked_add_signed(expiry));
    if let Some(due) = due {
        let expiry = Timer::new(EXPIRY, &row.id, due)?.caused_by_id(row.last_event_id);
        tx.set_timer(&expiry).await?;
    }
    Ok(row)
}

/// Lets the order decide and keeps what follows: its events, and its row for queries. One that is settled waits no more.
///
/// # Errors
/// What the order refuses with, or why it could not be kept.
pub(crate) async fn carry_out(
    tx: &mut Tx<'_>,
    order_id: &OrderId,
    command: &OrderCommand,
) -> Result<Decided<Order>, DecideError<OrderError>> {
    let decided: Decided<Order> = tx.decide(FEED, &order_id.subject()?, command).await?;
    if !decided.events.is_empty()
        && let Some(row) = OrderRow::new(&decided.after, tx.now())
    {
        save(tx, &row).await?;
        if row.status != Status::Update {
            tx.cancel_timer(EXPIRY, &row.id).await?;
        }
    }
    Ok(decided)
}

async fn save(tx: &mut Tx<'_>, row: &OrderRow) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO orders (id, status, reason, customer_id, requested_mbps, created_us, updated_us, version,
                             last_event_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET
             status = excluded.status, reason = excluded.reason, updated_us = excluded.updated_us,
             version = excluded.version, last_event_id = excluded.last_event_id",
        &[
            (&row.id).into(),
            row.status.as_str().into(),
            row.reason.as_deref().into(),
            (&row.customer_id).into(),
            row.requested_mbps.into(),
            row.created_at.into(),
            row.updated_at.into(),
            row.version.into(),
            (&row.last_event_id).into(),
        ],
    )
    .await
    .map(drop)
}

macro_rules! select_orders {
    ($rest:literal) => {
        concat!(
            "SELECT o.id, o.status, o.reason, o.customer_id, o.requested_mbps, o.created_us, o.updated_us, o.version,
                    o.last_event_id, c.name AS customer_name, c.geo AS customer_geo, c.current_mbps AS customer_mbps
             FROM orders o LEFT JOIN customers c ON c.customer_id = o.customer_id
                 AND c.generation = (SELECT generation FROM read_models WHERE name = 'customers') ",
            $rest
        )
    };
}

/// One order.
pub(crate) async fn order(
    tx: &mut Tx<'_>,
    order_id: &OrderId,
) -> Result<Option<OrderWithCustomer>, StoreError> {
    tx.query_first(
        select_orders!("WHERE o.id = $1"),
        &[order_id.as_str().into()],
    )
    .await
}

/// Which orders are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrderFilter {
    pub(crate) status: Option<Status>,
    pub(crate) customer_id: Option<CustomerId>,
    /// Only those with a higher id.
    pub(crate) after: Option<OrderId>,
}

/// The first `limit` orders that are wanted, by rising id.
pub(crate) async fn orders(
    tx: &mut Tx<'_>,
    filter: &OrderFilter,
    limit: u32,
) -> Result<Vec<OrderWithCustomer>, StoreError> {
    let after: Value<'_> = filter.after.as_ref().map_or("", OrderId::as_str).into();
    // One statement for each combination, so that each has an index to go by.
    match (filter.status, &filter.customer_id) {
        (None, None) => {
            tx.query(
                select_orders!("WHERE o.id > $1 ORDER BY o.id LIMIT $2"),
                &[after, limit.into()],
            )
            .await
        }
        (Some(status), None) => {
            tx.query(
                select_orders!("WHERE o.id > $1 AND o.status = $3 ORDER BY o.id LIMIT $2"),
                &[after, limit.into(), status.as_str().into()],
            )
            .await
        }
        (None, Some(customer)) => {
            tx.query(
                select_orders!("WHERE o.id > $1 AND o.customer_id = $3 ORDER BY o.id LIMIT $2"),
                &[after, limit.into(), customer.as_str().into()],
            )
            .await
        }
        (Some(status), Some(customer)) => {
            tx.query(
                select_orders!(
                    "WHERE o.id > $1 AND o.status = $3 AND o.customer_id = $4 ORDER BY o.id LIMIT $2"
                ),
                &[
                    after,
                    limit.into(),
                    status.as_str().into(),
                    customer.as_str().into(),
                ],
            )
            .await
        }
    }
}

/// A request that carried an `Idempotency-Key`, and what was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) request_sha256: [u8; 32],
    pub(crate) order_id: String,
    pub(crate) answer: String,
}

/// Takes the key for a request, or returns what the request that has it was answered.
///
/// On a store with several writers the second one waits here for the first one's end.
pub(crate) async fn claim_key(
    tx: &mut Tx<'_>,
    key: &str,
    request_sha256: &[u8; 32],
    order_id: &OrderId,
) -> Result<Option<Answered>, StoreError> {
    let claimed = tx
        .execute(
            "INSERT INTO idempotency_keys (key, request_sha256, order_id, answer, created_us)
             VALUES ($1, $2, $3, '', $4) ON CONFLICT (key) DO NOTHING",
            &[
                key.into(),
                request_sha256.as_slice().into(),
                order_id.as_str().into(),
                tx.now().into(),
            ],
        )
        .await?;
    if claimed == 1 {
        return Ok(None);
    }
    let row: Option<([u8; 32], String, String)> = tx
        .query_first(
            "SELECT request_sha256, order_id, answer FROM idempotency_keys WHERE key = $1",
            &[key.into()],
        )
        .await?;
    // Deleted between the two statements, which only a store with several writers can do: worth another try.
    let (request_sha256, order_id, answer) = row.ok_or_else(|| {
        StoreError::Unavailable("the idempotency key was just deleted".to_owned())
    })?;
    Ok(Some(Answered {
        request_sha256,
        order_id,
        answer,
    }))
}

/// Keeps the answer to the request that claimed the key.
pub(crate) async fn keep_answer(
    tx: &mut Tx<'_>,
    key: &str,
    answer: &str,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE idempotency_keys SET answer = $2 WHERE key = $1",
        &[key.into(), answer.into()],
    )
    .await
    .map(drop)
}

/// Deletes keys that are older than `created_before`, `limit` at most, and returns how many.
pub(crate) async fn delete_keys(
    tx: &mut Tx<'_>,
    created_before: DateTime<Utc>,
    limit: u32,
) -> Result<u64, StoreError> {
    tx.execute(
        "DELETE FROM idempotency_keys WHERE key IN (
             SELECT key FROM idempotency_keys WHERE created_us < $1 ORDER BY created_us LIMIT $2)",
        &[created_before.into(), limit.into()],
    )
    .await
}
