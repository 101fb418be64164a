//! An instance at work: one worker, or those of its share of the partitions at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff;
use super::error::ConsumerError;
use super::instance::{Consumer, Shared};
use super::run::Ended;
use super::step::Worker;
use crate::error::StoreError;
use crate::limits::{LEASE_LOOK_MS, LEASE_LOOK_MS_MAX, RELEASE_MS_MAX};

/// The workers that are at work now.
#[derive(Default)]
struct Team {
    tasks: JoinSet<(Worker, Result<Ended, ConsumerError>)>,
    /// What ends each of them.
    stops: BTreeMap<u32, CancellationToken>,
}

impl Consumer {
    /// Steps until `stop` is cancelled. What happens is logged here, once. A subscription that halts or is paused is
    /// waited for until an operator has resumed it.
    ///
    /// At the end the lease is given back, so that another instance may go on at once.
    ///
    /// # Errors
    /// When the consumer cannot be made so: the feed's URL, for example.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ConsumerError> {
        tracing::info!(subscription = %self.name, feed = self.feed_url, "following");
        let ended = self.follow(&stop).await;
        let leave = self.leave();
        match tokio::time::timeout(Duration::from_millis(RELEASE_MS_MAX), leave).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the lease could not be given back: it ends by itself")
            }
            Err(_) => tracing::warn!("giving the lease back took too long: it ends by itself"),
        }
        ended
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

    async fn follow(&mut self, stop: &CancellationToken) -> Result<(), ConsumerError> {
        let mut failures = 0;
        loop {
            let there = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                there = self.partitions_there() => there,
            };
            let ended = match there {
                Ok(1) => self.follow_alone(stop).await?,
                Ok(_) => self.follow_together(stop).await?,
                Err(error) if error.is_transient() => {
                    failures += 1;
                    if self.wait_after(&error, failures, stop).await {
                        continue;
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            failures = 0;
            match ended {
                Ended::Stopped | Ended::SwitchedOver => return Ok(()),
                Ended::Resized | Ended::LetGo => self.look_anew(),
            }
        }
    }

    /// Waits after a failure that may pass. Returns whether to go on.
    async fn wait_after(
        &self,
        error: &ConsumerError,
        failures: u32,
        stop: &CancellationToken,
    ) -> bool {
        let longest = self.options.backoff_max;
        let wait = backoff::after_failure(failures, rand::random(), longest, error.retry_after());
        tracing::warn!(subscription = %self.name, %error, failures, wait_ms = wait.as_millis() as u64, "trying again");
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    async fn follow_alone(&mut self, stop: &CancellationToken) -> Result<Ended, ConsumerError> {
        if !self.workers.contains_key(&0) {
            let worker = self.worker(0);
            self.workers.insert(0, worker);
        }
        match self.workers.get_mut(&0) {
            Some(worker) => worker.run_until(stop).await,
            None => Ok(Ended::LetGo),
        }
    }

    /// Works on this instance's share of the partitions, as long as there are so many of them.
    async fn follow_together(&mut self, stop: &CancellationToken) -> Result<Ended, ConsumerError> {
        // What was stepped before has a task of its own from now on.
        for worker in self.workers.values_mut() {
            worker.release().await?;
        }
        self.workers.clear();
        let mut team = Team::default();
        let ended = self.lead(&mut team, stop).await;
        team.stop().await;
        ended
    }

    async fn lead(
        &mut self,
        team: &mut Team,
        stop: &CancellationToken,
    ) -> Result<Ended, ConsumerError> {
        let mut commits = self.store.commits();
        let mut failures = 0;
        // In time for telling the others again that this one is there.
        let at_most = (self.options.lease / 3).clamp(
            Duration::from_millis(LEASE_LOOK_MS),
            Duration::from_millis(LEASE_LOOK_MS_MAX),
        );
        loop {
            // Interest is registered before looking, so that a change in between is not missed.
            commits.mark_unchanged();
            let looked = Instant::now();
            let mine: BTreeSet<u32> = team.stops.keys().copied().collect();
            match self.share(&mine).await {
                Ok(Shared::Resized) => return Ok(Ended::Resized),
                Ok(Shared::Plan(plan)) => {
                    failures = 0;
                    for number in plan.give {
                        team.give(number);
                    }
                    for number in plan.take {
                        team.take(number, self.worker(number));
                    }
                }
                // Those who work go on meanwhile.
                Err(error) if error.is_transient() => {
                    failures += 1;
                    if !self.wait_after(&error.into(), failures, stop).await {
                        return Ok(Ended::Stopped);
                    }
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Ended::Stopped),
                Some(joined) = team.tasks.join_next() => {
                    if let Some(ended) = self.ended(team, joined)? {
                        return Ok(ended);
                    }
                }
                () = news(&mut commits, at_most) => {}
            }
            // Others may commit very often, and a partition may be let go as soon as it was taken.
            let next = looked + Duration::from_millis(LEASE_LOOK_MS);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Ended::Stopped),
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// What follows from the end of a worker; none: the others go on.
    fn ended(
        &mut self,
        team: &mut Team,
        joined: Result<(Worker, Result<Ended, ConsumerError>), tokio::task::JoinError>,
    ) -> Result<Option<Ended>, ConsumerError> {
        let (worker, ended) = match joined {
            Ok(joined) => joined,
            Err(error) => return Err(StoreError::Panicked(error.to_string()).into()),
        };
        team.stops.remove(&worker.part.number);
        if !worker.may_try_halted {
            self.tried.insert(worker.part.number);
        }
        Ok(match ended? {
            Ended::Resized => Some(Ended::Resized),
            Ended::Stopped | Ended::SwitchedOver | Ended::LetGo => None,
        })
    }
}

impl Team {
    fn take(&mut self, number: u32, mut worker: Worker) {
        let stop = CancellationToken::new();
        self.stops.insert(number, stop.clone());
        self.tasks.spawn(async move {
            let ended = worker.run_until(&stop).await;
            // What fails to be given back ends by itself.
            if let Err(error) = worker.release().await {
                tracing::warn!(subscription = %worker.part, %error, "the lease could not be given back: it ends by itself");
            }
            (worker, ended)
        });
    }

    /// The worker of the partition stops; what it is about to commit is committed, or left to whoever takes the partition.
    fn give(&mut self, number: u32) {
        if let Some(stop) = self.stops.get(&number).filter(|stop| !stop.is_cancelled()) {
            tracing::info!(partition = number, "given to another instance");
            stop.cancel();
        }
    }

    /// Stops all workers, and waits until they have.
    async fn stop(&mut self) {
        for stop in self.stops.values() {
            stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Polling is the truth, the signal only quicker.
async fn news(commits: &mut watch::Receiver<u64>, at_most: Duration) {
    let _ = tokio::time::timeout(at_most, commits.changed()).await;
}
