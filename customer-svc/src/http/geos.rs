//! `GET /geos`, `GET /geos/{geo}` and `PUT /geos/{geo}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use feed_core::server::{JsonBody, Limit, PathParams, Problem, QueryParams};
use feed_core::{Store, StoreError, Tx};
use serde::{Deserialize, Serialize};

use super::problem_types as own;
use super::{put_response, refused, unknown};
use crate::domain::{CapacityMbps, Geo, GeoSlug, MaxMbps, Name};
use crate::storage::{self, ChangeError, GeoRow};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    after: Option<GeoSlug>,
    #[serde(default)]
    limit: Limit,
}

/// Some geos, by rising slug.
#[derive(Debug, Serialize)]
pub(super) struct GeoList {
    geos: Vec<GeoRow>,
    /// Where the list goes on; none at its end.
    next: Option<String>,
}

/// What a geo is; its slug stands in the path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateGeo {
    name: Name,
    max_mbps: MaxMbps,
    capacity_mbps: CapacityMbps,
}

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

pub(super) async fn one(
    State(store): State<Store>,
    PathParams(geo): PathParams<String>,
) -> Result<Json<GeoRow>, Problem> {
    let Ok(slug) = GeoSlug::try_from(geo.clone()) else {
        return Err(unknown(&own::GEO_UNKNOWN, "geo", &geo));
    };
    store
        .read(async move |tx: &mut Tx<'_>| storage::geo(tx, &slug).await)
        .await?
        .map(Json)
        .ok_or_else(|| unknown(&own::GEO_UNKNOWN, "geo", &geo))
}

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
