//! What tests need of the machine beside a Rust toolchain.

/// Set by `scripts/test`, which installs everything: then a tool that is missing is a failure.
pub const REQUIRE_TOOLS: &str = "FEEDWAY_REQUIRE_TOOLS";

/// Says that a test was skipped since the machine lacks `what`.
///
/// # Panics
/// When nothing may be skipped ([`REQUIRE_TOOLS`] is set).
#[allow(
    clippy::print_stderr,
    clippy::panic,
    reason = "this is how a test says it"
)]
pub fn missing(what: &str) {
    if std::env::var_os(REQUIRE_TOOLS).is_some() {
        panic!("needs {what}");
    }
    eprintln!("skipped: needs {what}");
}
