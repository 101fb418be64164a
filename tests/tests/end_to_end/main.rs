//! The real binaries, as users run them: killed, stopped, started apart, late.

#![cfg(unix)]

mod crashes;
mod running;
mod sagas;
mod witness;
