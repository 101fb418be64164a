//! The operator's command line for feeds; see `feedctl --help`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `main.rs` | parses, runs, exits |
//! | `cli.rs` | the command line, exit codes |
//! | `connect.rs` | the token that a server may ask for |
//! | `output.rs` | stdout, also when nobody reads it any more; colours |
//! | `progress.rs` | a bar on stderr for what takes long |
//! | `commands/` | one file a command; a folder for one that has many |
//! | `conformance/` | the rules of the protocol, run against any server |
//! | `follow/` | following a feed: places, resuming, verifying, printing |

mod cli;
mod commands;
pub mod conformance;
mod connect;
mod follow;
mod output;
mod progress;
mod text;

pub use cli::{Cli, CliError};
