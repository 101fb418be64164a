//! `/openapi.json` and `/docs`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::Config;

use crate::server::conditional;
use crate::server::problem::Problem;
use crate::server::problem_types as types;

/// What the page may load: its own files, and what this service answers.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

struct Pages {
    document: Vec<u8>,
    config: Arc<Config<'static>>,
}

pub(super) fn routes(document: &Value) -> Router {
    // Relative to the page. It has no field for other documents, and asks nobody whether this one is valid.
    let config = Config::from("../openapi.json")
        .use_base_layout()
        .validator_url("none")
        .try_it_out_enabled(true);
    let pages = Arc::new(Pages {
        document: document.to_string().into_bytes(),
        config: Arc::new(config),
    });
    Router::new()
        .route("/openapi.json", get(json))
        // Relative, so that a path prefix changes nothing.
        .route("/docs", get(|| async { Redirect::temporary("docs/") }))
        .route("/docs/", get(index))
        .route("/docs/{file}", get(file))
        .with_state(pages)
}

async fn json(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    file_response(&headers, "application/json", &pages.document)
}

async fn index(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Result<Response, Problem> {
    swagger(&pages, &headers, "index.html")
}

async fn file(
    State(pages): State<Arc<Pages>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    swagger(&pages, &headers, &name)
}

fn swagger(pages: &Pages, headers: &HeaderMap, name: &str) -> Result<Response, Problem> {
    let no_such_file = || Problem::new(&types::PATH_UNKNOWN, "the page is /docs/");
    let file = utoipa_swagger_ui::serve(name, pages.config.clone());
    let file = file.ok().flatten().ok_or_else(no_such_file)?;
    Ok(file_response(headers, &file.content_type, &file.bytes))
}

/// The bytes, or 304 when the reader has them.
fn file_response(request: &HeaderMap, media_type: &str, bytes: &[u8]) -> Response {
    let digest = Sha256::digest(bytes);
    let hex: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
    let etag = format!("\"{hex}\"");
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &str| {
        // Media types, digests and our own words are visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, &etag);
    set(header::CACHE_CONTROL, "no-cache");
    if conditional::Known::by(request).is(&etag) {
        return (http::StatusCode::NOT_MODIFIED, headers).into_response();
    }
    set(header::CONTENT_TYPE, media_type);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    (headers, bytes.to_vec()).into_response()
}
