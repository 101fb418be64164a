//! What the headers of a response say: type, coding, and waits.

use std::time::Duration;

use http::{HeaderMap, header};
use url::Url;

use super::body::text;
use super::error::ClientError;
use crate::document::Format;
use crate::limits::RETRY_AFTER_MS_MAX;

/// The representation of the body; only what is UTF-8 is read.
pub(super) fn format_of(url: &Url, headers: &HeaderMap) -> Result<Format, ClientError> {
    let found = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let mut parts = found.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    let format = [Format::Atom, Format::Json]
        .into_iter()
        .find(|format| media_type.eq_ignore_ascii_case(format.media_type()))
        .filter(|_| parts.all(is_utf8));
    format.ok_or_else(|| ClientError::ContentType {
        url: url.to_string(),
        found: found.chars().take(100).collect(),
    })
}

/// A coding that is understood was undone and its header taken away; any other leaves a body that cannot be read.
pub(super) fn check_decoded(url: &Url, headers: &HeaderMap) -> Result<(), ClientError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(found) if !found.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(ClientError::ContentEncoding {
                url: url.to_string(),
                found: String::from_utf8_lossy(found.as_bytes())
                    .chars()
                    .take(100)
                    .collect(),
            })
        }
        _ => Ok(()),
    }
}

/// The wait that the server says it has applied. Preferences stand in a list, names without regard to case.
pub(super) fn waited(headers: &HeaderMap) -> Option<Duration> {
    let applied = headers.get_all("preference-applied").iter();
    let mut preferences = applied
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        let seconds = value.trim().trim_matches('"').parse().ok()?;
        is_wait.then(|| Duration::from_secs(seconds))
    })
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), bounded.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, header::RETRY_AFTER)?;
    let wanted = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
            (date.to_utc() - chrono::Utc::now())
                .to_std()
                .unwrap_or_default()
        }
    };
    Some(wanted.min(Duration::from_millis(RETRY_AFTER_MS_MAX)))
}
