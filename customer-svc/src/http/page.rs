//! Lists come in pages: `limit` items behind `after`, and the URL of what follows.

use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use feed_core::server::Problem;
use serde::Deserialize;

use crate::domain::InvalidField;

/// Items in a page, unless the request says otherwise.
const LIMIT_DEFAULT: u32 = 50;
/// Most items in a page.
const LIMIT_MAX: u32 = 500;

/// How many items are wanted.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Limit(LIMIT_DEFAULT)
    }
}

impl TryFrom<i64> for Limit {
    type Error = InvalidField;

    fn try_from(number: i64) -> Result<Self, InvalidField> {
        match u32::try_from(number) {
            Ok(limit @ 1..=LIMIT_MAX) => Ok(Limit(limit)),
            _ => Err(InvalidField::new(
                "limit",
                &number.to_string(),
                "a whole number from 1 to 500",
            )),
        }
    }
}

impl Limit {
    pub(super) fn get(self) -> u32 {
        self.0
    }

    /// One more than is shown, to see whether anything follows.
    pub(super) fn to_read(self) -> u32 {
        self.0 + 1
    }

    /// Takes away what was read beyond the page. Returns whether something follows.
    pub(super) fn cut<T>(self, items: &mut Vec<T>) -> bool {
        let follows = items.len() > self.0 as usize;
        items.truncate(self.0 as usize);
        follows
    }
}

/// A query string that is refused, with the name of the parameter.
pub(super) fn invalid_query(rejection: &QueryRejection) -> Problem {
    let source = std::error::Error::source(rejection).map(ToString::to_string);
    Problem::new(
        StatusCode::BAD_REQUEST,
        "query-invalid",
        "A parameter of the URL is not valid",
        source.unwrap_or_else(|| rejection.body_text()),
    )
}
