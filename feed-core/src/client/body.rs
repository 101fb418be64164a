//! Bodies, bounded while they come, and what is wrong with a connection.

use http::{HeaderMap, header};
use reqwest::Response;
use url::Url;

use super::error::ClientError;
use super::resolver::NotPublic;

/// Room that is made for a body because its header announces it, in bytes.
const BODY_BYTES_BELIEVED: u64 = 1 << 20;

/// Reads the body, and stops as soon as it is larger than it may be, whatever its header said.
pub(super) async fn bounded_body(
    url: &Url,
    mut response: Response,
    bytes_max: usize,
) -> Result<Vec<u8>, ClientError> {
    let limit = || ClientError::Limit {
        url: url.to_string(),
        what: "bytes",
        max: bytes_max,
    };
    let announced = response.content_length().unwrap_or(0);
    if announced > bytes_max as u64 {
        return Err(limit());
    }
    // Believed only so far: a server may announce what it never sends.
    let mut body = Vec::with_capacity(announced.min(BODY_BYTES_BELIEVED) as usize);
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| connection(url, &error))?
    {
        if body.len() + chunk.len() > bytes_max {
            return Err(limit());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(super) fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// What went wrong with the connection.
pub(super) fn connection(url: &Url, error: &reqwest::Error) -> ClientError {
    let url = url.to_string();
    match not_public(error) {
        Some(refused) => ClientError::AddressNotAllowed {
            url,
            address: refused.address,
            purpose: refused.purpose,
            looked_up: true,
        },
        None => ClientError::Connection {
            url,
            reason: error_chain(error),
        },
    }
}

/// What our look-up of names said, where that is the cause.
fn not_public(error: &reqwest::Error) -> Option<&NotPublic> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

/// The error with its causes: reqwest's own text names only the outermost.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
