//! Conditional requests (RFC 9110, section 13.1.2).

use http::{HeaderMap, header};

/// Whether `If-None-Match` names `etag` (or is `*`), so that a 304 will do. The comparison is the weak one.
pub(super) fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let mut values = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.any(|value| value.trim() == "*" || tags(value).any(|tag| tag == etag))
}

/// The entity tags of a list, with their quotes and without `W/`. A tag may have commas in it (RFC 9110, section 8.8.3).
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let begins = rest.find('"')?;
        let ends = begins + 1 + rest[begins + 1..].find('"')?;
        let tag = &rest[begins..=ends];
        rest = &rest[ends + 1..];
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_stars_and_weak_tags_match() {
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().unwrap());
            matches(&headers, "\"a\"")
        };
        assert!(asked("\"a\"") && asked("*") && asked("W/\"a\"") && asked("\"x\", \"a\""));
        assert!(!asked("\"b\"") && !asked("a") && !asked(""));
        assert!(!matches(&HeaderMap::new(), "\"a\""));
    }
}
