//! Whole numbers in request bodies, however JSON writes them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Where a float no longer tells a whole number from its neighbours: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A whole number, for the checked numbers of a service: in JSON 500, 500.0 and 5e2 are the same number, and programs
/// write it in each of these ways.
///
/// ```
/// use feed_core::server::WholeNumber;
/// assert_eq!(serde_json::from_str::<WholeNumber>("5e2")?.0, 500);
/// assert!(serde_json::from_str::<WholeNumber>("0.5").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeNumber(pub i64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(Whole).map(WholeNumber)
    }
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        if number.fract() == 0.0 && number.abs() < EXACT_MAX {
            // Whole and small enough: nothing is cut off.
            return Ok(number as i64);
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<WholeNumber>(text).map(|number| number.0);
        for (text, number) in [
            ("0", 0),
            ("-0.0", 0),
            ("500.0", 500),
            ("5E+2", 500),
            ("-1e3", -1_000),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(read(text).unwrap(), number, "{text}");
        }
        for text in [
            "0.5",
            "1e300",
            "9007199254740993.0",
            "9223372036854775808",
            "\"1\"",
            "null",
            "[1]",
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("a whole number"), "{text}: {error}");
        }
    }
}
