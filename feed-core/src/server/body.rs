//! Request bodies: bounded, typed, and refused with the name of the field that is wrong.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::problem::Problem;
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
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(JsonBody(value)),
            Err(rejection) => Err(refusal(&rejection)),
        }
    }
}

fn refusal(rejection: &JsonRejection) -> Problem {
    // The source says where: "requested_mbps: invalid type: string …".
    let source = std::error::Error::source(rejection).map(ToString::to_string);
    let reason = source.unwrap_or_else(|| rejection.body_text());
    match rejection {
        JsonRejection::JsonDataError(_) => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "body-invalid",
            "The body is not what is asked for",
            reason,
        ),
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "body-not-json",
            "The body has to be JSON",
            "send it with Content-Type: application/json",
        ),
        JsonRejection::BytesRejection(bytes) if bytes.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is too large",
                format!("{REQUEST_BODY_BYTES_MAX} bytes at most"),
            )
        }
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            "body-malformed",
            "The body is no JSON",
            reason,
        ),
    }
}
