//! `GET /orders`, `GET /orders/{id}` and `POST /orders/{id}/cancel`.

use std::fmt::Write;

use axum::Json;
use axum::extract::State;
use feed_core::server::{Limit, PathParams, Problem, QueryParams};
use feed_core::{DecideError, Store, StoreError, Tx};
use serde::{Deserialize, Serialize};

use super::{no_such_order, order_id, refused};
use crate::domain::{CustomerId, OrderCommand, OrderError, OrderId, Status};
use crate::storage::{self, OrderFilter, OrderWithCustomer};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    status: Option<Status>,
    customer_id: Option<CustomerId>,
    after: Option<OrderId>,
    #[serde(default)]
    limit: Limit,
}

/// Some orders, by rising id.
#[derive(Debug, Serialize)]
pub(super) struct OrderList {
    orders: Vec<OrderWithCustomer>,
    /// Where the list goes on; none at its end.
    next: Option<String>,
}

pub(super) async fn one(
    State(store): State<Store>,
    PathParams(id): PathParams<String>,
) -> Result<Json<OrderWithCustomer>, Problem> {
    let order_id = order_id(id)?;
    let wanted = order_id.clone();
    store
        .read(async move |tx: &mut Tx<'_>| storage::order(tx, &wanted).await)
        .await?
        .map(Json)
        .ok_or_else(|| no_such_order(order_id.as_str()))
}

pub(super) async fn list(
    State(store): State<Store>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<OrderList>, Problem> {
    let limit = query.limit;
    let filter = OrderFilter {
        status: query.status,
        customer_id: query.customer_id,
        after: query.after,
    };
    let wanted = filter.clone();
    let mut orders: Vec<OrderWithCustomer> = store
        .read(async move |tx: &mut Tx<'_>| storage::orders(tx, &wanted, limit.to_read()).await)
        .await?;
    let follows = limit.cut(&mut orders);
    let next = orders
        .last()
        .filter(|_| follows)
        .map(|last| next_url(&filter, &last.order.id, limit));
    Ok(Json(OrderList { orders, next }))
}

/// The same list behind `after`. Ids and statuses need no escaping in a URL.
fn next_url(filter: &OrderFilter, after: &str, limit: Limit) -> String {
    let mut url = format!("/orders?after={after}&limit={}", limit.get());
    // Writing to a string does not fail.
    if let Some(status) = filter.status {
        let _ = write!(url, "&status={status}");
    }
    if let Some(customer_id) = &filter.customer_id {
        let _ = write!(url, "&customer_id={customer_id}");
    }
    url
}

/// Takes the order back. A body is not asked for, and not read.
pub(super) async fn cancel(
    State(store): State<Store>,
    PathParams(id): PathParams<String>,
) -> Result<Json<OrderWithCustomer>, Problem> {
    let order_id = order_id(id)?;
    let wanted = order_id.clone();
    let cancelled = store
        .write_retrying(async move |tx: &mut Tx<'_>| {
            storage::carry_out(tx, &wanted, &OrderCommand::Cancel).await?;
            let order = storage::order(tx, &wanted).await?;
            order.ok_or_else(|| {
                DecideError::<OrderError>::from(StoreError::Corrupt(format!(
                    "order {wanted} has events and no row"
                )))
            })
        })
        .await;
    match cancelled {
        Ok(order) => {
            tracing::debug!(%order_id, "order cancelled");
            Ok(Json(order))
        }
        Err(error) => Err(refused(&order_id, error)),
    }
}
