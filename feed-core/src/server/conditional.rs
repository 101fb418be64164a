//! Conditional requests (RFC 9110, section 13.1.2), and those that go past what is kept.

use http::{HeaderMap, HeaderValue, header};

/// What the reader has, by `If-None-Match`.
#[derive(Debug, Clone, Default)]
pub(super) enum Known {
    #[default]
    Nothing,
    /// What one header says.
    One(HeaderValue),
    Several(Vec<HeaderValue>),
}

impl Known {
    pub(super) fn by(request: &HeaderMap) -> Self {
        let mut values = request.get_all(header::IF_NONE_MATCH).iter();
        match (values.next(), values.next()) {
            (None, _) => Known::Nothing,
            (Some(one), None) => Known::One(one.clone()),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(values);
                Known::Several(all.cloned().collect())
            }
        }
    }

    /// A copy that does not keep the buffer which the request was read into.
    pub(super) fn detached(&self) -> Self {
        match self {
            Known::Nothing => Known::Nothing,
            Known::One(one) => Known::Several(vec![detached(one)]),
            Known::Several(all) => Known::Several(all.iter().map(detached).collect()),
        }
    }

    /// Whether it is the document with this tag (or any, by `*`), so that a 304 will do. The comparison is the weak one.
    pub(super) fn is(&self, etag: &str) -> bool {
        let says = |value: &HeaderValue| {
            value.to_str().is_ok_and(|value| {
                value == etag || value.trim() == "*" || tags(value).any(|tag| tag == etag)
            })
        };
        match self {
            Known::Nothing => false,
            Known::One(one) => says(one),
            Known::Several(all) => all.iter().any(says),
        }
    }
}

fn detached(value: &HeaderValue) -> HeaderValue {
    // What was a value is one.
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

/// Whether whoever asks has a reason not to believe what is kept, here as anywhere (RFC 9111, section 5.2.1.4).
pub(super) fn asks_past_caches(request: &HeaderMap) -> bool {
    let values = request.get_all(header::CACHE_CONTROL).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
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
            Known::by(&headers).is("\"a\"")
        };
        assert!(asked("\"a\"") && asked("*") && asked("W/\"a\"") && asked("\"x\", \"a\""));
        assert!(!asked("\"b\"") && !asked("a") && !asked(""));
        assert!(!Known::by(&HeaderMap::new()).is("\"a\""));
    }
}
