//! Request rates, by wrk.

use std::process::{Command, Stdio};

use super::peer::{Bench, CONNECTIONS};
use crate::Failure;

/// Requests a second on 64 connections, all for the same URL.
pub(crate) fn rate(bench: &Bench, url: &str, headers: &[(&str, &str)]) -> Result<f64, Failure> {
    let seconds = bench.time.as_secs().max(1).to_string();
    let connections = CONNECTIONS.to_string();
    let mut command = Command::new("wrk");
    command.args(["-t", "2", "-c", &connections, "-d", &seconds]);
    for (name, value) in headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let command = command.arg(url).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("wrk: {error}"))?;
    if !output.status.success() {
        return Err(format!("wrk: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// What it says; a failure when answers were refusals or did not come.
fn parse(text: &str) -> Result<f64, Failure> {
    for line in text.lines().map(str::trim) {
        if line.starts_with("Non-2xx or 3xx") || line.starts_with("Socket errors") {
            return Err(format!("wrk: {line}").into());
        }
    }
    let rate = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"))
        .and_then(|rate| rate.trim().parse().ok());
    rate.ok_or_else(|| format!("wrk said no rate: {text}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_and_refusals_are_no_rate() {
        let text =
            "Running 1s test\n  Latency   1.00ms\n\nRequests/sec:  95123.45\nTransfer/sec: 1GB\n";
        assert_eq!(parse(text).unwrap(), 95_123.45);
        assert!(parse(&format!("{text}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(parse("nothing").is_err());
    }
}
