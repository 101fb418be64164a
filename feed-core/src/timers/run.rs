//! The runner's loop: it decides only how long to sleep.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::step::{TimerFailure, Timers, TimersOutcome};
use crate::consumer::backoff;
use crate::faults::wall_clock;
use crate::limits::{BACKOFF_MS_MAX, TIMER_LOOK_MS_MAX, WATCH_INTERVAL_MS};

impl Timers {
    /// Steps until `stop` is cancelled. What fails is logged here, once.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut commits = self.store.commits();
        let mut failures = 0;
        loop {
            // Interest is registered before looking, so that a timer that is set in between is not missed.
            commits.mark_unchanged();
            let stepped = tokio::select! {
                biased;
                // A step that is dropped here leaves the database as it was, or commits whole.
                () = stop.cancelled() => return,
                stepped = self.step() => stepped,
            };
            let (wait, may_be_woken) = match stepped {
                Ok(outcome) => {
                    failures = 0;
                    (after(outcome), true)
                }
                Err(error) => {
                    failures += 1;
                    let wait = backoff::after_failure(
                        failures,
                        rand::random(),
                        Duration::from_millis(BACKOFF_MS_MAX),
                        None,
                    );
                    tracing::error!(%error, failures, wait_ms = wait.as_millis() as u64, "timers cannot be fired, trying again");
                    (wait, false)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = woken(&mut commits), if may_be_woken => {}
            }
        }
    }

    /// Runs in the background, see [`run`](Self::run).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(self, stop: CancellationToken) -> tokio::task::JoinHandle<()> {
        tokio::spawn(self.run(stop))
    }
}

/// Logs what a step did, and says how long to wait before the next one.
fn after(outcome: TimersOutcome) -> Duration {
    match outcome {
        TimersOutcome::Fired { timers, failure } => {
            tracing::debug!(timers, "timers fired");
            if let Some(failure) = failure {
                log(&failure);
            }
            Duration::ZERO
        }
        TimersOutcome::Waiting { until } => until_due(until, wall_clock()),
    }
}

fn log(failure: &TimerFailure) {
    let TimerFailure {
        kind,
        key,
        attempts,
        error,
        next_try,
    } = failure;
    match next_try {
        Some(next_try) => {
            tracing::warn!(kind, key, attempts, error, %next_try, "a timer is tried again later");
        }
        None => tracing::error!(kind, key, attempts, error, "a timer failed and is kept"),
    }
}

/// Polling is the truth: what was missed, or done to the clock, is noticed after [`TIMER_LOOK_MS_MAX`].
pub(super) fn until_due(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Duration {
    let longest = Duration::from_millis(TIMER_LOOK_MS_MAX);
    let wait = until.map(|until| (until - now).to_std().unwrap_or_default());
    wait.map_or(longest, |wait| wait.min(longest))
}

/// Something was committed: perhaps an earlier timer. Not more often than another process's commits are noticed, so that
/// a busy service does not look for timers at each of its commits.
async fn woken(commits: &mut watch::Receiver<u64>) {
    tokio::time::sleep(Duration::from_millis(WATCH_INTERVAL_MS)).await;
    if commits.changed().await.is_err() {
        // The store was closed: only the clock wakes from here on.
        std::future::pending::<()>().await;
    }
}
