//! Bodies, bounded while they come, and what is wrong with a connection.

use bytes::Bytes;
use http::{HeaderMap, header};
use reqwest::Response;
use url::Url;

use super::error::ClientError;
use super::resolver::NotPublic;

/// Room that is made for a body because its header announces it, in bytes.
const BODY_BYTES_BELIEVED: u64 = 1 << 20;

/// Hands on the body piece by piece as it comes, and stops as soon as it is larger than it may be, whatever its header said.
/// Returns how many bytes it has.
pub(super) async fn each_piece(
    url: &Url,
    mut response: Response,
    bytes_max: usize,
    mut take: impl FnMut(Bytes),
) -> Result<usize, ClientError> {
    let limit = || ClientError::Limit {
        url: url.to_string(),
        what: "bytes",
        max: bytes_max,
    };
    if response.content_length().unwrap_or(0) > bytes_max as u64 {
        return Err(limit());
    }
    let mut bytes = 0;
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| connection(url, &error))?
    {
        bytes += piece.len();
        if bytes > bytes_max {
            return Err(limit());
        }
        take(piece);
    }
    Ok(bytes)
}

/// How many bytes a body seems to have: for how much to make room.
pub(super) fn believed_bytes(response: &Response) -> usize {
    // Believed only so far: a server may announce what it never sends.
    let announced = response.content_length().unwrap_or(0);
    announced.min(BODY_BYTES_BELIEVED) as usize
}

/// Reads the body, within the same bound.
pub(super) async fn bounded_body(
    url: &Url,
    response: Response,
    bytes_max: usize,
) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::with_capacity(believed_bytes(&response));
    each_piece(url, response, bytes_max, |piece| {
        body.extend_from_slice(&piece);
    })
    .await?;
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
