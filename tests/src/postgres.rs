//! PostgreSQL for tests, the demo and the measurements: servers of their own that leave nothing behind.
//!
//! A test takes a [`Database`] of the cluster that its process shares. What kills or replicates takes a [`Cluster`] of
//! its own.
//!
//! `programs` finds what is installed, `home` is the folder and what removes it, `postmaster` the process, `settings` what
//! it is told; `cluster` puts them together. `standby` lets one follow another, over a `link` that can be cut; `backup` is
//! what operators come back to.
//!
//! ```
//! use feedway_tests::postgres::Database;
//! # async fn f() -> Result<(), feedway_tests::Failure> {
//! let Some(database) = Database::for_test("orders").await? else {
//!     return Ok(());
//! };
//! println!("{}", database.url());
//! # Ok(()) }
//! ```

mod backup;
mod cluster;
mod home;
mod link;
mod postmaster;
mod programs;
mod settings;
mod shared;
mod standby;

pub use cluster::{Cluster, connect};
pub use link::{Cut, Link};
pub use programs::{HOW_TO_INSTALL, is_installed, is_there};
pub use settings::{ClusterOptions, Collation};
pub use shared::{Database, shared};
pub use standby::StandbyOptions;
