//! What probes ask.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::problem::Problem;
use crate::event::FeedName;
use crate::store::Store;

struct Health {
    store: Store,
    service: &'static str,
    version: &'static str,
}

/// The answer of `/livez`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) struct Alive {
    /// Always `ok`: a process that is not does not answer.
    status: &'static str,
}

/// The answer of `/readyz`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) struct Ready {
    /// Always `ok`: a database that is not is a problem.
    status: &'static str,
    /// The feeds in the database.
    feeds: Vec<FeedName>,
}

/// The answer of `/version`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) struct Version {
    service: &'static str,
    version: &'static str,
}

/// The routes `/livez` (the process answers), `/readyz` (its database does too) and `/version`.
pub fn health(store: &Store, service: &'static str, version: &'static str) -> Router {
    let state = Arc::new(Health {
        store: store.clone(),
        service,
        version,
    });
    Router::new()
        .route("/livez", get(|| async { Json(Alive { status: "ok" }) }))
        .route("/readyz", get(readyz))
        .route("/version", get(version_of))
        .with_state(state)
}

async fn readyz(State(health): State<Arc<Health>>) -> Result<Json<Ready>, Problem> {
    let feeds = health.store.feeds().await?;
    Ok(Json(Ready {
        status: "ok",
        feeds,
    }))
}

async fn version_of(State(health): State<Arc<Health>>) -> Json<Version> {
    Json(Version {
        service: health.service,
        version: health.version,
    })
}
