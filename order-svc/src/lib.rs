//! The order service of the Feedway example: takes orders for faster internet lines.
//!
//! It publishes what becomes of them as the feed `orders`, and learns what customer-svc decided from the feed
//! `customers`. The two services have the same files, so that who knows one knows both:
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
//! | `timers.rs` | what happens when no answer comes |
//! | `rebuild.rs` | how the read model of customers is built anew |
//! | `migrate.rs` | the schema alone, brought up to date |
//! | `housekeeping.rs` | what is deleted when it is old |
//!
//! A request flows `http → domain → storage → the feed`, an event of the other service `reactions → domain →
//! storage → the feed`, a timer `timers → domain → storage → the feed`: rows and events in one transaction.

mod app;
mod cli;
mod domain;
mod housekeeping;
mod http;
mod migrate;
mod reactions;
mod rebuild;
mod storage;
mod timers;

pub use app::{
    Application, FollowedFeed, HttpSettings, PollerSettings, RunError, Settings, StartError,
};
pub use cli::{Cli, CliError};
pub use http::PROBLEM_TYPES;
pub use migrate::MigrateError;
pub use rebuild::RebuildError;
