//! The routes for orders. Those of the feed and of the probes come from feed-core.

mod orders;
mod place;
mod problem_types;

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::extract::FromRef;
use feed_core::read_model::ReadModel;
use feed_core::server::openapi::{ApiDocument, reading, refusing};
use feed_core::server::{Problem, problem_types as common};
use feed_core::{DecideError, Store, StoreError};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use problem_types as own;
pub use problem_types::PROBLEM_TYPES;

use crate::domain::{OrderError, OrderId};
use crate::storage;

/// What the routes work with.
#[derive(Clone)]
struct Orders {
    store: Store,
    read_model: ReadModel,
    /// How long an order waits for its answer.
    order_expiry: Duration,
}

impl FromRef<Orders> for Store {
    fn from_ref(orders: &Orders) -> Store {
        orders.store.clone()
    }
}

impl FromRef<Orders> for ReadModel {
    fn from_ref(orders: &Orders) -> ReadModel {
        orders.read_model.clone()
    }
}

/// `/orders` and below, with their description. An order that is placed waits `order_expiry` for its answer.
pub(crate) fn routes(
    store: &Store,
    read_model: ReadModel,
    order_expiry: Duration,
) -> OpenApiRouter {
    let place = [
        &common::BODY_MALFORMED,
        &own::IDEMPOTENCY_KEY_INVALID,
        &common::BODY_TOO_LARGE,
        &common::BODY_NOT_JSON,
        &common::BODY_INVALID,
        &own::IDEMPOTENCY_KEY_REUSED,
    ];
    let cancel = [
        &own::ORDER_UNKNOWN,
        &own::ORDER_SETTLED,
        &own::ORDER_REFUSED,
        &common::VERSION_CONFLICT,
    ];
    OpenApiRouter::default()
        .routes(refusing(routes!(place::place), &place))
        .routes(refusing(routes!(orders::list), &[&common::QUERY_INVALID]))
        .routes(reading(routes!(orders::one), &own::ORDER_UNKNOWN))
        .routes(refusing(routes!(orders::cancel), &cancel))
        .with_state(Orders {
            store: store.clone(),
            read_model,
            order_expiry,
        })
}

/// The description of all that the service serves.
///
/// # Errors
/// When the routes' own cannot be written.
pub(crate) fn api(own: &OpenApi, guarded: bool) -> Result<ApiDocument, serde_json::Error> {
    let what = "Takes orders for faster internet lines, and publishes what becomes of them as the feed `orders`.";
    let document = ApiDocument::new("order-svc", env!("CARGO_PKG_VERSION"), what)
        .problem_types(PROBLEM_TYPES)
        .feeds(&[storage::FEED])
        .guarded(guarded)
        .with(own)?;
    Ok(document)
}

/// The answer for a path that is none of ours.
pub(crate) async fn no_such_path() -> Problem {
    Problem::new(
        &common::PATH_UNKNOWN,
        "there are /orders, /feeds, /problems, /docs, /openapi.json, /livez, /readyz and /version",
    )
}

/// The answer for a method that a path does not take.
pub(crate) async fn no_such_method() -> Problem {
    Problem::new(
        &common::METHOD_UNKNOWN,
        "the Allow header lists those that it takes",
    )
}

fn no_such_order(id: &str) -> Problem {
    let id: String = id.chars().take(80).collect();
    Problem::new(
        &own::ORDER_UNKNOWN,
        format!("no order has the id {id:?}; GET /orders lists those that there are"),
    )
}

/// The order's id in a path; what is no id is no order's either.
fn order_id(id: String) -> Result<OrderId, Problem> {
    OrderId::try_from(id.clone()).map_err(|_| no_such_order(&id))
}

/// A command that was not carried out, as it is told to whoever gave it.
fn refused(order_id: &OrderId, error: DecideError<OrderError>) -> Problem {
    match error {
        DecideError::Refused(refusal) => match refusal {
            OrderError::Unknown => no_such_order(order_id.as_str()),
            OrderError::Settled { status, .. } => {
                Problem::new(&own::ORDER_SETTLED, refusal.to_string()).with("order_status", status)
            }
            OrderError::Exists(_) => Problem::new(&own::ORDER_REFUSED, refusal.to_string()),
        },
        DecideError::Append(error) => error.into(),
        DecideError::Invalid(error) => StoreError::Corrupt(error.to_string()).into(),
    }
}
