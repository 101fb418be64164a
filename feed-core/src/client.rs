//! The feed client: fetches documents in either representation, within bounds, from the feed's own origin only
//! (of public addresses only, where that is asked for), and verifies the running check of every event.

mod addresses;
pub(crate) mod ahead;
mod body;
mod error;
mod fetch;
mod link;
mod options;
mod reader;
mod resolver;
mod response;
mod token;
mod verify;

pub use addresses::AllowedAddresses;
pub use error::{ClientError, Refusal, problem_slug};
pub use fetch::{FeedClient, Fetched, Page};
pub use options::{ClientOptions, Compression, FetchOptions};
pub use reader::{ReadError, Reader};
pub use token::{BearerTokenError, bearer_token_from_file};
pub use verify::{Seen, VerifyError, verify};
