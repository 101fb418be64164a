//! Waiting for events: one task a feed looks at the store once a commit, and wakes all who wait.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::problem::Problem;
use super::problem_types;
use crate::error::StoreError;
use crate::event::Event;
use crate::feed::FeedState;
use crate::limits::{BACKOFF_MS_MAX, STREAM_EVENTS_MAX};
use crate::position::Position;
use crate::store::{Log, Window};

/// The end of a feed at one moment.
pub(super) struct Tip {
    pub(super) state: FeedState,
    /// The events that came last, without a hole, oldest first; so that most of those who wait ask the store nothing.
    pub(super) events: Vec<Event>,
}

/// The newest tip of one feed, for those who wait for it.
#[derive(Clone)]
pub(super) struct Tips {
    shared: Arc<Shared>,
}

struct Shared {
    log: Log,
    /// A place for each who may wait; those of all feeds of a router are the same.
    places: Arc<Semaphore>,
    newest: watch::Sender<Option<Arc<Tip>>>,
    /// Whether the task runs that looks at the store. It ends when nobody waits any more.
    followed: Mutex<bool>,
}

/// One who waits. Interest begins when this is made, so it is made before looking at the store.
pub(super) struct Waiter {
    newest: watch::Receiver<Option<Arc<Tip>>>,
    _place: OwnedSemaphorePermit,
}

impl Tips {
    pub(super) fn new(log: Log, places: Arc<Semaphore>) -> Self {
        Tips {
            shared: Arc::new(Shared {
                log,
                places,
                newest: watch::Sender::new(None),
                followed: Mutex::new(false),
            }),
        }
    }

    /// A place to wait at, if there is one left.
    pub(super) fn wait(&self) -> Result<Waiter, Problem> {
        let shared = &self.shared;
        let place = shared.places.clone().try_acquire_owned().map_err(|_| {
            Problem::new(
                &problem_types::TOO_MANY_WAITERS,
                "poll without waiting, or ask again later",
            )
            .retry_after(1)
        })?;
        let newest = shared.newest.subscribe();
        // Subscribed first: the task looks for subscribers under the same lock before it ends.
        let mut followed = lock(&shared.followed);
        if !*followed {
            *followed = true;
            tokio::spawn(follow(shared.clone()));
        }
        Ok(Waiter {
            newest,
            _place: place,
        })
    }
}

impl Waiter {
    /// The tip, once the feed has events behind `position`. Never, when the feed is not followed any more.
    pub(super) async fn beyond(&mut self, position: Position) -> Arc<Tip> {
        let is_beyond = |tip: &Option<Arc<Tip>>| {
            tip.as_ref()
                .is_some_and(|tip| tip.state.head.position > position)
        };
        let tip = match self.newest.wait_for(is_beyond).await {
            Ok(tip) => tip.clone(),
            Err(_) => None,
        };
        match tip {
            Some(tip) => tip,
            None => std::future::pending().await,
        }
    }
}

/// Keeps the newest tip up to date as long as somebody waits.
async fn follow(shared: Arc<Shared>) {
    let mut commits = shared.log.commits();
    let mut failures = 0_u32;
    loop {
        // Seen before looking, so that a commit in between is not missed.
        commits.mark_unchanged();
        match newer(&shared).await {
            Ok(Some(tip)) => {
                failures = 0;
                shared.newest.send_replace(Some(Arc::new(tip)));
            }
            Ok(None) => failures = 0,
            Err(error) => {
                failures += 1;
                tracing::warn!(feed = %shared.log.feed(), %error, failures, "the feed's end could not be read for those who wait");
            }
        }
        if nobody_waits(&shared) {
            return;
        }
        let look_again = match failures {
            0 => commits.changed().await.is_ok(),
            _ => {
                let wait_ms = 100_u64
                    .saturating_mul(1 << failures.min(16))
                    .min(BACKOFF_MS_MAX);
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                true
            }
        };
        if !look_again || nobody_waits(&shared) {
            return;
        }
    }
}

/// Whether the task may end; then another one is started by the next who waits.
fn nobody_waits(shared: &Shared) -> bool {
    let mut followed = lock(&shared.followed);
    if shared.newest.receiver_count() > 0 {
        return false;
    }
    *followed = false;
    true
}

/// The feed's end, if it is another one than the newest that is known.
async fn newer(shared: &Shared) -> Result<Option<Tip>, StoreError> {
    let known = shared.newest.borrow().as_ref().map(|tip| tip.state.head);
    let window = match known {
        None => Window::Nothing,
        Some(head) => Window::After {
            after: head.position,
            limit: STREAM_EVENTS_MAX,
        },
    };
    let (state, events) = shared.log.read(window).await?;
    let is_newer = known != Some(state.head);
    Ok(is_newer.then_some(Tip { state, events }))
}

/// A lock whose holder panicked guards nothing that could be half changed here.
fn lock(mutex: &Mutex<bool>) -> std::sync::MutexGuard<'_, bool> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
