//! `order-svc rebuild`: builds the read model of customers anew, beside the one that is read, and switches over.
//!
//! It is a subscription of its own that fills the next generation. Rows and cursor commit together, so a rebuild that was
//! interrupted goes on where it was; its lease sees to it that one is at work.

use std::fmt;
use std::time::{Duration, Instant};

use feed_core::client::BearerTokenError;
use feed_core::{
    Consumer, ConsumerError, EventState, InvalidValue, StepOutcome, Store, StoreError,
    SubscriptionHandle, Tx,
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::app::FollowedFeed;
use crate::reactions::{self, REBUILD, SUBSCRIPTION};
use crate::storage::{self, Generation};

/// Time between two transactions, in milliseconds: other processes write to the database too.
const PAUSE_MS: u64 = 5;
/// Time between two looks while there is nothing to do, in milliseconds.
const LOOK_INTERVAL_MS: u64 = 50;
/// Time between two tries while the feed or the database fails, in milliseconds.
const RETRY_INTERVAL_MS: u64 = 1_000;
/// Customers of old generations that one transaction deletes at most.
const CUSTOMERS_PER_DELETE_MAX: u32 = 500;

/// What is to be rebuilt.
#[derive(Debug, Clone)]
pub(crate) struct RebuildSettings {
    /// Path or address of the service's database, which has to be there.
    pub(crate) database: String,
    /// The customers feed.
    pub(crate) followed: FollowedFeed,
}

/// Why a read model was not rebuilt. The old one is read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name is not a valid one.
    #[error(transparent)]
    Name(#[from] InvalidValue),
    /// The file with the token for the customers feed cannot be used.
    #[error(transparent)]
    Token(#[from] BearerTokenError),
    /// The customers feed cannot be followed, or an event of it cannot be applied.
    #[error(
        "{0}. The old read model is read on; when the cause is mended, `order-svc rebuild` goes on where it was"
    )]
    Consumer(#[from] ConsumerError),
    /// The service has read nothing, so there is nothing to be built anew.
    #[error(
        "{SUBSCRIPTION} has read nothing yet, so there is nothing to build anew: `order-svc poll` follows the customers \
         feed"
    )]
    NothingRead,
    /// Another process does it.
    #[error("another rebuild is at work on this database")]
    AtWork,
    /// An operator has stopped it.
    #[error(
        "{REBUILD} is {0}: `feedctl sub show {REBUILD}` says why, `feedctl sub resume` lets it go on"
    )]
    Held(&'static str),
    /// The process was told to stop.
    #[error(
        "stopped before the end: the old read model is read on, `order-svc rebuild` goes on where it was"
    )]
    Stopped,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    /// The generation that is read now.
    pub(crate) generation: i64,
    /// Its customers.
    pub(crate) customers: i64,
    /// The position in the feed up to which it is filled.
    pub(crate) position: u64,
    /// Customers of old generations that were deleted.
    pub(crate) deleted: u64,
    pub(crate) took: Duration,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "customers rebuilt from {} events in {:.1} s: generation {} with {} customers is read now, {} old rows deleted",
            self.position,
            self.took.as_secs_f64(),
            self.generation,
            self.customers,
            self.deleted
        )
    }
}

/// Rebuilds the read model until it is switched over or `stop` is cancelled.
///
/// # Errors
/// See [`RebuildError`]; the old read model is read on then.
pub(crate) async fn run(
    settings: RebuildSettings,
    stop: CancellationToken,
) -> Result<Rebuilt, RebuildError> {
    // A database that is not there is a mistake in the path, and is not created.
    let there = Store::open_existing(&settings.database).await?;
    there.close().await;
    let store = Store::open(&settings.database, storage::MIGRATIONS).await?;
    let rebuilt = rebuild(&store, &settings.followed, &stop).await;
    store.close().await;
    rebuilt
}

async fn rebuild(
    store: &Store,
    followed: &FollowedFeed,
    stop: &CancellationToken,
) -> Result<Rebuilt, RebuildError> {
    let began = Instant::now();
    let progress = Progress::new(store)?;
    if progress.live().await? == 0 {
        return Err(RebuildError::NothingRead);
    }
    let mut consumer = consumer(store, followed)?;
    let filled = fill(&mut consumer, &progress, stop).await;
    progress.bar.finish_and_clear();
    if let Err(error) = filled {
        // Stopped at once, it does nothing but give the lease back, so that another one may go on.
        let stopped = CancellationToken::new();
        stopped.cancel();
        consumer.run(stopped).await?;
        return Err(error);
    }
    // Read after the switch: all that the live subscription has read since is in the new generation too.
    let position = progress.live().await?;
    let deleted = delete_old(store, stop).await?;
    let (generation, customers) = store
        .read(async |tx: &mut Tx<'_>| {
            let generation = storage::live_generation(tx).await?;
            Ok::<_, StoreError>((generation, storage::count_customers(tx).await?))
        })
        .await?;
    Ok(Rebuilt {
        generation,
        customers,
        position,
        deleted,
        took: began.elapsed(),
    })
}

/// The subscription that fills the next generation.
fn consumer(store: &Store, followed: &FollowedFeed) -> Result<Consumer, RebuildError> {
    let consumer = Consumer::new(store, REBUILD, &followed.url)?
        .handlers(reactions::customers(Generation::Next))
        .client_options(followed.client_options()?)
        .rebuild_of(SUBSCRIPTION, async |tx: &mut Tx<'_>| {
            Ok(storage::switch_customers(tx).await?)
        })?;
    Ok(consumer)
}

/// Steps until the next generation has become the live one.
async fn fill(
    consumer: &mut Consumer,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<(), RebuildError> {
    let mut patience_until = None;
    loop {
        let stepped = tokio::select! {
            biased;
            // A step that is dropped here leaves the database as it was, or commits whole.
            () = stop.cancelled() => return Err(RebuildError::Stopped),
            stepped = consumer.step() => stepped,
        };
        let pause_ms = match stepped {
            Ok(StepOutcome::SwitchedOver) => return Ok(()),
            Ok(StepOutcome::CaughtUp) => {
                progress.waits().await?;
                LOOK_INTERVAL_MS
            }
            Ok(StepOutcome::Superseded) => LOOK_INTERVAL_MS,
            Ok(StepOutcome::Standby { left }) => {
                // Who died gives nothing back: the lease is waited out once. Who is at work renews it.
                let until = *patience_until.get_or_insert_with(|| Instant::now() + left);
                if Instant::now() > until {
                    return Err(RebuildError::AtWork);
                }
                tracing::info!(subscription = REBUILD, "waiting for the lease");
                tokio::select! {
                    () = stop.cancelled() => return Err(RebuildError::Stopped),
                    () = tokio::time::sleep(left) => {}
                }
                if progress.rebuild.status().await?.is_none() {
                    return Err(RebuildError::AtWork);
                }
                LOOK_INTERVAL_MS
            }
            Ok(StepOutcome::Halted) => return Err(RebuildError::Held("halted")),
            Ok(StepOutcome::Paused) => return Err(RebuildError::Held("paused")),
            // It has done something, and goes on.
            Ok(_) => PAUSE_MS,
            Err(error) if error.is_transient() => {
                tracing::warn!(subscription = REBUILD, %error, "trying again");
                RETRY_INTERVAL_MS
            }
            Err(error) => return Err(error.into()),
        };
        progress.show().await?;
        tokio::select! {
            () = stop.cancelled() => return Err(RebuildError::Stopped),
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
        }
    }
}

/// Deletes what the switch has replaced, in transactions of bounded size. What is left over when the process is told to
/// stop is housekeeping's.
async fn delete_old(store: &Store, stop: &CancellationToken) -> Result<u64, StoreError> {
    let mut deleted = 0;
    while !stop.is_cancelled() {
        let more = store
            .write(async |tx: &mut Tx<'_>| {
                storage::delete_old_customers(tx, CUSTOMERS_PER_DELETE_MAX).await
            })
            .await?;
        deleted += more;
        if more < u64::from(CUSTOMERS_PER_DELETE_MAX) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
    }
    Ok(deleted)
}

/// How far it is, on stderr; nothing of it when that is no terminal.
struct Progress {
    live: SubscriptionHandle,
    rebuild: SubscriptionHandle,
    bar: ProgressBar,
    /// What is in the way is told once.
    told: std::sync::Once,
}

impl Progress {
    fn new(store: &Store) -> Result<Self, RebuildError> {
        let bar = ProgressBar::no_length();
        let template = "customers {wide_bar} {pos}/{len} events, head {msg}";
        Ok(Progress {
            live: store.subscription(SUBSCRIPTION)?,
            rebuild: store.subscription(REBUILD)?,
            bar: match ProgressStyle::with_template(template) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            },
            told: std::sync::Once::new(),
        })
    }

    /// The position of the live subscription; 0 before its first event.
    async fn live(&self) -> Result<u64, StoreError> {
        let live = self.live.status().await?;
        let cursor = live.and_then(|live| live.cursor);
        Ok(cursor.map_or(0, |cursor| cursor.position.get()))
    }

    async fn show(&self) -> Result<(), StoreError> {
        if self.bar.is_hidden() {
            return Ok(());
        }
        let Some(live) = self.live.status().await? else {
            return Ok(());
        };
        let rebuild = self.rebuild.status().await?;
        let position =
            |cursor: Option<feed_core::Cursor>| cursor.map_or(0, |cursor| cursor.position.get());
        self.bar.set_length(position(live.cursor));
        self.bar
            .set_position(position(rebuild.and_then(|rebuild| rebuild.cursor)));
        self.bar.set_message(position(live.head).to_string());
        Ok(())
    }

    /// Says what the switch waits for, where that does not pass by itself.
    async fn waits(&self) -> Result<(), StoreError> {
        let kept = self.live.counts().await?;
        let parked: u64 = kept
            .iter()
            .filter(|(state, _)| *state != EventState::Dropped)
            .map(|(_, events)| events)
            .sum();
        if parked > 0 {
            self.told.call_once(|| {
                tracing::warn!(subscription = SUBSCRIPTION, parked,
                    "the switch waits: look after the events that are parked first (feedctl sub show)");
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
