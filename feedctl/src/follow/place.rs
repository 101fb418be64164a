//! Where a reader begins.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use feed_core::{After, Cursor, StartAt};

/// A place in a feed, as a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind this.
    After(After),
    /// At the first event that was recorded then or later.
    Since(DateTime<Utc>),
}

impl Place {
    /// The parameter of the feed's URL that asks for it.
    pub(crate) fn parameter(&self) -> (&'static str, String) {
        match self {
            Place::After(after) => ("after", after.to_string()),
            Place::Since(time) => ("since", time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        }
    }

    /// The place as consumers name it.
    pub(crate) fn start_at(self) -> StartAt {
        match self {
            Place::After(after) => StartAt::After(after),
            Place::Since(time) => StartAt::Since(time),
        }
    }

    /// The cursor, if it is one.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        match self {
            Place::After(After::Cursor(cursor)) => Some(*cursor),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parameter().1)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(after) = text.parse() {
            return Ok(Place::After(after));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Place::Since(time.to_utc()));
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        date.and_then(|date| date.and_hms_opt(0, 0, 0))
            .map(|midnight| Place::Since(midnight.and_utc()))
            .ok_or_else(|| {
                "start, now, a cursor (epoch.position.check), the id of an event, a position, or a time such as \
                 2026-01-31T12:00:00Z or 2026-01-31 is expected"
                    .to_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_told_apart() {
        for (text, parameter) in [
            ("start", ("after", "start")),
            ("now", ("after", "now")),
            ("42", ("after", "42")),
            (
                "0123456789abcdef.42.00aa11bb22cc",
                ("after", "0123456789abcdef.42.00aa11bb22cc"),
            ),
            (
                "0190b6e2-1111-7000-8000-000000000001",
                ("after", "0190b6e2-1111-7000-8000-000000000001"),
            ),
            ("2026-01-31", ("since", "2026-01-31T00:00:00Z")),
            (
                "2026-01-31T12:00:00.5+01:00",
                ("since", "2026-01-31T11:00:00.500Z"),
            ),
        ] {
            let (name, value) = text.parse::<Place>().unwrap().parameter();
            assert_eq!((name, value.as_str()), parameter);
        }
        for wrong in ["", "yesterday", "2026-02-30", "12:00", "-1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Place>();
        }
    }
}
