//! Texts of others, made fit to be shown; times and numbers for people.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// At most `chars_max` characters of `text`; what was cut off is told by `…`.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// `text` without what a terminal would take for a command, or what turns the direction of a line.
pub(crate) fn printable(text: &str) -> String {
    let tricky = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if tricky(c) { '\u{fffd}' } else { c })
        .collect()
}

/// `1 event`, `2 events`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// A time as people and programs read it (RFC 3339).
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// How long something takes, in its two largest units: `0 s`, `5 min 12 s`, `3 d 4 h`.
pub(crate) fn readable(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_plays_tricks_on_a_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\u{9b}c\u{202e}d\n"),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}d\u{fffd}"
        );
        assert_eq!(printable("Zoë 😀"), "Zoë 😀");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3_599, "59 min 59 s"),
            (3_600, "1 h 0 min"),
            (86_399, "23 h 59 min"),
            (273_600, "3 d 4 h"),
        ] {
            assert_eq!(readable(Duration::from_secs(seconds)), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_becomes_longer(text in "\\PC{0,40}", max in 0..50usize) {
            let cut = cut(&text, max);
            prop_assert!(cut.chars().count() <= max + 1);
            prop_assert!(text.chars().count() > max || cut == text);
        }
    }
}
