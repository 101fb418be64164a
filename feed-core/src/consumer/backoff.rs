//! How long to wait. Pure.

use std::time::Duration;

use crate::limits::BACKOFF_MS_MIN;

/// The wait after the `failures`th failure in a row, from 1: capped exponential with full jitter (Brooker,
/// "Exponential Backoff And Jitter", 2015). `random` is from 0 to 1. What was asked for is waited at least.
pub(crate) fn after_failure(
    failures: u32,
    random: f64,
    longest: Duration,
    retry_after: Option<Duration>,
) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    let ceiling = Duration::from_millis(BACKOFF_MS_MIN.saturating_mul(1 << doublings)).min(longest);
    let jittered = ceiling.mul_f64(random.clamp(0.0, 1.0));
    jittered.max(retry_after.unwrap_or_default())
}

/// The wait between two polls: `interval` give or take a quarter, so that many consumers do not march in step.
pub(super) fn between_polls(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(0.75 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONGEST: Duration = Duration::from_secs(30);

    proptest! {
        #[test]
        fn waits_are_bounded_and_honour_the_server(failures in 1..=u32::MAX, random in 0.0..=1.0, asked_ms in 0..60_000u64) {
            let wait = after_failure(failures, random, LONGEST, None);
            prop_assert!(wait <= LONGEST);
            let asked = Duration::from_millis(asked_ms);
            prop_assert!(after_failure(failures, random, LONGEST, Some(asked)) >= asked);
            let interval = Duration::from_millis(100);
            let poll = between_polls(interval, random);
            prop_assert!(poll >= interval.mul_f64(0.75) && poll <= interval.mul_f64(1.25));
        }
    }

    #[test]
    fn the_ceiling_doubles() {
        let ceilings: Vec<_> = (1..5)
            .map(|failures| after_failure(failures, 1.0, LONGEST, None).as_millis())
            .collect();
        assert_eq!(ceilings, [100, 200, 400, 800]);
    }
}
