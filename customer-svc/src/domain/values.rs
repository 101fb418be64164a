//! Values that are checked where they enter: no other part of the service checks them again.

use std::fmt;

use feed_core::server::WholeNumber;
use feed_core::server::openapi::text_schema;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Longest customer id, order id or geo, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Longest name of a customer or a geo, in characters.
const NAME_CHARS_MAX: usize = 200;
/// Fastest line, in Mbit/s.
const LINE_MBPS_MAX: u32 = 1_000_000;
/// Largest capacity of a geo, in Mbit/s.
const CAPACITY_MBPS_MAX: u32 = 1_000_000_000;

/// What an id consists of, as a pattern.
const ID_PATTERN: &str = "^[A-Za-z0-9._-]+$";
/// The characters that no name has, and those that none begins or ends with, as parts of a pattern.
const CONTROLS: &str = r"\u0000-\u001F\u007F-\u009F";
const SPACES: &str = r" \u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000";

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

fn has_length(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
}

fn is_id(text: &str) -> bool {
    has_length(text)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_slug(text: &str) -> bool {
    has_length(text)
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_name(text: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&text.chars().count())
        && !text.contains(char::is_control)
        && text.trim() == text
}

/// A name as a pattern.
fn name_pattern() -> String {
    format!("^[^{CONTROLS}{SPACES}]([^{CONTROLS}]*[^{CONTROLS}{SPACES}])?$")
}

/// A checked text.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $field:literal, $check:expr, $allowed:literal, $pattern:expr, $max:expr) => {
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
                if $check(&text) {
                    Ok($name(text))
                } else {
                    Err(InvalidField::new($field, &text, $allowed))
                }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text_schema($pattern, 1, $max).into()
            }
        }

        impl ToSchema for $name {}
    };
}

text! {
    /// A customer's id, as whoever states the customer gives it.
    CustomerId, "customer_id", is_id, "A-Z, a-z, 0-9, '.', '_' and '-', 1 to 64 characters",
    ID_PATTERN, ID_BYTES_MAX
}

text! {
    /// The order service's name for an order.
    OrderId, "order_id", is_id, "A-Z, a-z, 0-9, '.', '_' and '-', 1 to 64 characters",
    ID_PATTERN, ID_BYTES_MAX
}

text! {
    /// The slug of a place whose lines share a capacity.
    GeoSlug, "geo", is_slug, "a-z, 0-9 and '-', 1 to 64 characters",
    "^[a-z0-9-]+$", ID_BYTES_MAX
}

text! {
    /// The name of a customer or a geo, for people.
    Name, "name", is_name, "1 to 200 characters, without control characters and without spaces at its ends",
    &name_pattern(), NAME_CHARS_MAX
}

/// A checked number of Mbit/s.
macro_rules! mbps {
    ($(#[$doc:meta])* $name:ident, $field:literal, $range:expr, $allowed:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "WholeNumber", into = "u32")]
        pub(crate) struct $name(u32);

        impl $name {
            pub(crate) fn get(self) -> u32 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = InvalidField;

            fn try_from(number: i64) -> Result<Self, InvalidField> {
                match u32::try_from(number) {
                    Ok(mbps) if $range.contains(&mbps) => Ok($name(mbps)),
                    _ => Err(InvalidField::new($field, &number.to_string(), $allowed)),
                }
            }
        }

        impl TryFrom<WholeNumber> for $name {
            type Error = InvalidField;

            fn try_from(number: WholeNumber) -> Result<Self, InvalidField> {
                $name::try_from(number.0)
            }
        }

        impl From<$name> for u32 {
            fn from(mbps: $name) -> u32 {
                mbps.0
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .description(Some("In Mbit/s"))
                    .minimum(Some(i64::from(*$range.start())))
                    .maximum(Some(i64::from(*$range.end())))
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

mbps! {
    /// The speed that a customer's line runs at; 0 for one that is not connected.
    CurrentMbps, "current_mbps", (0..=LINE_MBPS_MAX), "a whole number from 0 to 1000000"
}

mbps! {
    /// The fastest line on offer in a geo.
    MaxMbps, "max_mbps", (1..=LINE_MBPS_MAX), "a whole number from 1 to 1000000"
}

mbps! {
    /// The sum of the speeds that all lines of a geo may have.
    CapacityMbps, "capacity_mbps", (0..=CAPACITY_MBPS_MAX), "a whole number from 0 to 1000000000"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked() {
        for good in ["c-1001", "A", "a.b_c-D", &"x".repeat(64)] {
            assert!(CustomerId::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "a b", "ä", "a/b", "a\n", &"x".repeat(65)] {
            let error = CustomerId::try_from(bad.to_owned()).unwrap_err();
            assert!(error.to_string().contains("valid customer_id:"), "{error}");
            assert!(OrderId::try_from(bad.to_owned()).is_err(), "{bad}");
            assert!(GeoSlug::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        for bad in ["Berlin", "new_york", "a.b"] {
            assert!(GeoSlug::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(Name::try_from("São Paulo".to_owned()).is_ok());
        for bad in ["", " a", "a\u{7}", &"x".repeat(201)] {
            assert!(Name::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    fn pattern<T: PartialSchema>() -> regex::Regex {
        let schema = serde_json::to_value(T::schema()).unwrap();
        regex::Regex::new(schema["pattern"].as_str().unwrap()).unwrap()
    }

    proptest::proptest! {
        #[test]
        fn what_is_described_is_what_is_taken(text in "\\PC{0,3}[\u{0}-\u{a0}]?\\PC{0,3}|[a-z0-9. -]{0,5}|[ \u{a0}\u{2003}\u{3000}a]{0,4}") {
            proptest::prop_assert_eq!(pattern::<Name>().is_match(&text), is_name(&text), "{:?}", text);
            proptest::prop_assert_eq!(pattern::<CustomerId>().is_match(&text), is_id(&text), "{:?}", text);
            proptest::prop_assert_eq!(pattern::<GeoSlug>().is_match(&text), is_slug(&text), "{:?}", text);
        }
    }

    #[test]
    fn whole_numbers_are_taken_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<CapacityMbps>(text).map(CapacityMbps::get);
        for (text, mbps) in [("0", 0), ("0.0", 0), ("5e2", 500), ("1e9", 1_000_000_000)] {
            assert_eq!(read(text).unwrap(), mbps, "{text}");
        }
        for text in ["1.5", "1e10", "1e300", "-1.0", "\"500\"", "null"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn speeds_are_checked() {
        assert!(CurrentMbps::try_from(0).is_ok());
        assert!(MaxMbps::try_from(0).is_err());
        assert!(CapacityMbps::try_from(1_000_000_000).is_ok());
        for bad in [-1, 1_000_000_001, i64::MAX, i64::MIN] {
            assert!(CurrentMbps::try_from(bad).is_err());
            assert!(MaxMbps::try_from(bad).is_err());
            let error = CapacityMbps::try_from(bad).unwrap_err();
            assert!(
                error.to_string().contains("valid capacity_mbps:"),
                "{error}"
            );
        }
    }
}
