//! `GET /reservations/{order_id}`.

use axum::Json;
use axum::extract::State;
use feed_core::read_model::{ReadModel, ReadQuery};
use feed_core::server::{PathParams, Problem, QueryParams};
use feed_core::{Store, Tx};

use super::problem_types as own;
use super::unknown;
use crate::domain::OrderId;
use crate::storage::{self, ReservationRow};

/// What was decided about an order
///
/// With `after`, the answer contains that event of the orders feed: the `last_event_id` of the order that was placed.
#[utoipa::path(
    get, path = "/reservations/{order_id}", operation_id = "reservation", tag = "reservations",
    params(("order_id" = OrderId, Path), ReadQuery),
    responses((status = 200, description = "The answer, and what it was based on", body = ReservationRow)),
)]
pub(super) async fn one(
    State(store): State<Store>,
    State(read_model): State<ReadModel>,
    PathParams(id): PathParams<String>,
    QueryParams(query): QueryParams<ReadQuery>,
) -> Result<Json<ReservationRow>, Problem> {
    let Ok(order_id) = OrderId::try_from(id.clone()) else {
        return Err(unknown(
            &own::RESERVATION_UNKNOWN,
            "reservation of the order",
            &id,
        ));
    };
    read_model.wait_for(&query).await?;
    store
        .read(async move |tx: &mut Tx<'_>| storage::reservation(tx, &order_id).await)
        .await?
        .map(Json)
        .ok_or_else(|| unknown(&own::RESERVATION_UNKNOWN, "reservation of the order", &id))
}
