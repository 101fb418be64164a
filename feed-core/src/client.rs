//! The feed client: fetches documents in either representation, within bounds, from the feed's own origin only,
//! and verifies the running check of every event.

mod body;
mod error;
mod fetch;
mod link;
mod options;
mod token;
mod verify;

pub use error::{ClientError, Refusal, problem_slug};
pub use fetch::{FeedClient, Fetched, Page};
pub use options::{ClientOptions, FetchOptions};
pub use token::{BearerTokenError, bearer_token_from_file};
pub use verify::{Seen, VerifyError, verify};
