//! The consumer's loop: it decides only how long to wait.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::backoff;
use super::error::{ConsumerError, Halt};
use super::step::{Consumer, StepOutcome};

impl Consumer {
    /// Steps until `stop` is cancelled or the subscription halts. What happens is logged here, once.
    ///
    /// # Errors
    /// [`ConsumerError::Halted`] when it halts.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ConsumerError> {
        tracing::info!(subscription = %self.name, feed = self.feed_url, "following");
        let mut failures = 0;
        loop {
            let stepped = tokio::select! {
                biased;
                // A step that is dropped here leaves the database as it was, or commits whole.
                () = stop.cancelled() => return Ok(()),
                stepped = self.step() => stepped,
            };
            let wait = match stepped {
                Ok(outcome) => {
                    if failures > 0 {
                        tracing::info!(subscription = %self.name, failures, "following again");
                        failures = 0;
                    }
                    self.wait_after(&outcome)
                }
                Err(error) if error.is_transient() => {
                    failures += 1;
                    let wait =
                        backoff::after_failure(failures, rand::random(), error.retry_after());
                    tracing::warn!(subscription = %self.name, %error, failures, wait_ms = wait.as_millis() as u64, "trying again");
                    wait
                }
                Err(error) => return Err(self.halted(error).await),
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Runs in the background, see [`run`](Self::run).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(
        self,
        stop: CancellationToken,
    ) -> tokio::task::JoinHandle<Result<(), ConsumerError>> {
        tokio::spawn(self.run(stop))
    }

    fn wait_after(&self, outcome: &StepOutcome) -> Duration {
        match outcome {
            StepOutcome::Fetched | StepOutcome::Superseded => Duration::ZERO,
            StepOutcome::Applied { .. } if !self.has_caught_up() => Duration::ZERO,
            StepOutcome::Applied { .. } | StepOutcome::CaughtUp => {
                backoff::between_polls(self.poll_interval, rand::random())
            }
        }
    }

    async fn halted(&self, error: ConsumerError) -> ConsumerError {
        let halt = match error {
            ConsumerError::Halted(halt) => halt,
            other => {
                let halt = Halt::Unusable(other.to_string());
                if let Err(error) = self.note(&halt).await {
                    tracing::error!(subscription = %self.name, %error, "the reason for halting could not be saved");
                }
                halt
            }
        };
        tracing::error!(subscription = %self.name, %halt, "halted");
        halt.into()
    }
}
