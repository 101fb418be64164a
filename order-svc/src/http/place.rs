//! `POST /orders`: places an order; at most once for an `Idempotency-Key`.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::server::openapi::text_schema;
use feed_core::server::{JsonBody, Problem};
use feed_core::{DecideError, StoreError, Tx};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::problem_types as own;
use super::{Orders, refused};
use crate::domain::{CustomerId, OrderCommand, OrderError, OrderId, RequestedMbps};
use crate::storage::{self, OrderRow};

/// Longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The request. Serialised again, it is the canonical form by which repetitions are recognised.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceOrder {
    customer_id: CustomerId,
    requested_mbps: RequestedMbps,
}

/// A request's key and the hash of its canonical form.
#[derive(Debug, Clone)]
struct Idempotency {
    key: String,
    request_sha256: [u8; 32],
}

/// The value of the header, for the OpenAPI document.
struct IdempotencyKey;

impl PartialSchema for IdempotencyKey {
    fn schema() -> RefOr<Schema> {
        text_schema("^[!-~]+$", 1, KEY_BYTES_MAX).into()
    }
}

impl ToSchema for IdempotencyKey {}

/// What is answered: the same to every repetition.
struct Placement {
    order_id: String,
    answer: String,
}

enum PlaceError {
    /// Another request has the key.
    KeyTaken,
    Decide(DecideError<OrderError>),
}

impl From<StoreError> for PlaceError {
    fn from(error: StoreError) -> Self {
        PlaceError::Decide(error.into())
    }
}

/// Places an order
///
/// The answer comes later: look at the order again, or follow the orders feed. With an `Idempotency-Key`, the same
/// request again gets the same answer and places nothing.
#[utoipa::path(
    post, path = "/orders", operation_id = "place_order", tag = "orders", request_body = PlaceOrder,
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header, description = "Such as a UUID; kept for 24 hours at least")),
    responses((
        status = 202, description = "The order, in status UPDATE", body = OrderRow,
        headers(("Location" = String, description = "The order's own URL")),
        links(
            ("order" = (operation_id = "order", parameters(("id" = "$response.body#/id")))),
            ("cancel" = (operation_id = "cancel_order", parameters(("id" = "$response.body#/id")))),
            ("event" = (
                operation_id = "feed_event",
                parameters(("feed" = "orders"), ("id" = "$response.body#/last_event_id")),
            )),
        ),
    )),
)]
pub(super) async fn place(
    State(orders): State<Orders>,
    headers: HeaderMap,
    JsonBody(order): JsonBody<PlaceOrder>,
) -> Result<Response, Problem> {
    let idempotency = idempotency(&headers, &order)?;
    let order_id = OrderId::now();
    let id = order_id.clone();
    let order_expiry = orders.order_expiry;
    let placed = orders
        .store
        .write(async move |tx: &mut Tx<'_>| {
            place_once(tx, &order_id, &order, order_expiry, idempotency.as_ref()).await
        })
        .await;
    match placed {
        Ok(Placement { order_id, answer }) => Ok((
            StatusCode::ACCEPTED,
            [
                (header::LOCATION, format!("/orders/{order_id}")),
                (header::CONTENT_TYPE, "application/json".to_owned()),
            ],
            answer,
        )
            .into_response()),
        Err(PlaceError::KeyTaken) => Err(Problem::new(
            &own::IDEMPOTENCY_KEY_REUSED,
            "this key came with another body before; send a new key with a new order",
        )),
        Err(PlaceError::Decide(error)) => Err(refused(&id, error)),
    }
}

/// Key, events, row, timer and answer commit together.
async fn place_once(
    tx: &mut Tx<'_>,
    order_id: &OrderId,
    order: &PlaceOrder,
    order_expiry: Duration,
    idempotency: Option<&Idempotency>,
) -> Result<Placement, PlaceError> {
    if let Some(Idempotency {
        key,
        request_sha256,
    }) = idempotency
        && let Some(before) = storage::claim_key(tx, key, request_sha256, order_id).await?
    {
        return if before.request_sha256 == *request_sha256 {
            Ok(Placement {
                order_id: before.order_id,
                answer: before.answer,
            })
        } else {
            Err(PlaceError::KeyTaken)
        };
    }
    let create = OrderCommand::Create {
        order_id: order_id.clone(),
        customer_id: order.customer_id.clone(),
        requested_mbps: order.requested_mbps,
        created_at: tx.now(),
    };
    let row = storage::place(tx, order_id, &create, order_expiry)
        .await
        .map_err(PlaceError::Decide)?;
    let answer =
        serde_json::to_string(&row).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    if let Some(Idempotency { key, .. }) = idempotency {
        storage::keep_answer(tx, key, &answer).await?;
    }
    tracing::debug!(%order_id, customer_id = %order.customer_id, "order placed");
    Ok(Placement {
        order_id: row.id,
        answer,
    })
}

/// The key of the request, if it carries one.
fn idempotency(headers: &HeaderMap, order: &PlaceOrder) -> Result<Option<Idempotency>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let key = match (keys.next(), keys.next()) {
        (None, _) => return Ok(None),
        (Some(key), None) => key.as_bytes(),
        (Some(_), Some(_)) => return Err(invalid_key()),
    };
    let key = std::str::from_utf8(key)
        .ok()
        .filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()))
        .filter(|key| key.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or_else(invalid_key)?;
    let canonical =
        serde_json::to_vec(order).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(Some(Idempotency {
        key: key.to_owned(),
        request_sha256: Sha256::digest(&canonical).into(),
    }))
}

fn invalid_key() -> Problem {
    Problem::new(
        &own::IDEMPOTENCY_KEY_INVALID,
        "Idempotency-Key: 1 to 255 visible ASCII characters, once",
    )
}
