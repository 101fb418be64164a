//! Harnesses for the tests of services that are built on this crate.

pub mod fuzz;
mod given;
mod temp_store;

pub use given::{Given, When};
pub use temp_store::TempStore;
