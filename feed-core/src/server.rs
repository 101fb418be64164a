//! The feed endpoint as an axum router, and what a service around it needs.
//!
//! [`router`] is nested by any service; [`bind`] and [`serve`] run it until it is told to stop; [`guard`] asks for
//! bearer tokens; [`cors`] lets pages of other origins read; [`health`] answers probes; [`Problem`] is how errors are told (RFC 9457).

mod archive;
mod auth;
mod body;
mod bounded;
mod build;
mod coding;
mod conditional;
mod connections;
mod consumers;
mod cors;
mod documents;
mod feed_query;
mod health;
mod look;
mod negotiate;
mod open_files;
#[cfg(feature = "openapi")]
pub mod openapi;
mod prefer;
mod problem;
mod problem_pages;
mod problem_type;
pub mod problem_types;
mod query;
mod rendered;
pub(crate) mod resolve;
mod respond;
mod router;
mod run;
mod sealed;
mod single;
mod stopping;
mod stream;
mod tips;
mod whole_number;

pub use auth::{TokenFileError, Tokens, guard};
pub use body::JsonBody;
pub use cors::{CorsOrigin, cors};
pub use feed_query::{Begin, FeedForm, FeedQuery, QueryError};
pub use health::health;
pub use problem::Problem;
pub use problem_pages::{problem_pages, problems_document};
pub use problem_type::ProblemType;
pub use query::{Limit, PathParams, QueryParams};
pub use router::{RouterOptions, router, router_with};
pub use run::{BindError, bind, serve};
pub use whole_number::WholeNumber;
