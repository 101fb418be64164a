//! Texts of others, made fit to be shown.

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

    proptest! {
        #[test]
        fn no_text_becomes_longer(text in "\\PC{0,40}", max in 0..50usize) {
            let cut = cut(&text, max);
            prop_assert!(cut.chars().count() <= max + 1);
            prop_assert!(text.chars().count() > max || cut == text);
        }
    }
}
