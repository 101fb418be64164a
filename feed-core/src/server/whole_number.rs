//! Whole numbers as programs write them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A whole number in a request: 500, and also 500.0, which is the same number in JSON and which some programs write.
/// What lies beyond an `i64` is its nearest end, so that it is refused by the range that the field has.
///
/// ```
/// use feed_core::server::WholeNumber;
/// assert_eq!(serde_json::from_str::<WholeNumber>("500.0")?.0, 500);
/// assert!(serde_json::from_str::<WholeNumber>("500.5").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeNumber(pub i64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for as an integer, so that formats without types of their own, such as CSV, read one.
        deserializer.deserialize_i64(Whole)
    }
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = WholeNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<WholeNumber, E> {
        Ok(WholeNumber(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<WholeNumber, E> {
        Ok(WholeNumber(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<WholeNumber, E> {
        if number.fract() == 0.0 {
            // The conversion takes the nearest end for what lies beyond.
            Ok(WholeNumber(number as i64))
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }
}
