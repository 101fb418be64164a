//! The order flow of the demo, whose program lies beside this one.

use std::process::{Command, Stdio};

use crate::Failure;
use crate::peers::process::bound_to_us;

/// Orders a second that were settled on both sides; none when the demo was not built.
pub(super) fn orders_per_second() -> Result<Option<f64>, Failure> {
    let program = std::env::current_exe()?.with_file_name("demo");
    if !program.is_file() {
        return Ok(None);
    }
    let output = bound_to_us(&Command::new(program))
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("the demo ended with {}", output.status).into());
    }
    settled(&said).map(Some)
}

/// The rate in `settled 10000 orders in 3.3 s: 3073 orders/s`.
fn settled(said: &str) -> Result<f64, Failure> {
    let line = said
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("settled "));
    let rate = line
        .and_then(|line| line.strip_suffix(" orders/s"))
        .and_then(|line| line.rsplit(' ').next())
        .and_then(|rate| rate.parse().ok());
    rate.ok_or_else(|| "the demo did not say how fast it was".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read() {
        let said = "From order\n  p50 19 ms\n  settled 10000 orders in 3.3 s: 3073 orders/s\n10000 of 10000";
        assert_eq!(settled(said).unwrap(), 3_073.0);
        assert!(settled("posted 3 orders in 1 s: 3 orders/s").is_err());
    }
}
