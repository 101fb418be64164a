//! The services against each other's recorded documents, in both representations.
//!
//! `recorded/` holds what each service published in one run of [`scenario`]. Each service has to work from the other's
//! recording alone; and what they publish today must still have the shape of what was recorded. When the change is
//! wanted, record again: `FEEDWAY_RECORD=1 cargo test -p feedway-tests --test contract_services`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod playback;
mod running;
mod scenario;
mod shapes;
