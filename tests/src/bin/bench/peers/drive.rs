//! The loads: workers that do one thing again and again for a time, and a writer by the clock with somebody who follows.

use std::future::Future;

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::payload::age_ms;
use crate::Failure;

/// Longest time that a worker may take for one thing.
const ONCE_MAX: Duration = Duration::from_secs(20);
/// How long is waited for the last events of a measurement of latency.
const LAST_MAX: Duration = Duration::from_secs(5);
/// What share of the planned time a writer may take longer before it counts as having fallen behind.
const LATE_SHARE_MAX: f64 = 0.1;
/// The first share of the latencies, which warm everything up, is left out.
const WARM_UP_SHARE: f64 = 0.1;

/// Somebody with a connection of its own.
pub(crate) trait Worker: Send + 'static {
    /// Does it once, and says how many units that were.
    fn once(&mut self) -> impl Future<Output = Result<u64, Failure>> + Send;
}

/// Units a second that all workers did together in about `time`.
pub(crate) async fn rate<W: Worker>(workers: Vec<W>, time: Duration) -> Result<f64, Failure> {
    let began = Instant::now();
    let until = began + time;
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            tokio::spawn(async move {
                let mut units = 0;
                while Instant::now() < until {
                    units += bounded(worker.once()).await?;
                }
                Ok::<_, Failure>(units)
            })
        })
        .collect();
    let mut units = 0;
    for task in tasks {
        units += task.await??;
    }
    Ok(units as f64 / began.elapsed().as_secs_f64())
}

/// As it was asked for, or a failure when it takes longer than anything may.
pub(crate) async fn bounded<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ONCE_MAX, work).await {
        Ok(done) => done,
        Err(_) => Err(format!("no answer within {} s", ONCE_MAX.as_secs()).into()),
    }
}

/// Takes the age of what a follower receives.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals(mpsc::UnboundedSender<f64>);

impl Arrivals {
    /// To be called with each event's data, as soon as it would be handed to a handler.
    pub(crate) fn arrived(&self, payload: &[u8]) {
        if let Some(age) = age_ms(payload) {
            // Nobody listens any more when the measurement is over.
            let _ = self.0.send(age);
        }
    }
}

/// Milliseconds from the call that appends to the handler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What came of a pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Paced {
    KeptUp(Latency),
    /// The writer was too slow.
    FellBehind,
}

/// A rate that is to be kept up.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct Pace {
    pub(crate) per_second: u32,
    pub(crate) seconds: u32,
}

/// Lets somebody append at that pace, which says in the end whether it was kept up, while `follow` runs, which tells
/// [`Arrivals`] what it receives and never ends.
pub(crate) async fn latency<F>(
    pace: Pace,
    written: impl Future<Output = Result<bool, Failure>> + Send + 'static,
    follow: impl FnOnce(Arrivals) -> F,
) -> Result<Paced, Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut follower = tokio::spawn(follow(Arrivals(sender)));
    let mut written = tokio::spawn(written);
    let wanted = (pace.per_second * pace.seconds) as usize;
    let mut ages = Vec::with_capacity(wanted);
    let mut kept_up = None;
    while ages.len() < wanted && kept_up != Some(false) {
        tokio::select! {
            Some(age) = receiver.recv() => ages.push(age),
            ended = &mut follower => {
                ended??;
                return Err("the follower ended".into());
            }
            done = &mut written, if kept_up.is_none() => kept_up = Some(done??),
            () = tokio::time::sleep(LAST_MAX) => break,
        }
    }
    follower.abort();
    let kept_up = match kept_up {
        Some(kept_up) => kept_up,
        None => written.await??,
    };
    if !kept_up {
        return Ok(Paced::FellBehind);
    }
    if ages.len() < wanted {
        return Err(format!("{} of {wanted} events came", ages.len()).into());
    }
    of_ages(ages)
        .map(Paced::KeptUp)
        .ok_or_else(|| "no event came".into())
}

/// Appends by the clock; whether that was kept up.
pub(crate) async fn by_the_clock(writer: impl Worker, pace: Pace) -> Result<bool, Failure> {
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || paced(writer, pace, &runtime)).await?
}

/// Appends by the clock, on a thread of its own: a runtime's clock is not fine enough. Whether it kept up.
fn paced(mut writer: impl Worker, pace: Pace, runtime: &Handle) -> Result<bool, Failure> {
    let planned = Duration::from_secs(u64::from(pace.seconds));
    let latest = planned.mul_f64(1.0 + LATE_SHARE_MAX);
    let began = Instant::now();
    for number in 0..pace.per_second * pace.seconds {
        let due = Duration::from_secs_f64(f64::from(number) / f64::from(pace.per_second));
        if let Some(left) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(left);
        }
        if began.elapsed() > latest {
            return Ok(false);
        }
        runtime.block_on(bounded(writer.once()))?;
    }
    Ok(began.elapsed() <= latest)
}

fn of_ages(mut ages: Vec<f64>) -> Option<Latency> {
    let warm_up = (ages.len() as f64 * WARM_UP_SHARE) as usize;
    ages.drain(..warm_up);
    ages.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (ages.len() as f64 * share).ceil() as usize;
        ages.get(rank.saturating_sub(1)).copied()
    };
    Some(Latency {
        p50: at(0.5)?,
        p99: at(0.99)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_leave_the_warm_up_out() {
        let ages = (1..=1_000).rev().map(f64::from).collect();
        // 1,000 to 901 came first.
        let latency = of_ages(ages).unwrap();
        assert_eq!((latency.p50, latency.p99), (450.0, 891.0));
        assert_eq!(of_ages(Vec::new()), None);
    }

    struct Counts(u64);
    impl Worker for Counts {
        async fn once(&mut self) -> Result<u64, Failure> {
            tokio::task::yield_now().await;
            Ok(self.0)
        }
    }

    #[tokio::test]
    async fn units_of_all_workers_count() {
        let rate = rate(vec![Counts(1), Counts(100)], Duration::from_millis(20));
        assert!(rate.await.unwrap() > 100.0);
    }
}
