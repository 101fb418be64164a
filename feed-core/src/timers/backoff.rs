//! How long a timer is put off after a failure. Pure.

use std::time::Duration;

use crate::limits::{BACKOFF_MS_MAX, BACKOFF_MS_MIN};

/// The wait after the `failures`th failure in a row, from 1: capped exponential with full jitter, as a consumer waits.
/// `random` is from 0 to 1.
pub(super) fn after_failure(failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    let ceiling_ms = BACKOFF_MS_MIN
        .saturating_mul(1 << doublings)
        .min(BACKOFF_MS_MAX);
    Duration::from_millis(ceiling_ms).mul_f64(random.clamp(0.0, 1.0))
}
