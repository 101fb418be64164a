//! Errors as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use super::problem_type::ProblemType;
use super::problem_types;
use crate::error::{AppendError, StoreError};

/// An error as it is told over HTTP: what happened, and what to do about it.
///
/// ```
/// use feed_core::server::{Problem, problem_types};
/// let problem = Problem::new(&problem_types::VERSION_CONFLICT, "the lamp was switched meanwhile")
///     .with("current_version", 7);
/// assert_eq!(problem.status(), 409);
/// ```
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    members: Map<String, Value>,
    retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem of this type, with its usual status; `detail` says what is wrong in this case and what helps.
    pub fn new(kind: &'static ProblemType, detail: impl Into<String>) -> Self {
        let status = kind.status();
        let mut members = Map::new();
        members.insert("type".into(), kind.uri().into());
        members.insert("title".into(), kind.title.into());
        members.insert("status".into(), status.as_u16().into());
        members.insert("detail".into(), detail.into().into());
        Problem {
            status,
            members,
            retry_after_s: None,
        }
    }

    /// With another status than the usual one of its type.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self.with("status", status.as_u16())
    }

    /// With a further member, for machines. A value without a JSON form is left out.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.members.insert(member.into(), value);
        }
        self
    }

    /// With `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Value::Object(self.members).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    /// What went wrong inside is logged here and not told to the outside.
    fn from(error: StoreError) -> Self {
        if let StoreError::UnknownFeed(feed) = &error {
            return Problem::new(
                &problem_types::FEED_UNKNOWN,
                format!("no feed {feed:?} here; GET /feeds lists those that there are"),
            );
        }
        tracing::error!(%error, "a request failed");
        if error.is_transient() {
            Problem::new(
                &problem_types::UNAVAILABLE,
                "its database is busy, full or out of reach; try again",
            )
            .retry_after(1)
        } else {
            Problem::new(
                &problem_types::INTERNAL,
                "its log says why; trying again will not help",
            )
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Store(error) => error.into(),
            AppendError::Conflict { current, .. } => {
                { Problem::new(&problem_types::VERSION_CONFLICT, error.to_string()) }
                    .with("current_version", current)
            }
            AppendError::TooLarge { .. } | AppendError::Count { .. } => {
                Problem::new(&problem_types::EVENT_TOO_LARGE, error.to_string())
            }
            AppendError::IdTaken { .. }
            | AppendError::SubjectElsewhere { .. }
            | AppendError::Full(_)
            | AppendError::CauseUnknown
            | AppendError::NotDurable { .. } => StoreError::Statement(error.to_string()).into(),
        }
    }
}
