//! The feed client: fetches documents in either representation, within bounds, from the feed's own origin only,
//! and verifies the running check of every event.

mod error;
mod fetch;
mod link;
mod token;
mod verify;

pub use error::{ClientError, Refusal};
pub use fetch::{ClientOptions, FeedClient, Fetched, Page};
pub use token::{BearerTokenError, bearer_token_from_file};
pub use verify::{Seen, VerifyError, verify};
