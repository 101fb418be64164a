//! The routes for orders. Those of the feed and of the probes come from feed-core.

mod orders;
mod place;
mod problem_types;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::routing::{get, post};
use feed_core::server::{Problem, problem_types as common};
use feed_core::{DecideError, Store, StoreError};

use problem_types as own;
pub use problem_types::PROBLEM_TYPES;

use crate::domain::{OrderError, OrderId};

/// `/orders` and below.
pub(crate) fn routes(store: &Store) -> Router {
    Router::new()
        .route("/orders", post(place::place).get(orders::list))
        .route("/orders/{id}", get(orders::one))
        .route("/orders/{id}/cancel", post(orders::cancel))
        .with_state(store.clone())
}

/// The answer for a path that is none of ours.
pub(crate) async fn no_such_path() -> Problem {
    Problem::new(
        &common::PATH_UNKNOWN,
        "there are /orders, /feeds, /livez, /readyz and /version",
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
            OrderError::Exists(_) | OrderError::InTime(_) => {
                Problem::new(&own::ORDER_REFUSED, refusal.to_string())
            }
        },
        DecideError::Append(error) => error.into(),
        DecideError::Invalid(error) => StoreError::Corrupt(error.to_string()).into(),
    }
}
