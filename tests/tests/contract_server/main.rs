//! The feed endpoint, asked over a real socket: every rule of the protocol that a reader may rely on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod bounds;
mod caching;
mod codings;
mod consumers;
mod cors;
mod cursors;
mod documents;
mod epochs;
mod events;
mod known_end;
mod lamps;
mod parameters;
mod problems;
mod sequences;
#[path = "../served/mod.rs"]
mod served;
mod stream;
mod waiting;
mod walks;
