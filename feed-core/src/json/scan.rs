//! Where JSON texts end: a reader that builds nothing, and takes no more than the general one does (RFC 8259).

use memchr::memchr2;

/// Deepest nesting that is followed here; what is deeper is left to the general reader.
const DEPTH_MAX: u32 = u64::BITS;

/// After so many bytes a text is long, and what searches long ones pays.
const SHORT_BYTES: usize = 32;

/// The containers that are open, one bit each, so that nothing is allocated: 1 for an object, 0 for an array.
#[derive(Default)]
struct Open {
    depth: u32,
    kinds: u64,
}

impl Open {
    fn push(&mut self, is_object: bool) -> Option<()> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        self.kinds = self.kinds << 1 | u64::from(is_object);
        Some(())
    }

    /// Closes the innermost one, if it is of that kind.
    fn pop(&mut self, is_object: bool) -> Option<()> {
        let right = self.depth > 0 && self.is_in_object() == is_object;
        right.then(|| {
            self.depth -= 1;
            self.kinds >>= 1;
        })
    }

    fn is_in_object(&self) -> bool {
        self.kinds & 1 == 1
    }
}

/// The index behind the JSON value that begins at `at`; none when there is none, or it is nested too deeply.
pub(super) fn value(json: &[u8], mut at: usize) -> Option<usize> {
    let mut open = Open::default();
    loop {
        at = match json.get(at)? {
            b'"' => string(json, at + 1)?,
            b'{' => {
                let inside = space(json, at + 1);
                if json.get(inside)? == &b'}' {
                    inside + 1
                } else {
                    open.push(true)?;
                    at = name(json, inside)?;
                    continue;
                }
            }
            b'[' => {
                let inside = space(json, at + 1);
                if json.get(inside)? == &b']' {
                    inside + 1
                } else {
                    open.push(false)?;
                    at = inside;
                    continue;
                }
            }
            b'-' | b'0'..=b'9' => number(json, at)?,
            b't' => literal(json, at, b"true")?,
            b'f' => literal(json, at, b"false")?,
            b'n' => literal(json, at, b"null")?,
            _ => return None,
        };
        match behind_value(json, at, &mut open)? {
            Next::Value(next) => at = next,
            Next::End(end) => return Some(end),
        }
    }
}

enum Next {
    /// Another value begins there.
    Value(usize),
    /// The outermost one is over.
    End(usize),
}

/// Closes what ends behind a value.
fn behind_value(json: &[u8], mut at: usize, open: &mut Open) -> Option<Next> {
    while open.depth > 0 {
        at = space(json, at);
        let byte = *json.get(at)?;
        at += 1;
        match byte {
            b',' => {
                let next = space(json, at);
                return Some(Next::Value(if open.is_in_object() {
                    name(json, next)?
                } else {
                    next
                }));
            }
            b'}' => open.pop(true)?,
            b']' => open.pop(false)?,
            _ => return None,
        }
    }
    Some(Next::End(at))
}

/// Behind the name of a member, its colon and white space: where its value begins.
fn name(json: &[u8], at: usize) -> Option<usize> {
    if json.get(at)? != &b'"' {
        return None;
    }
    let behind = space(json, string(json, at + 1)?);
    (json.get(behind)? == &b':').then(|| space(json, behind + 1))
}

fn space(json: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = json.get(at) {
        at += 1;
    }
    at
}

fn literal(json: &[u8], at: usize, text: &[u8]) -> Option<usize> {
    json[at..].starts_with(text).then(|| at + text.len())
}

fn number(json: &[u8], at: usize) -> Option<usize> {
    let at = at + usize::from(json[at] == b'-');
    let mut end = digits(json, at)?;
    // A zero stands alone.
    if json[at] == b'0' && end > at + 1 {
        return None;
    }
    if let Some(b'.') = json.get(end) {
        end = digits(json, end + 1)?;
    }
    if let Some(b'e' | b'E') = json.get(end) {
        let signed = matches!(json.get(end + 1), Some(b'+' | b'-'));
        end = digits(json, end + 1 + usize::from(signed))?;
    }
    Some(end)
}

/// Behind one or more digits.
fn digits(json: &[u8], at: usize) -> Option<usize> {
    let rest = json.get(at..)?;
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(at + count)
}

/// The index behind the quote that ends the string whose first character is at `at`.
fn string(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let special = special(json, at)?;
        match json[special] {
            b'"' => return Some(special + 1),
            b'\\' => at = escape(json, special + 1)?,
            _ => return None,
        }
    }
}

/// The end of a string without escapes whose first character is at `at`: the index of its quote.
pub(super) fn plain(json: &[u8], at: usize) -> Option<usize> {
    special(json, at).filter(|end| json[*end] == b'"')
}

/// Behind an escape whose backslash stands before `at`.
fn escape(json: &[u8], at: usize) -> Option<usize> {
    match json.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = json.get(at + 1..at + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

/// The index of the first quote, backslash or control character from `at` on.
fn special(json: &[u8], at: usize) -> Option<usize> {
    let short = at + SHORT_BYTES;
    let mut next = at;
    while next < short {
        let Some(word) = json.get(next..).and_then(<[u8]>::first_chunk::<8>) else {
            let rest = json.get(next..)?;
            return rest
                .iter()
                .position(|byte| is_special(*byte))
                .map(|index| next + index);
        };
        let found = specials(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(next + found.trailing_zeros() as usize / 8);
        }
        next += 8;
    }
    let rest = &json[next..];
    let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    // One pass for each, since both look at many bytes at a time: the smallest of all is found without looking at each.
    let smallest = rest[..end]
        .iter()
        .fold(u8::MAX, |least, byte| least.min(*byte));
    if smallest < b' ' {
        let is_control = |byte: &u8| *byte < b' ';
        return rest.iter().position(is_control).map(|index| next + index);
    }
    (end < rest.len()).then_some(next + end)
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..0x20)
}

/// The highest bit of the first byte of `word` that is special, the lowest one coming first; none is missed, and what is
/// set behind the first one means nothing.
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    let all = |byte: u8| ONES * u64::from(byte);
    zeros(word ^ all(b'"')) | zeros(word ^ all(b'\\')) | below_space
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::arbitrary;

    /// How the general reader sees a text that ends where its value does.
    fn is_value(text: &str) -> bool {
        serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().len() == text.len())
    }

    proptest! {
        #[test]
        fn every_value_ends_where_it_ends(text in arbitrary::json_texts(), behind in "[,}\\] ]") {
            let text = text.trim_matches([' ', '\t', '\r', '\n']);
            prop_assert_eq!(value(format!("{text}{behind}").as_bytes(), 0), Some(text.len()));
        }

        #[test]
        fn nothing_is_taken_that_serde_refuses(bytes in arbitrary::mutated(arbitrary::json_texts().prop_map(String::into_bytes))) {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_matches([' ', '\t', '\r', '\n']);
            let end = value(text.as_bytes(), 0);
            prop_assert_eq!(end == Some(text.len()), is_value(text), "{:?}", text);
        }

        #[test]
        fn special_characters_are_found(bytes in proptest::collection::vec(prop_oneof![20 => any::<u8>(), 200 => 0x20..0x22_u8], 0..200), at in 0..20_usize) {
            let expected = bytes.iter().skip(at).position(|byte| is_special(*byte));
            prop_assert_eq!(special(&bytes, at), expected.map(|index| at + index));
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_left_to_others() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let most = DEPTH_MAX as usize;
        // The innermost is empty, and needs no bit.
        assert_eq!(value(deep(most + 1).as_bytes(), 0), Some(2 * most + 2));
        assert_eq!(value(deep(most + 2).as_bytes(), 0), None);
        assert_eq!(value(b"{\"a\":[{}]]", 0), None);
    }

    #[test]
    fn numbers_are_those_of_json() {
        for (text, valid) in [
            ("0", true),
            ("-0", true),
            ("10.5e-3", true),
            ("01", false),
            ("-", false),
            ("1.", false),
            (".5", false),
            ("1e", false),
            ("1e+", false),
            ("+1", false),
        ] {
            assert_eq!(
                value(text.as_bytes(), 0) == Some(text.len()),
                valid,
                "{text}"
            );
            assert_eq!(is_value(text), valid, "{text}");
        }
    }
}
