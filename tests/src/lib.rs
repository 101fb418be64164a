//! What is shown about Feedway from outside: what the demo and the end-to-end tests are made of.
//!
//! `binaries` → `service` start the services; `sample` → `driver` place orders; `history` → `facts` → `settling` read
//! the feeds; `check` compares what the services say with a calculation of its own. `faults` stands between the services
//! and does damage; `torture` does more of it, by the seed, and judges what is left. `postgres` gives databases.

pub mod binaries;
pub mod check;
pub mod demo;
pub mod driver;
pub mod facts;
mod failure;
pub mod faults;
#[cfg(unix)]
pub mod fresh_store;
pub mod history;
pub mod http;
#[cfg(unix)]
pub mod postgres;
pub mod sample;
pub mod service;
pub mod settling;
pub mod tools;
#[cfg(target_os = "linux")]
pub mod torture;

pub use failure::{Context, Failure};
