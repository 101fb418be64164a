//! Request bodies: bounded, typed, and refused with the name of the field that is wrong.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::problem_types;
use crate::limits::REQUEST_BODY_BYTES_MAX;

/// The request's JSON body as a `T`.
///
/// Refused with 400 when it is no JSON, 413 above [`REQUEST_BODY_BYTES_MAX`], 415 when it does not say that it is
/// JSON, and 422 when it is no `T`; the detail names the field.
#[derive(Debug, Clone)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_headers(request.headers())?;
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| refusal(&error.into()))?;
        // Serde takes a list for a struct, field by field: their order would become part of the interface.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(invalid(
                "an object with named fields is asked for, not a list".to_owned(),
            ));
        }
        Json::from_bytes(&bytes)
            .map(|Json(value)| JsonBody(value))
            .map_err(|rejection| refusal(&rejection))
    }
}

/// The body says that it is JSON, and it is not compressed.
fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .unwrap_or_default()
    };
    let media_type = text(header::CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let encoding = text(header::CONTENT_ENCODING);
    if is_json && (encoding.is_empty() || encoding.eq_ignore_ascii_case("identity")) {
        return Ok(());
    }
    Err(Problem::new(
        &problem_types::BODY_NOT_JSON,
        "send it with Content-Type: application/json, and not compressed",
    ))
}

fn invalid(reason: String) -> Problem {
    Problem::new(&problem_types::BODY_INVALID, reason)
}

fn refusal(rejection: &JsonRejection) -> Problem {
    // The source says where: "requested_mbps: invalid type: string …".
    let source = std::error::Error::source(rejection).map(ToString::to_string);
    let reason = source.unwrap_or_else(|| rejection.body_text());
    match rejection {
        JsonRejection::JsonDataError(_) => invalid(reason),
        JsonRejection::BytesRejection(bytes) if bytes.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(
                &problem_types::BODY_TOO_LARGE,
                format!("{REQUEST_BODY_BYTES_MAX} bytes at most"),
            )
        }
        _ => Problem::new(&problem_types::BODY_MALFORMED, reason),
    }
}
