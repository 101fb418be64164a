//! Bearer tokens (RFC 6750): one kind may read, the other may also write.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::problem_types;
use crate::limits::TOKEN_FILE_BYTES_MAX;

/// Shortest token, in bytes: shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Read,
    Write,
}

/// The tokens that a service takes. Only their hashes are kept.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Vec<(Right, [u8; 32])>>);

/// A token file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("token file {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line in it is wrong; the token itself is not repeated.
    #[error("token file {path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Tokens {
    /// Reads a file of lines `read TOKEN` and `write TOKEN`; empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than [`TOKEN_FILE_BYTES_MAX`], or has a wrong line or no token.
    pub fn from_file(path: &Path) -> Result<Self, TokenFileError> {
        let name = || path.display().to_string();
        let unreadable = |source| TokenFileError::Unreadable {
            path: name(),
            source,
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > TOKEN_FILE_BYTES_MAX {
            return Err(TokenFileError::Line {
                path: name(),
                line: 1,
                reason: "the file is larger than 64 KiB",
            });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Tokens::parse(&text).map_err(|(line, reason)| TokenFileError::Line {
            path: name(),
            line,
            reason,
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut tokens = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |reason| (index + 1, reason);
            let (right, token) = line
                .split_once(char::is_whitespace)
                .ok_or(wrong("`read TOKEN` or `write TOKEN` is expected"))?;
            let right = match right {
                "read" => Right::Read,
                "write" => Right::Write,
                _ => return Err(wrong("the first word has to be `read` or `write`")),
            };
            let token = token.trim();
            if token.len() < TOKEN_BYTES_MIN || !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(wrong("a token has 16 visible ASCII characters or more"));
            }
            tokens.push((right, Sha256::digest(token.as_bytes()).into()));
        }
        if tokens.is_empty() {
            return Err((1, "there is no token in the file"));
        }
        Ok(Tokens(Arc::new(tokens)))
    }

    /// The greatest right that the request's token gives. Hashes are compared, so time tells nothing of a token.
    fn right_of(&self, headers: &HeaderMap) -> Option<Right> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        self.0
            .iter()
            .filter(|(_, known)| *known == hash)
            .map(|(right, _)| *right)
            .max()
    }
}

/// Asks every request to `router` for a token, if there are any: reading wants one of either kind, all else a
/// `write` token.
pub fn guard(router: Router, tokens: Option<Tokens>) -> Router {
    match tokens {
        Some(tokens) => router.layer(from_fn_with_state(tokens, check)),
        None => router,
    }
}

async fn check(State(tokens): State<Tokens>, request: Request, next: Next) -> Response {
    let needed = match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => Right::Read,
        _ => Right::Write,
    };
    match tokens.right_of(request.headers()) {
        Some(right) if right >= needed => next.run(request).await,
        Some(_) => Problem::new(
            &problem_types::TOKEN_READS_ONLY,
            "use a token that the service's token file lists as `write`",
        )
        .into_response(),
        None => {
            let mut response = Problem::new(
                &problem_types::TOKEN_MISSING,
                "send Authorization: Bearer TOKEN with a token of the service's token file",
            )
            .into_response();
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_wrong_lines_named() {
        let tokens =
            Tokens::parse("# ours\n\nread 0123456789abcdef\nwrite fedcba9876543210\n").unwrap();
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            tokens.right_of(&headers)
        };
        assert_eq!(asked("Bearer 0123456789abcdef"), Some(Right::Read));
        assert_eq!(asked("bearer fedcba9876543210"), Some(Right::Write));
        assert_eq!(asked("Basic fedcba9876543210"), None);
        assert_eq!(asked("Bearer fedcba987654321"), None);
        assert_eq!(Tokens::parse("\nadmin 0123456789abcdef").unwrap_err().0, 2);
        assert_eq!(Tokens::parse("read short").unwrap_err().0, 1);
        assert!(Tokens::parse("# nothing\n").is_err());
    }
}
