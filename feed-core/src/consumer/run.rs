//! A worker's loop: it decides only how long to wait.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff;
use super::error::{ConsumerError, Halt};
use super::fetching::Fetching;
use super::held::{Held, Keeper};
use super::state::SubscriptionState;
use super::step::{StepOutcome, Worker};
use super::storage::Doing;
use crate::faults::wall_clock;
use crate::limits::{LEASE_LOOK_MS, LEASE_LOOK_MS_MAX, POLL_WAIT_MS};

/// What to wait for before the next step.
enum Pause {
    /// So long; the lease is kept meanwhile.
    For(Duration),
    /// Until the database says something new, but no longer than this.
    Look(Duration),
}

/// Why a worker's loop came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was told to stop.
    Stopped,
    /// The rebuild is over.
    SwitchedOver,
    /// The subscription has another number of partitions now.
    Resized,
    /// The partition is another's, or not to be worked on now: whoever shares the partitions out decides what is next.
    LetGo,
}

impl Worker {
    /// Steps until `stop` is cancelled. What happens is logged here, once. What halts or is paused is waited for until an
    /// operator has resumed it; one partition of several is let go instead.
    ///
    /// # Errors
    /// When the feed cannot be followed so at all.
    pub(super) async fn run_until(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Ended, ConsumerError> {
        let mut failures = 0;
        let mut commits = self.store.commits();
        loop {
            // Interest is registered before looking, so that a change in between is not missed.
            commits.mark_unchanged();
            let (began, wait) = (Instant::now(), self.long_poll());
            let stepped = tokio::select! {
                biased;
                // A step that is dropped here leaves the database as it was, or commits whole.
                () = stop.cancelled() => return Ok(Ended::Stopped),
                stepped = self.step_waiting(wait) => stepped,
            };
            let pause = match stepped {
                Ok(StepOutcome::SwitchedOver) => return Ok(Ended::SwitchedOver),
                Ok(StepOutcome::Resized) => return Ok(Ended::Resized),
                Ok(outcome) if self.part.of > 1 && lets_go(&outcome) => return Ok(Ended::LetGo),
                Ok(outcome) => {
                    if failures > 0 && gets_on(&outcome) {
                        tracing::info!(subscription = %self.part, failures, "following again");
                        failures = 0;
                    }
                    self.pause_after(&outcome, began)
                }
                Err(error) if error.is_transient() => {
                    failures += 1;
                    Pause::For(self.wait_after(&error, failures).await)
                }
                Err(ConsumerError::Halted(halt)) => self.pause_halted(&halt),
                Err(error) => {
                    let halt = Halt::Unusable(error.to_string());
                    if let Err(error) = self.halt(&halt).await {
                        tracing::error!(subscription = %self.part, %error, "the reason for halting could not be saved");
                    }
                    if self.fetching.is_none() {
                        return Err(error);
                    }
                    self.pause_halted(&halt)
                }
            };
            if self.part.of > 1
                && self.held.is_none()
                && matches!(pause, Pause::Look(Duration::MAX))
            {
                return Ok(Ended::LetGo);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Ended::Stopped),
                () = self.pause(pause, &mut commits) => {}
            }
        }
    }

    /// How long the server is asked to wait: only where there is nothing behind what was read.
    fn long_poll(&self) -> Option<Duration> {
        let may_wait =
            self.fetched.is_empty() && self.fetching.as_ref().is_some_and(Fetching::may_wait);
        may_wait.then_some(Duration::from_millis(POLL_WAIT_MS))
    }

    fn pause_after(&self, outcome: &StepOutcome, began: Instant) -> Pause {
        let interval = backoff::between_polls(self.options.poll_interval, rand::random());
        match outcome {
            StepOutcome::CaughtUp => {
                let waited = self.fetching.as_ref().is_some_and(Fetching::has_waited);
                // A server that waited is asked again at once, unless it only says that it did.
                let wait = if waited {
                    interval.saturating_sub(began.elapsed())
                } else {
                    interval
                };
                let replay = self.held.as_ref().and_then(Held::replay_in);
                Pause::For(replay.map_or(wait, |replay| replay.min(wait)))
            }
            // What comes next is asked for at once: by a question that may wait, where nothing is known to be there.
            StepOutcome::Taken
            | StepOutcome::Fetched
            | StepOutcome::Applied { .. }
            | StepOutcome::Parked { .. }
            | StepOutcome::Replayed { .. }
            | StepOutcome::Gave { .. }
            | StepOutcome::Resized
            | StepOutcome::SwitchedOver => Pause::For(Duration::ZERO),
            StepOutcome::Stopped => Pause::For(Duration::from_millis(LEASE_LOOK_MS)),
            StepOutcome::Superseded => Pause::Look(Duration::from_millis(LEASE_LOOK_MS)),
            StepOutcome::Standby { left } => Pause::Look(*left),
            StepOutcome::Halted | StepOutcome::Paused => Pause::Look(Duration::MAX),
        }
    }

    /// Notes a failure that may pass, and says how long to wait.
    async fn wait_after(&mut self, error: &ConsumerError, failures: u32) -> Duration {
        let wait = backoff::after_failure(
            failures,
            rand::random(),
            self.options.backoff_max,
            error.retry_after(),
        );
        tracing::warn!(subscription = %self.part, %error, failures, wait_ms = wait.as_millis() as u64, "trying again");
        let reason = error.to_string();
        let doing = Doing {
            state: SubscriptionState::Waiting,
            reason: Some(&reason),
            failures,
            next_try: Some(wall_clock() + wait),
        };
        match self.note(doing).await {
            Ok(_) => {
                if let Some(held) = &mut self.held {
                    held.troubled = true;
                }
            }
            // It may be the database that fails.
            Err(error) => {
                tracing::debug!(subscription = %self.part, %error, "the failure could not be noted")
            }
        }
        wait
    }

    fn pause_halted(&self, halt: &Halt) -> Pause {
        tracing::error!(subscription = %self.part, %halt, "halted");
        Pause::Look(Duration::MAX)
    }

    async fn pause(&mut self, pause: Pause, commits: &mut watch::Receiver<u64>) {
        match pause {
            Pause::For(Duration::ZERO) => {}
            Pause::For(wait) => {
                let sleep = tokio::time::sleep(wait);
                let Some(held) = &mut self.held else {
                    return sleep.await;
                };
                let keeper = Keeper {
                    store: &self.store,
                    part: &self.part,
                    lease_for: self.options.lease,
                };
                if keeper.while_held(held, sleep).await.is_err() {
                    self.let_go();
                }
            }
            Pause::Look(at_most) => {
                // Polling is the truth, the signal only quicker.
                let at_most = at_most.min(Duration::from_millis(LEASE_LOOK_MS_MAX));
                let at_least = at_most.min(Duration::from_millis(LEASE_LOOK_MS));
                tokio::time::sleep(at_least).await;
                let _ = tokio::time::timeout(at_most - at_least, commits.changed()).await;
            }
        }
    }
}

/// Whether after this the failures before it are over.
fn gets_on(outcome: &StepOutcome) -> bool {
    match outcome {
        StepOutcome::Applied { .. }
        | StepOutcome::Parked { .. }
        | StepOutcome::CaughtUp
        | StepOutcome::SwitchedOver => true,
        StepOutcome::Taken
        | StepOutcome::Fetched
        | StepOutcome::Replayed { .. }
        | StepOutcome::Superseded
        | StepOutcome::Stopped
        | StepOutcome::Resized
        | StepOutcome::Gave { .. }
        | StepOutcome::Standby { .. }
        | StepOutcome::Halted
        | StepOutcome::Paused => false,
    }
}

/// Whether the partition is not this instance's to work on now.
fn lets_go(outcome: &StepOutcome) -> bool {
    matches!(
        outcome,
        StepOutcome::Standby { .. } | StepOutcome::Halted | StepOutcome::Paused
    )
}
