//! `GET /orders`, `GET /orders/{id}` and `POST /orders/{id}/cancel`.

use std::fmt::Write;

use axum::Json;
use axum::extract::State;
use feed_core::read_model::{ReadModel, ReadQuery};
use feed_core::server::{Limit, PathParams, Problem, QueryParams};
use feed_core::{DecideError, Store, StoreError, Tx};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{no_such_order, order_id, refused};
use crate::domain::{CustomerId, OrderCommand, OrderError, OrderId, Status};
use crate::storage::{self, OrderFilter, OrderWithCustomer};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only orders that stand there
    status: Option<Status>,
    /// Only this customer's orders
    customer_id: Option<CustomerId>,
    /// Only orders behind this one; `next` has it
    after: Option<OrderId>,
    /// How many orders are wanted at most
    #[serde(default)]
    limit: Limit,
}

/// Some orders, by rising id.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderList {
    orders: Vec<OrderWithCustomer>,
    /// Where the list goes on; none at its end.
    next: Option<String>,
}

/// One order
///
/// With `after`, the answer contains that event of the customers feed, such as the `last_event_id` of a reservation.
#[utoipa::path(
    get, path = "/orders/{id}", operation_id = "order", tag = "orders",
    params(("id" = OrderId, Path, description = "The order's id"), ReadQuery),
    responses((status = 200, description = "The order, and what is known of its customer", body = OrderWithCustomer)),
)]
pub(super) async fn one(
    State(store): State<Store>,
    State(read_model): State<ReadModel>,
    PathParams(id): PathParams<String>,
    QueryParams(query): QueryParams<ReadQuery>,
) -> Result<Json<OrderWithCustomer>, Problem> {
    let order_id = order_id(id)?;
    read_model.wait_for(&query).await?;
    let wanted = order_id.clone();
    store
        .read(async move |tx: &mut Tx<'_>| storage::order(tx, &wanted).await)
        .await?
        .map(Json)
        .ok_or_else(|| no_such_order(order_id.as_str()))
}

/// Orders, by rising id
#[utoipa::path(
    get, path = "/orders", operation_id = "orders", tag = "orders", params(ListQuery),
    responses((status = 200, description = "As many as were asked for, and where to go on", body = OrderList)),
)]
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

/// Takes an order back
///
/// Only as long as it waits for its answer. A body is not asked for, and not read.
#[utoipa::path(
    post, path = "/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders",
    params(("id" = OrderId, Path, description = "The order's id")),
    responses((status = 200, description = "The order, cancelled", body = OrderWithCustomer)),
)]
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
