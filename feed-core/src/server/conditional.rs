//! Conditional requests (RFC 9110, section 13.1.2).

use http::{HeaderMap, header};

/// Whether `If-None-Match` names `etag` (or is `*`), so that a 304 will do. The comparison is the weak one.
pub(super) fn matches(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| {
            candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag
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
