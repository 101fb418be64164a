//! The routes for geos, customers and reservations. Those of the feed and of the probes come from feed-core.

mod customers;
mod geos;
mod problem_types;
mod reservations;

#[cfg(test)]
mod tests;

use axum::Json;
use axum::extract::FromRef;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::read_model::ReadModel;
use feed_core::server::openapi::{ApiDocument, reading, refusing};
use feed_core::server::{Problem, ProblemType, problem_types as common};
use feed_core::{Store, StoreError};
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use problem_types as own;
pub use problem_types::PROBLEM_TYPES;

use crate::storage::{self, ChangeError, Put};

/// What the routes work with.
#[derive(Clone)]
struct Customers {
    store: Store,
    read_model: ReadModel,
}

impl FromRef<Customers> for Store {
    fn from_ref(customers: &Customers) -> Store {
        customers.store.clone()
    }
}

impl FromRef<Customers> for ReadModel {
    fn from_ref(customers: &Customers) -> ReadModel {
        customers.read_model.clone()
    }
}

/// `/geos`, `/customers`, `/reservations` and below, with their description.
pub(crate) fn routes(store: &Store, read_model: ReadModel) -> OpenApiRouter {
    let list = [&common::QUERY_INVALID];
    let put = [
        &common::BODY_MALFORMED,
        &own::OVERTAKEN,
        &common::VERSION_CONFLICT,
        &common::BODY_TOO_LARGE,
        &common::BODY_NOT_JSON,
        &common::BODY_INVALID,
        &own::PATH_INVALID,
    ];
    OpenApiRouter::default()
        .routes(refusing(routes!(geos::list), &list))
        .routes(reading(routes!(geos::one), &own::GEO_UNKNOWN))
        .routes(refusing(routes!(geos::put), &put))
        .routes(refusing(routes!(customers::list), &list))
        .routes(reading(routes!(customers::one), &own::CUSTOMER_UNKNOWN))
        .routes(refusing(routes!(customers::put), &put))
        .routes(reading(
            routes!(reservations::one),
            &own::RESERVATION_UNKNOWN,
        ))
        .with_state(Customers {
            store: store.clone(),
            read_model,
        })
}

/// The description of all that the service serves.
///
/// # Errors
/// When the routes' own cannot be written.
pub(crate) fn api(own: &OpenApi, guarded: bool) -> Result<ApiDocument, serde_json::Error> {
    let what = "Keeps customers and geos, reserves speed for orders, and publishes all of it as the feed `customers`.";
    let document = ApiDocument::new("customer-svc", env!("CARGO_PKG_VERSION"), what)
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
        "there are /geos, /customers, /reservations/{order_id}, /feeds, /problems, /docs, /openapi.json, /livez, /readyz and /version",
    )
}

/// The answer for a method that a path does not take.
pub(crate) async fn no_such_method() -> Problem {
    Problem::new(
        &common::METHOD_UNKNOWN,
        "the Allow header lists those that it takes",
    )
}

/// Something that is not there, such as `customer`, with what was looked for.
fn unknown(kind: &'static ProblemType, what: &'static str, id: &str) -> Problem {
    let id: String = id.chars().take(80).collect();
    Problem::new(kind, format!("there is no {what} {id:?}"))
}

/// A change that was not made, as it is told to whoever asked for it.
fn refused(error: ChangeError) -> Problem {
    match error {
        ChangeError::Overtaken(_) => Problem::new(&own::OVERTAKEN, format!("{error}; try again")),
        ChangeError::NoReservation(_) => Problem::new(&own::RESERVATION_UNKNOWN, error.to_string()),
        ChangeError::Append(error) => error.into(),
        ChangeError::Invalid(error) => StoreError::Corrupt(error.to_string()).into(),
    }
}

/// The answer to a PUT: what was stated, as it is now, and whether it is new.
fn put_response(put: Put, url: &str, body: &impl Serialize) -> Response {
    let status = match put {
        Put::Created => StatusCode::CREATED,
        Put::Changed | Put::Unchanged => StatusCode::OK,
    };
    let mut response = (status, Json(body)).into_response();
    if put == Put::Created
        && let Ok(url) = HeaderValue::from_str(url)
    {
        response.headers_mut().insert(header::LOCATION, url);
    }
    response
}
