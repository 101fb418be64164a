//! What can go wrong between a reader and a feed.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::document::DocumentError;

/// A document that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The feed's URL cannot be used.
    #[error("feed URL {url:?}: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Only public addresses may be connected to, and the feed's host has none of them
    /// ([`AllowedAddresses`](super::AllowedAddresses)).
    #[error("{url}: {address} is {purpose}, and only public addresses are allowed")]
    AddressNotAllowed {
        /// What was asked for.
        url: String,
        /// The address, or the first of several.
        address: IpAddr,
        /// What it is for.
        purpose: &'static str,
        /// Whether a look-up of the host's name gave it; else it stands in the URL.
        looked_up: bool,
    },
    /// The document was not there in time, with all of its body and redirects.
    #[error("{url}: not all of it was there after {limit_ms} ms")]
    Timeout {
        /// What was asked for.
        url: String,
        /// How long it was waited for, in milliseconds.
        limit_ms: u64,
    },
    /// The server was not reached, or the connection was lost.
    #[error("{url}: {reason}")]
    Connection {
        /// What was asked for.
        url: String,
        /// What happened, with its causes.
        reason: String,
    },
    /// The feed refuses the cursor: this reader may not go on by itself (invariant I11).
    #[error("{url}: {refusal}")]
    Refused {
        /// What was asked for.
        url: String,
        /// What the feed said.
        refusal: Refusal,
    },
    /// Another status than was hoped for.
    #[error("{url}: {status}{detail}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: StatusCode,
        /// What the problem document said, after `: `; empty without one.
        detail: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// It goes beyond a limit (invariant I12).
    #[error("{url}: more than {max} {what}")]
    Limit {
        /// What was asked for.
        url: String,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The body is not of a type that is read.
    #[error("{url}: content type {found:?} is no feed document")]
    ContentType {
        /// What was asked for.
        url: String,
        /// What the server said it is.
        found: String,
    },
    /// The body is coded in a way that is not understood, or more than once.
    #[error("{url}: content encoding {found:?} is not understood")]
    ContentEncoding {
        /// What was asked for.
        url: String,
        /// What the server said it is.
        found: String,
    },
    /// The body is no feed document.
    #[error("{url}: {source}")]
    Document {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A link or a redirect leads to another origin, which is not followed.
    #[error("{url}: {link:?} leads away from the feed's own origin")]
    ForeignLink {
        /// The document with the link.
        url: String,
        /// The link.
        link: String,
    },
}

impl ClientError {
    /// Whether the same may succeed later without anybody changing the reader.
    pub fn is_transient(&self) -> bool {
        match self {
            ClientError::Url { .. } | ClientError::Refused { .. } => false,
            // A name may lead elsewhere later; an address does not.
            ClientError::AddressNotAllowed { looked_up, .. } => *looked_up,
            // A wrong document may come from a cache or a proxy in between, or from a deployment under way.
            ClientError::Timeout { .. }
            | ClientError::Connection { .. }
            | ClientError::Status { .. }
            | ClientError::Limit { .. }
            | ClientError::ContentType { .. }
            | ClientError::ContentEncoding { .. }
            | ClientError::Document { .. }
            | ClientError::ForeignLink { .. } => true,
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ClientError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Why a feed refuses a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{slug}: {detail}")]
pub struct Refusal {
    /// End of the problem's type, such as `cursor-diverged`.
    pub slug: String,
    /// The server's explanation.
    pub detail: String,
}

/// The problem types by which a feed says that a cursor is not of its history.
const REFUSALS: [&str; 5] = [
    "cursor-malformed",
    "epoch-unknown",
    "cursor-diverged",
    "cursor-beyond-head",
    "cursor-pruned",
];

/// The word by which a reader knows a problem: the last segment of its `type`, which may be a path or an absolute
/// URL, or a URN of the first servers, `urn:feedway:problem:` and the word.
///
/// ```
/// use feed_core::client::problem_slug;
/// for problem_type in [
///     "/problems/cursor-diverged",
///     "https://example.org/docs/problems/cursor-diverged?lang=en#what",
///     "urn:feedway:problem:cursor-diverged",
/// ] {
///     assert_eq!(problem_slug(problem_type), "cursor-diverged");
/// }
/// ```
pub fn problem_slug(problem_type: &str) -> &str {
    if let Some(slug) = problem_type.strip_prefix("urn:feedway:problem:") {
        return slug;
    }
    let path = problem_type
        .split(['?', '#'])
        .next()
        .unwrap_or(problem_type);
    path.rsplit('/').next().unwrap_or(path)
}

/// The members of a problem document (RFC 9457) that a reader looks at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProblemBody {
    #[serde(rename = "type")]
    problem_type: String,
    detail: String,
}

impl ProblemBody {
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let slug = problem_slug(&self.problem_type);
        REFUSALS.contains(&slug).then(|| Refusal {
            slug: slug.to_owned(),
            detail: self.short_detail(),
        })
    }

    /// For an error message: a server's text, bounded and on one line.
    pub(super) fn short_detail(&self) -> String {
        self.detail
            .chars()
            .filter(|c| !c.is_control())
            .take(500)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_problem_is_known_by_the_last_segment_of_its_type() {
        for (problem_type, slug) in [
            ("cursor-pruned", "cursor-pruned"),
            ("/problems/cursor-pruned", "cursor-pruned"),
            ("../../problems/cursor-pruned", "cursor-pruned"),
            ("http://h:1/p/cursor-pruned#x/y", "cursor-pruned"),
            ("urn:feedway:problem:cursor-pruned", "cursor-pruned"),
            ("urn:other:cursor-pruned", "urn:other:cursor-pruned"),
            ("/problems/cursor-pruned/", ""),
            ("/problems?cursor-pruned", "problems"),
            ("about:blank", "about:blank"),
            ("", ""),
        ] {
            assert_eq!(problem_slug(problem_type), slug, "{problem_type:?}");
        }
    }

    proptest! {
        #[test]
        fn no_type_panics(problem_type in "\\PC{0,60}") {
            let _ = problem_slug(&problem_type);
        }
    }
}
