//! `GET /customers`, `GET /customers/{id}` and `PUT /customers/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use feed_core::read_model::{ReadModel, ReadQuery};
use feed_core::server::{JsonBody, Limit, PathParams, Problem, QueryParams};
use feed_core::{Store, StoreError, Tx};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem_types as own;
use super::{put_response, refused, unknown};
use crate::domain::{CurrentMbps, Customer, CustomerId, GeoSlug, Name};
use crate::storage::{self, ChangeError, CustomerRow};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those who live there
    geo: Option<GeoSlug>,
    /// Only those behind this one; `next` has it
    after: Option<CustomerId>,
    /// How many are wanted at most
    #[serde(default)]
    limit: Limit,
}

/// Some customers, by rising id.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CustomerList {
    customers: Vec<CustomerRow>,
    /// Where the list goes on; none at its end.
    next: Option<String>,
}

/// What a customer is; its id stands in the path.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateCustomer {
    name: Name,
    geo: GeoSlug,
    current_mbps: CurrentMbps,
}

/// All customers, by rising id
#[utoipa::path(
    get, path = "/customers", operation_id = "customers", tag = "customers", params(ListQuery),
    responses((status = 200, description = "As many as were asked for, and where to go on", body = CustomerList)),
)]
pub(super) async fn list(
    State(store): State<Store>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<CustomerList>, Problem> {
    let ListQuery { geo, after, limit } = query;
    let wanted = geo.clone();
    let mut customers: Vec<CustomerRow> = store
        .read(async move |tx: &mut Tx<'_>| {
            storage::customers(tx, wanted.as_ref(), after.as_ref(), limit.to_read()).await
        })
        .await?;
    let follows = limit.cut(&mut customers);
    // Ids and slugs need no escaping in a URL.
    let of_geo = geo.map_or_else(String::new, |geo| format!("&geo={geo}"));
    let next = customers.last().filter(|_| follows).map(|last| {
        let after = &last.customer.customer_id;
        format!("/customers?after={after}&limit={}{of_geo}", limit.get())
    });
    Ok(Json(CustomerList { customers, next }))
}

/// One customer
///
/// With `after`, the answer contains that event of the orders feed.
#[utoipa::path(
    get, path = "/customers/{id}", operation_id = "customer", tag = "customers",
    params(("id" = CustomerId, Path), ReadQuery),
    responses((status = 200, description = "As it was stated last", body = CustomerRow)),
)]
pub(super) async fn one(
    State(store): State<Store>,
    State(read_model): State<ReadModel>,
    PathParams(id): PathParams<String>,
    QueryParams(query): QueryParams<ReadQuery>,
) -> Result<Json<CustomerRow>, Problem> {
    let Ok(customer_id) = CustomerId::try_from(id.clone()) else {
        return Err(unknown(&own::CUSTOMER_UNKNOWN, "customer", &id));
    };
    read_model.wait_for(&query).await?;
    store
        .read(async move |tx: &mut Tx<'_>| storage::customer(tx, &customer_id).await)
        .await?
        .map(Json)
        .ok_or_else(|| unknown(&own::CUSTOMER_UNKNOWN, "customer", &id))
}

/// States what a customer is
///
/// Facts are never refused. What is the same already is left alone, and nothing is published.
#[utoipa::path(
    put, path = "/customers/{id}", operation_id = "put_customer", tag = "customers", request_body = StateCustomer,
    params(("id" = CustomerId, Path)),
    responses(
        (status = 200, description = "It was known; as it is now", body = CustomerRow),
        (
            status = 201, description = "It is new", body = CustomerRow,
            headers(("Location" = String, description = "Its own URL")),
        ),
    ),
)]
pub(super) async fn put(
    State(store): State<Store>,
    PathParams(id): PathParams<String>,
    JsonBody(body): JsonBody<StateCustomer>,
) -> Result<Response, Problem> {
    let customer_id = CustomerId::try_from(id)
        .map_err(|error| Problem::new(&own::PATH_INVALID, error.to_string()))?;
    let url = format!("/customers/{customer_id}");
    let stated = Customer {
        customer_id,
        name: body.name,
        geo: body.geo,
        current_mbps: body.current_mbps,
    };
    let (put, row) = store
        .write_retrying(async move |tx: &mut Tx<'_>| {
            let put = storage::put_customer(tx, &stated).await?;
            let row = storage::customer(tx, &stated.customer_id).await?;
            let row = row.ok_or_else(|| {
                ChangeError::from(StoreError::Corrupt(format!(
                    "no row for {:?}",
                    stated.customer_id
                )))
            })?;
            Ok((put, row))
        })
        .await
        .map_err(refused)?;
    Ok(put_response(put, &url, &row))
}
