//! What a comparison has found.

use crate::limits::{DIFFERENCE_CHARS_MAX, DIFFERENCES_TOLD_MAX};
use crate::store::OwnedValue;

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Each feed, with its events that were looked at.
    pub feeds: Vec<(String, u64)>,
    /// Each other table, with its rows that were looked at.
    pub tables: Vec<(String, u64)>,
    /// The first differences or faults, a sentence each.
    pub wrong: Vec<String>,
    /// How many there are in all.
    pub wrong_total: u64,
    /// How many of the feed or table that is looked at were named.
    named: usize,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.wrong_total == 0
    }

    pub(super) fn add(&mut self, what: impl Into<String>) {
        self.wrong_total += 1;
        if self.named < DIFFERENCES_TOLD_MAX {
            self.named += 1;
            self.wrong.push(what.into());
        }
    }

    /// Another feed or table is looked at.
    pub(super) fn turn(&mut self) {
        self.named = 0;
    }
}

/// A value for a sentence.
pub(super) fn shown(value: &OwnedValue) -> String {
    let text = match value {
        OwnedValue::Null => "nothing".to_owned(),
        OwnedValue::Integer(number) => number.to_string(),
        OwnedValue::Text(text) => format!("{text:?}"),
        OwnedValue::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && !text.contains(char::is_control) => {
                format!("bytes {text:?}")
            }
            _ => {
                let hex = bytes
                    .iter()
                    .take(DIFFERENCE_CHARS_MAX)
                    .map(|b| format!("{b:02x}"));
                format!("x'{}'", hex.collect::<String>())
            }
        },
    };
    cut(text)
}

/// The values of a row or a key.
pub(super) fn shown_row(values: &[OwnedValue]) -> String {
    let values: Vec<String> = values.iter().map(shown).collect();
    format!("({})", values.join(", "))
}

/// At most as much of a text as a sentence shows.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(DIFFERENCE_CHARS_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
