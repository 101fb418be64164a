//! The end of a feed, known in the process: polls that find nothing new ask the store nothing, and those who wait are woken
//! by one look at it a commit.
//!
//! What is known is believed as long as no commit is signalled ([`Store::commits`]). That signal comes before a commit of
//! this process is acknowledged, so what was appended here is seen by the next request. Of what another process commits it
//! comes a moment later; who has seen it there already asks for more than is known here, and then the store is asked. So
//! is it when the signal was not heard for [`TIP_MS_MAX`], since it may be lost.
//!
//! [`Store::commits`]: crate::Store::commits

mod tip;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub(super) use self::tip::{DocumentKey, DocumentKind, Tip};
use super::problem::Problem;
use super::problem_types;
use crate::error::StoreError;
use crate::feed::FeedState;
use crate::limits::{BACKOFF_MS_MAX, TIP_MS_MAX};
use crate::position::{After, Position};
use crate::store::{Log, Window};

/// The newest tip of one feed.
#[derive(Clone)]
pub(super) struct Tips {
    shared: Arc<Shared>,
}

struct Shared {
    log: Log,
    /// A place for each who may wait; those of all feeds of a router are the same.
    places: Arc<Semaphore>,
    /// What was read last, which may be old, for those who wait for more than that.
    newest: watch::Sender<Option<Arc<Tip>>>,
    /// The same with what tells whether it is still so.
    known: RwLock<Known>,
    /// Whether somebody asked since it was looked at last.
    asked: AtomicBool,
    /// One reads, the others who need it wait for that.
    reading: tokio::sync::Mutex<()>,
    /// Whether the task runs that looks at the store for those who wait. It ends when nobody waits any more.
    followed: Mutex<bool>,
}

/// What is known, and whether the task runs that forgets it.
#[derive(Default)]
struct Known {
    tip: Option<(Arc<Tip>, Signal)>,
    is_kept: bool,
}

/// Whether a commit was signalled since something was read. As long as this is there, the store looks for commits of other
/// processes.
struct Signal {
    commits: watch::Receiver<u64>,
    /// It was read long ago, or something else was read meanwhile.
    is_old: AtomicBool,
}

/// One who waits. Interest begins when this is made, so it is made before looking at the store.
pub(super) struct Waiter {
    newest: watch::Receiver<Option<Arc<Tip>>>,
    _place: OwnedSemaphorePermit,
}

impl Signal {
    fn is_still(&self) -> bool {
        // An error means that the store is closed.
        !self.is_old.load(Ordering::Acquire) && matches!(self.commits.has_changed(), Ok(false))
    }
}

impl Tips {
    pub(super) fn new(log: Log, places: Arc<Semaphore>) -> Self {
        Tips {
            shared: Arc::new(Shared {
                log,
                places,
                newest: watch::Sender::new(None),
                known: RwLock::default(),
                asked: AtomicBool::new(false),
                reading: tokio::sync::Mutex::default(),
                followed: Mutex::new(false),
            }),
        }
    }

    /// The end of the feed as it is now, if that is known without asking the store.
    pub(super) fn known(&self) -> Option<Arc<Tip>> {
        let known = self.shared.known.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        let (tip, signal) = known.tip.as_ref()?;
        if !signal.is_still() {
            return None;
        }
        // Written only when it says something new: all processors share it.
        if !self.shared.asked.load(Ordering::Relaxed) {
            self.shared.asked.store(true, Ordering::Relaxed);
        }
        Some(tip.clone())
    }

    /// The end of the feed as it is now.
    pub(super) async fn current(&self) -> Result<Arc<Tip>, StoreError> {
        match self.known() {
            Some(tip) => Ok(tip),
            None => Box::pin(self.read()).await,
        }
    }

    /// Reads what is new in the store.
    async fn read(&self) -> Result<Arc<Tip>, StoreError> {
        let shared = &self.shared;
        let _alone = shared.reading.lock().await;
        // Whoever read meanwhile knows of all that was committed before this was asked, or it would not be believed.
        if let Some(tip) = self.known() {
            return Ok(tip);
        }
        let mut commits = shared.log.commits();
        // Seen before looking, so that a commit in between is not missed.
        commits.mark_unchanged();
        let before = shared.newest.borrow().clone();
        let (state, events) = match &before {
            None => shared.log.state().await.map(|state| (state, Vec::new()))?,
            Some(before) => shared.log.news(behind(before)).await?,
        };
        let tip = match before {
            Some(before) if before.is_still(&state) => before,
            before => {
                let tip = Arc::new(Tip::following(before.as_deref(), state, events));
                shared.newest.send_replace(Some(tip.clone()));
                tip
            }
        };
        self.know(tip.clone(), commits);
        Ok(tip)
    }

    fn know(&self, tip: Arc<Tip>, commits: watch::Receiver<u64>) {
        let signal = Signal {
            commits,
            is_old: AtomicBool::new(false),
        };
        self.shared.asked.store(true, Ordering::Relaxed);
        let known = self.shared.known.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        known.tip = Some((tip, signal));
        if !known.is_kept {
            known.is_kept = true;
            tokio::spawn(keep(self.shared.clone()));
        }
    }

    /// The store is asked next time, whatever is known.
    pub(super) fn doubt(&self) {
        let known = self.shared.known.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some((_, signal)) = &known.tip {
            signal.is_old.store(true, Ordering::Release);
        }
    }

    /// Something was read past this: when it is another state than the known one, that one is not believed any more. So
    /// nobody is led back who saw the newer one.
    pub(super) fn saw(&self, state: &FeedState) {
        let known = self.shared.known.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some((tip, signal)) = &known.tip
            && !tip.is_still(state)
        {
            signal.is_old.store(true, Ordering::Release);
        }
    }

    /// Whether the feed's end may be all that a reader behind `after` needs, as far as can be said without looking.
    pub(super) fn may_answer(&self, after: &After) -> bool {
        let position = match after {
            After::Now => return true,
            After::Cursor(cursor) => cursor.position,
            After::Position(position) => *position,
            After::Start | After::Event(_) => return false,
        };
        match &*self.shared.newest.borrow() {
            Some(tip) => position >= tip.begins_at(),
            None => true,
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
            tokio::spawn(follow(self.clone()));
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

/// What to read of the store behind what is known: enough for a reader who stands at its end.
fn behind(before: &Tip) -> Window {
    Window::After {
        after: before.state.head.position,
        limit: before.state.identity.capacity.get(),
    }
}

/// Looks at the store after each commit, as long as somebody waits.
async fn follow(tips: Tips) {
    let shared = &tips.shared;
    let mut commits = shared.log.commits();
    let mut failures = 0_u32;
    loop {
        // Seen before looking, so that a commit in between is not missed.
        commits.mark_unchanged();
        match tips.current().await {
            Ok(_) => failures = 0,
            Err(error) => {
                failures += 1;
                tracing::warn!(feed = %shared.log.feed(), %error, failures, "the feed's end could not be read for those who wait");
            }
        }
        if nobody_waits(shared) {
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
        if !look_again || nobody_waits(shared) {
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

/// Lets what is known grow old, and forgets it when nobody asks: only then the store may rest.
async fn keep(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(Duration::from_millis(TIP_MS_MAX)).await;
        let known = shared.known.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        let Some((_, signal)) = &known.tip else {
            known.is_kept = false;
            return;
        };
        if shared.asked.swap(false, Ordering::Relaxed) {
            signal.is_old.store(true, Ordering::Release);
            continue;
        }
        *known = Known::default();
        // Those who wait need it to know what is new.
        if shared.newest.receiver_count() == 0 {
            shared.newest.send_replace(None);
        }
        return;
    }
}

/// A lock whose holder panicked guards nothing that could be half changed here.
fn lock(mutex: &Mutex<bool>) -> MutexGuard<'_, bool> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
