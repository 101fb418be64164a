//! What a process does beside its requests: it runs the sequencer, and listens for the batches of others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;
use tokio_util::task::AbortOnDropHandle;

use super::address::Address;
use super::clock::DatabaseClock;
use super::failure::store_error;
use super::sequencer::Sequencer;
use super::sessions::{Connected, answered, connect};
use crate::error::StoreError;
use crate::limits::{
    BACKOFF_MS_MIN, POSTGRES_LISTEN_LOOK_MS, POSTGRES_RECONNECT_MS_MAX, POSTGRES_SEQUENCE_LOOK_MS,
    POSTGRES_SEQUENCED_EVENTS, POSTGRES_SEQUENCED_EVENTS_MAX, POSTGRES_SEQUENCER_LOAD_EVENTS,
    POSTGRES_SEQUENCER_REST_MS_MAX, POSTGRES_SEQUENCER_RESTS,
};

const REST_MAX: Duration = Duration::from_millis(POSTGRES_SEQUENCER_REST_MS_MAX);

/// What the tasks share with the store.
pub(super) struct Shared {
    pub(super) address: Address,
    pub(super) channel: String,
    pub(super) clock: DatabaseClock,
    /// Somebody here has committed events.
    pub(super) committed: Notify,
    pub(super) commits: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn announce(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }
}

/// The tasks. They end when this is dropped.
pub(super) struct Background(
    #[allow(dead_code, reason = "held to be dropped")] [AbortOnDropHandle<()>; 2],
);

impl Background {
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let tasks: [JoinHandle<()>; 2] = [
            tokio::spawn(keep(shared.clone(), "sequencer", sequence)),
            tokio::spawn(keep(shared.clone(), "listener", listen)),
        ];
        Background(tasks.map(AbortOnDropHandle::new))
    }
}

/// Does `work` again and again, since it only ends by an error: with a new connection each time, later and later while
/// that fails.
async fn keep<F>(shared: Arc<Shared>, name: &'static str, work: impl Fn(Arc<Shared>) -> F)
where
    F: Future<Output = StoreError>,
{
    let mut wait = Duration::from_millis(BACKOFF_MS_MIN);
    loop {
        let begun = tokio::time::Instant::now();
        let error = work(shared.clone()).await;
        if begun.elapsed() > Duration::from_millis(POSTGRES_RECONNECT_MS_MAX) {
            wait = Duration::from_millis(BACKOFF_MS_MIN);
        }
        tracing::warn!(task = name, %error, wait_ms = wait.as_millis() as u64, "connects to the database again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(POSTGRES_RECONNECT_MS_MAX));
    }
}

/// Runs batches whenever somebody here has committed, and looks every now and then whether somebody else has who does not
/// do it.
async fn sequence(shared: Arc<Shared>) -> StoreError {
    match sequence_until_error(&shared).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn sequence_until_error(shared: &Shared) -> Result<std::convert::Infallible, StoreError> {
    let connected = connect(&shared.address, |_| {}).await?;
    let sequencer = Sequencer::new(connected.client, shared.channel.clone()).await?;
    // A standby has no work for it until it is promoted.
    let mut follows = true;
    let mut looked: Option<tokio::time::Instant> = None;
    let interval = Duration::from_millis(POSTGRES_SEQUENCE_LOOK_MS);
    loop {
        if looked.is_none_or(|at| at.elapsed() >= interval) {
            let (is_standby, ms) = sequencer.look().await?;
            shared.clock.set(ms);
            if follows && !is_standby && looked.is_some() {
                tracing::info!("the database takes writes now: it was a standby");
            } else if is_standby && looked.is_none() {
                tracing::info!("the database is a standby: it is read until it is promoted");
            }
            follows = is_standby;
            looked = Some(tokio::time::Instant::now());
        }
        if !follows {
            let began = tokio::time::Instant::now();
            let placed = run_batches(shared, &sequencer).await?;
            if placed >= POSTGRES_SEQUENCER_LOAD_EVENTS {
                // Each batch costs much the same however many events are in it, and appenders need the machine too.
                let rest = began.elapsed() * POSTGRES_SEQUENCER_RESTS;
                tokio::time::sleep(rest.min(REST_MAX)).await;
            }
        }
        // What was committed during a batch has left a permit.
        let _ = tokio::time::timeout(interval, shared.committed.notified()).await;
    }
}

/// Runs batches until there is nothing left. Returns how many events got positions.
pub(super) async fn run_batches(
    shared: &Shared,
    sequencer: &Sequencer,
) -> Result<usize, StoreError> {
    let session = sequencer.session;
    let mut placed = 0;
    for feed in session.works(&shared.address, sequencer.pending()).await? {
        let mut limit = POSTGRES_SEQUENCED_EVENTS;
        loop {
            let step = sequencer.sequence(feed, limit);
            let done = match session.works(&shared.address, step).await {
                Ok(done) => done,
                // Another sequencer was first, or is at it for long: it is looked anew.
                Err(StoreError::Constraint(reason)) => {
                    tracing::debug!(feed, reason, "another sequencer was first");
                    break;
                }
                Err(error) => return Err(error),
            };
            if done.events > 0 {
                placed += done.events;
                shared.announce();
            }
            if !done.more {
                break;
            }
            // Each batch looks through all of a backlog for its first events.
            limit = (limit * 4).min(POSTGRES_SEQUENCED_EVENTS_MAX);
        }
    }
    Ok(placed)
}

/// Listens for batches, and lets everybody look every now and then without having heard of one: a notification may be lost
/// with a connection, and on a standby there is none.
async fn listen(shared: Arc<Shared>) -> StoreError {
    let told = shared.clone();
    let connected = connect(&shared.address, move |message| {
        if let AsyncMessage::Notification(_) = message {
            told.announce();
        }
    });
    let Connected { client, mut driver } = match connected.await {
        Ok(connected) => connected,
        Err(error) => return error,
    };
    let mut listens = false;
    loop {
        // Also to know that the connection is alive: one that is not says nothing of it, as a standby tells of no batch.
        let asked = answered(client.query_one("SELECT pg_is_in_recovery()", &[])).await;
        let is_standby = match asked {
            Ok(Ok(row)) => row.try_get(0).unwrap_or(true),
            Ok(Err(error)) => return store_error(error),
            Err(error) => return error,
        };
        if !listens && !is_standby {
            let listen = format!("LISTEN \"{}\"", shared.channel);
            match answered(client.batch_execute(&listen)).await {
                Ok(listening) => listens = listening.is_ok(),
                Err(error) => return error,
            }
            // What was told before it listened.
            shared.announce();
        }
        let look = Duration::from_millis(if listens {
            POSTGRES_LISTEN_LOOK_MS
        } else {
            POSTGRES_SEQUENCE_LOOK_MS
        });
        tokio::select! {
            _ = &mut driver => return StoreError::Unavailable("the listener's connection ended".to_owned()),
            () = tokio::time::sleep(look) => shared.announce(),
        }
    }
}
