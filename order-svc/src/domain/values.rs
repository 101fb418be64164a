//! Values that are checked where they enter: no other part of the service checks them again.

use std::fmt;

use feed_core::server::WholeNumber;
use feed_core::server::openapi::text_schema;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// Longest customer id or order id, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Fastest line that can be asked for, in Mbit/s.
const REQUESTED_MBPS_MAX: u32 = 1_000_000;

/// A value that is not taken; the message names its field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no valid {field}: {allowed}")]
pub(crate) struct InvalidField {
    field: &'static str,
    found: String,
    allowed: &'static str,
}

impl InvalidField {
    /// Keeps the beginning of `found` only, so that an error never repeats a huge input.
    pub(crate) fn new(field: &'static str, found: &str, allowed: &'static str) -> Self {
        InvalidField {
            field,
            found: found.chars().take(80).collect(),
            allowed,
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// A text that is an id: `[A-Za-z0-9._-]{1,64}`.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(String);

        impl $name {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidField;

            fn try_from(text: String) -> Result<Self, InvalidField> {
                if is_id(&text) {
                    Ok($name(text))
                } else {
                    Err(InvalidField::new(
                        $field,
                        &text,
                        "A-Z, a-z, 0-9, '.', '_' and '-', 1 to 64 characters",
                    ))
                }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text_schema("^[A-Za-z0-9._-]+$", 1, ID_BYTES_MAX)
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

id! {
    /// Who orders. Any well-formed id is taken: whether there is such a customer is not ours to know.
    CustomerId, "customer_id", "c-1001"
}

id! {
    /// Our own name for an order: a UUIDv7, so that an index takes it at its end.
    OrderId, "order_id", "01a20841-860d-74cd-9777-5fe41cded233"
}

impl OrderId {
    /// A new one.
    pub(crate) fn now() -> Self {
        OrderId(Uuid::now_v7().as_hyphenated().to_string())
    }
}

/// The speed that is asked for, in Mbit/s: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "WholeNumber", into = "u32")]
pub(crate) struct RequestedMbps(u32);

impl RequestedMbps {
    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for RequestedMbps {
    type Error = InvalidField;

    fn try_from(number: i64) -> Result<Self, InvalidField> {
        match u32::try_from(number) {
            Ok(mbps @ 1..=REQUESTED_MBPS_MAX) => Ok(RequestedMbps(mbps)),
            _ => Err(InvalidField::new(
                "requested_mbps",
                &number.to_string(),
                "a whole number from 1 to 1000000",
            )),
        }
    }
}

impl TryFrom<WholeNumber> for RequestedMbps {
    type Error = InvalidField;

    fn try_from(number: WholeNumber) -> Result<Self, InvalidField> {
        RequestedMbps::try_from(number.0)
    }
}

impl From<RequestedMbps> for u32 {
    fn from(mbps: RequestedMbps) -> u32 {
        mbps.0
    }
}

impl PartialSchema for RequestedMbps {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("The speed that is asked for, in Mbit/s"))
            .minimum(Some(1))
            .maximum(Some(i64::from(REQUESTED_MBPS_MAX)))
            .examples([500])
            .into()
    }
}

impl ToSchema for RequestedMbps {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        for good in ["c-1001", "A", "a.b_c-D", &"x".repeat(64)] {
            assert!(CustomerId::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "a b", "ä", "a/b", "a\n", &"x".repeat(65)] {
            let error = CustomerId::try_from(bad.to_owned()).unwrap_err();
            assert!(error.to_string().contains("valid customer_id:"), "{error}");
        }
        assert!(is_id(OrderId::now().as_str()));
    }

    #[test]
    fn whole_numbers_are_taken_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<RequestedMbps>(text).map(RequestedMbps::get);
        for (text, mbps) in [
            ("500", 500),
            ("500.0", 500),
            ("5e2", 500),
            ("1e6", 1_000_000),
        ] {
            assert_eq!(read(text).unwrap(), mbps, "{text}");
        }
        for text in ["1.5", "0.0", "1e7", "1e300", "-1.0", "\"500\"", "null"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn speeds_are_checked() {
        for good in [1, 500, 1_000_000] {
            assert_eq!(
                i64::from(RequestedMbps::try_from(good).unwrap().get()),
                good
            );
        }
        for bad in [0, -1, 1_000_001, i64::MAX, i64::MIN] {
            let error = RequestedMbps::try_from(bad).unwrap_err();
            assert!(
                error.to_string().contains("valid requested_mbps:"),
                "{error}"
            );
        }
    }
}
