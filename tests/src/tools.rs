//! What tests need of the machine beside a Rust toolchain.

use std::io::Write;

/// Set by `scripts/test`, which installs everything: then a tool that is missing is a failure.
pub const REQUIRE_TOOLS: &str = "FEEDWAY_REQUIRE_TOOLS";

/// Says that a test was skipped since the machine lacks `what`.
///
/// # Panics
/// When nothing may be skipped ([`REQUIRE_TOOLS`] is set).
#[allow(clippy::panic, reason = "this is how a test says it")]
pub fn missing(what: &str) {
    if std::env::var_os(REQUIRE_TOOLS).is_some() {
        panic!("needs {what}");
    }
    // Not by `eprintln!`, which is kept back when the test passes. Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stderr(), "skipped: needs {what}");
}
