//! The conformance kit: all rules hold of the library's own server, and each is seen broken where it is broken.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod own_server;
mod scene;
mod spoil;
mod zoo;
