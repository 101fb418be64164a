//! The customer service of the Feedway example: keeps customers and geos, and reserves speed for orders.
//!
//! It publishes customers, geos and reservations as the feed `customers`, and learns what is wanted from the feed
//! `orders` of order-svc. The two services have the same files, so that who knows one knows both:
//!
//! | file | what is in it |
//! | --- | --- |
//! | `main.rs` | parses, runs, exits |
//! | `cli.rs` | the command line |
//! | `app.rs` | the wiring, start and stop |
//! | `http.rs` | the routes |
//! | `domain.rs` | the rules, without I/O |
//! | `storage.rs` | all SQL |
//! | `reactions.rs` | what is done with the other service's events |
//! | `migrate.rs` | the schema alone, brought up to date |
//! | `import.rs` | stating geos and customers from files |
//!
//! A request flows `http → domain → storage → the feed`, an event of the other service `reactions → domain →
//! storage → the feed`: rows and events in one transaction.

mod app;
mod cli;
mod domain;
mod http;
mod import;
mod migrate;
mod reactions;
mod storage;

pub use app::{
    Application, FollowedFeed, HttpSettings, PollerSettings, RunError, Settings, StartError,
};
pub use cli::{Cli, CliError};
pub use http::PROBLEM_TYPES;
pub use import::{ImportError, ImportSettings};
pub use migrate::MigrateError;
