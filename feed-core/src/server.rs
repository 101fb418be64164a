//! The feed endpoint as an axum router, and what a service around it needs.
//!
//! [`router`] is nested by any service; [`bind`] and [`serve`] run it until it is told to stop; [`guard`] asks for
//! bearer tokens; [`health`] answers probes; [`Problem`] is how errors are told (RFC 9457).

mod auth;
mod body;
mod build;
mod conditional;
mod connections;
mod health;
mod negotiate;
mod open_files;
mod problem;
mod query;
mod resolve;
mod respond;
mod router;
mod run;
mod stopping;

pub use auth::{TokenFileError, Tokens, guard};
pub use body::JsonBody;
pub use health::health;
pub use problem::Problem;
pub use query::{Limit, PathParams, QueryParams};
pub use router::router;
pub use run::{BindError, bind, serve};
