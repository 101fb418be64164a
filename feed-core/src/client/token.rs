//! The bearer token of a reader, kept in a file.

use std::path::Path;

use crate::limits::TOKEN_FILE_BYTES_MAX;

/// A file that holds no token.
#[derive(Debug, thiserror::Error)]
#[error("token file {path}: {reason}")]
pub struct BearerTokenError {
    /// The file.
    pub path: String,
    /// What is wrong with it; the token itself is not repeated.
    pub reason: String,
}

/// Reads a bearer token from a file that holds one token, and white space around it at most.
///
/// # Errors
/// When the file cannot be read, is larger than [`TOKEN_FILE_BYTES_MAX`], or holds anything else.
pub fn bearer_token_from_file(path: &Path) -> Result<String, BearerTokenError> {
    let wrong = |reason: String| BearerTokenError {
        path: path.display().to_string(),
        reason,
    };
    let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if size.len() > TOKEN_FILE_BYTES_MAX {
        return Err(wrong("it is too large for a token".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong(
            "one token of visible ASCII characters is expected, and nothing else".to_owned(),
        ));
    }
    Ok(token.to_owned())
}
