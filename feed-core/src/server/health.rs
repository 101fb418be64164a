//! What probes ask.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::problem::Problem;
use crate::store::Store;

struct Health {
    store: Store,
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
        .route("/livez", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(readyz))
        .route("/version", get(version_of))
        .with_state(state)
}

async fn readyz(State(health): State<Arc<Health>>) -> Result<Json<Value>, Problem> {
    let feeds = health.store.feeds().await?;
    Ok(Json(json!({ "status": "ok", "feeds": feeds })))
}

async fn version_of(State(health): State<Arc<Health>>) -> Json<Value> {
    Json(json!({ "service": health.service, "version": health.version }))
}
