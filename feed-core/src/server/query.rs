//! Paths and query strings: typed, and refused by a problem; lists that come in pages.

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::problem_types;
use crate::error::InvalidValue;
use crate::limits::{LIST_ITEMS_DEFAULT, LIST_ITEMS_MAX};

/// What the path's `{…}` hold, as a `T`; refused with 400 when the path is no UTF-8.
#[derive(Debug, Clone)]
pub struct PathParams<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(parameters)| PathParams(parameters))
            .map_err(|rejection| {
                Problem::new(&problem_types::PATH_MALFORMED, rejection.body_text())
            })
    }
}

/// The request's query string as a `T`; refused with 400, the detail names the parameter.
#[derive(Debug, Clone)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| QueryParams(value))
            .map_err(|rejection| {
                let source = std::error::Error::source(&rejection).map(ToString::to_string);
                let reason = source.unwrap_or_else(|| rejection.body_text());
                Problem::new(&problem_types::QUERY_INVALID, reason)
            })
    }
}

/// How many items of a list are wanted: 1 to [`LIST_ITEMS_MAX`], [`LIST_ITEMS_DEFAULT`] unless the request says it.
///
/// One more than is shown is read, to see whether anything follows:
///
/// ```
/// use feed_core::server::Limit;
/// let limit = Limit::try_from(2)?;
/// assert_eq!(limit.to_read(), 3);
/// let mut items = vec!["a", "b", "c"];
/// assert!(limit.cut(&mut items));
/// assert_eq!(items, ["a", "b"]);
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
pub struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Limit(LIST_ITEMS_DEFAULT)
    }
}

impl TryFrom<i64> for Limit {
    type Error = InvalidValue;

    fn try_from(number: i64) -> Result<Self, InvalidValue> {
        match u32::try_from(number) {
            Ok(limit @ 1..=LIST_ITEMS_MAX) => Ok(Limit(limit)),
            _ => Err(InvalidValue::new(
                "limit",
                &number.to_string(),
                "a whole number from 1 to 500",
            )),
        }
    }
}

impl Limit {
    /// The number of items.
    pub fn get(self) -> u32 {
        self.0
    }

    /// One more than is shown.
    pub fn to_read(self) -> u32 {
        self.0 + 1
    }

    /// Takes away what was read beyond the page. Returns whether something follows.
    pub fn cut<T>(self, items: &mut Vec<T>) -> bool {
        let follows = items.len() > self.0 as usize;
        items.truncate(self.0 as usize);
        follows
    }
}
