//! The preference to wait (RFC 7240, section 4.3).

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::limits::WAIT_MS_MAX;

pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the request would like to wait, [`WAIT_MS_MAX`] at most. A preference that is not understood is none.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(items);
    // The first one of several counts (section 2).
    let wait = preferences.into_iter().find_map(|preference| {
        let preference = preference.split(';').next()?;
        let (name, value) = preference.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("wait")
            .then(|| value.trim().trim_matches('"').to_owned())
    })?;
    let digits = !wait.is_empty() && wait.bytes().all(|b| b.is_ascii_digit());
    let seconds: u64 = digits.then(|| wait.parse().unwrap_or(u64::MAX))?;
    let milliseconds = seconds.saturating_mul(1_000).min(WAIT_MS_MAX);
    Some(Duration::from_millis(milliseconds))
}

/// The items of a list, whose commas inside of quotes separate nothing (RFC 9110, section 5.6.4).
fn items(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    list.split(move |c| {
        let separates = c == ',' && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        separates
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(PREFER, value.parse().unwrap());
            wait(&headers).map(|wait| wait.as_millis())
        };
        for value in [
            "wait=20",
            "respond-async, wait=20",
            "Wait = 20",
            "wait=\"20\"; foo",
        ] {
            assert_eq!(asked(value), Some(20_000), "{value}");
        }
        assert_eq!(asked("wait=20, wait=1"), Some(20_000));
        assert_eq!(asked("foo=\"a, wait=3\", wait=20"), Some(20_000));
        assert_eq!(asked("foo=\"\\\", wait=3\", wait=20"), Some(20_000));
        assert_eq!(asked("wait=3600"), Some(u128::from(WAIT_MS_MAX)));
        for value in ["wait", "wait=", "wait=-1", "wait=x", "return=minimal", ""] {
            assert_eq!(asked(value), None, "{value}");
        }
    }
}
