//! `GET /geos`, `GET /geos/{geo}` and `PUT /geos/{geo}`.

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
use crate::domain::{CapacityMbps, Geo, GeoSlug, MaxMbps, Name};
use crate::storage::{self, ChangeError, GeoRow};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those behind this one; `next` has it
    after: Option<GeoSlug>,
    /// How many are wanted at most
    #[serde(default)]
    limit: Limit,
}

/// Some geos, by rising slug.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GeoList {
    geos: Vec<GeoRow>,
    /// Where the list goes on; none at its end.
    next: Option<String>,
}

/// What a geo is; its slug stands in the path.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateGeo {
    name: Name,
    max_mbps: MaxMbps,
    capacity_mbps: CapacityMbps,
}

/// All geos, by rising slug
#[utoipa::path(
    get, path = "/geos", operation_id = "geos", tag = "geos", params(ListQuery),
    responses((status = 200, description = "As many as were asked for, and where to go on", body = GeoList)),
)]
pub(super) async fn list(
    State(store): State<Store>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<GeoList>, Problem> {
    let ListQuery { after, limit } = query;
    let mut geos: Vec<GeoRow> = store
        .read(async move |tx: &mut Tx<'_>| storage::geos(tx, after.as_ref(), limit.to_read()).await)
        .await?;
    let follows = limit.cut(&mut geos);
    let next = geos
        .last()
        .filter(|_| follows)
        .map(|last| format!("/geos?after={}&limit={}", last.geo.geo, limit.get()));
    Ok(Json(GeoList { geos, next }))
}

/// One geo, with its books
///
/// With `after`, the answer contains that event of the orders feed.
#[utoipa::path(
    get, path = "/geos/{geo}", operation_id = "geo", tag = "geos",
    params(("geo" = GeoSlug, Path), ReadQuery),
    responses((status = 200, description = "As it was stated last", body = GeoRow)),
)]
pub(super) async fn one(
    State(store): State<Store>,
    State(read_model): State<ReadModel>,
    PathParams(geo): PathParams<String>,
    QueryParams(query): QueryParams<ReadQuery>,
) -> Result<Json<GeoRow>, Problem> {
    let Ok(slug) = GeoSlug::try_from(geo.clone()) else {
        return Err(unknown(&own::GEO_UNKNOWN, "geo", &geo));
    };
    read_model.wait_for(&query).await?;
    store
        .read(async move |tx: &mut Tx<'_>| storage::geo(tx, &slug).await)
        .await?
        .map(Json)
        .ok_or_else(|| unknown(&own::GEO_UNKNOWN, "geo", &geo))
}

/// States what a geo is
///
/// Facts are never refused. What is the same already is left alone, and nothing is published.
#[utoipa::path(
    put, path = "/geos/{geo}", operation_id = "put_geo", tag = "geos", request_body = StateGeo,
    params(("geo" = GeoSlug, Path)),
    responses(
        (status = 200, description = "It was known; as it is now", body = GeoRow),
        (
            status = 201, description = "It is new", body = GeoRow,
            headers(("Location" = String, description = "Its own URL")),
        ),
    ),
)]
pub(super) async fn put(
    State(store): State<Store>,
    PathParams(geo): PathParams<String>,
    JsonBody(body): JsonBody<StateGeo>,
) -> Result<Response, Problem> {
    let geo = GeoSlug::try_from(geo)
        .map_err(|error| Problem::new(&own::PATH_INVALID, error.to_string()))?;
    let url = format!("/geos/{geo}");
    let stated = Geo {
        geo,
        name: body.name,
        max_mbps: body.max_mbps,
        capacity_mbps: body.capacity_mbps,
    };
    let (put, row) = store
        .write_retrying(async move |tx: &mut Tx<'_>| {
            let put = storage::put_geo(tx, &stated).await?;
            let row = storage::geo(tx, &stated.geo).await?.ok_or_else(|| {
                ChangeError::from(StoreError::Corrupt(format!("no row for {:?}", stated.geo)))
            })?;
            Ok((put, row))
        })
        .await
        .map_err(refused)?;
    Ok(put_response(put, &url, &row))
}
