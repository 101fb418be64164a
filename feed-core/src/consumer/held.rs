//! A subscription while this instance holds it, and what is done to keep it.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::lease::Lease;
use super::partition::Part;
use super::storage;
use crate::error::StoreError;
use crate::faults::{Bug, Point, at, planted};
use crate::limits::{LEASE_LOOK_MS, LEASE_LOOK_MS_MAX};
use crate::position::Cursor;
use crate::store::{Store, Tx};

/// What is known of a subscription that is held. All of it stands in the database too, and nobody else changes it there
/// without taking the next fence.
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) cursor: Option<Cursor>,
    /// The position beyond which it does not go, while the subscription is being split anew.
    pub(super) stop_at: Option<u64>,
    /// It is known where it begins.
    pub(super) begun: bool,
    /// The row says something else than `running`, or does not know the feed's newest event.
    pub(super) troubled: bool,
    /// The feed's newest event, as the row says it.
    pub(super) head: Option<Cursor>,
    /// Keys of which an event is parked.
    pub(super) blocked: Arc<HashSet<String>>,
    /// Events that are parked or wait behind a parked one.
    pub(super) parked: usize,
    /// An event is retried.
    pub(super) retrying: bool,
    /// A transaction may have changed what is kept without this being told: its step was dropped, or its commit failed
    /// halfway.
    pub(super) unsure: bool,
    /// When a parked event is to be replayed; none: none is.
    pub(super) replay_at: Option<Instant>,
    /// When the lease was renewed last.
    pub(super) renewed: Instant,
    /// When it was looked at last whether it is still held. What is waited for may each time be shorter than a look apart.
    pub(super) looked: Instant,
}

/// Somebody else holds the subscription now, or an operator has changed it.
pub(super) struct NotHeld;

impl Held {
    /// Whether it has come to where it is to stop.
    pub(super) fn stands_at_stop(&self) -> bool {
        let stands = self.cursor.map_or(0, |cursor| cursor.position.get());
        self.stop_at.is_some_and(|stop_at| stands >= stop_at)
    }

    /// How long until a parked event is to be replayed.
    pub(super) fn replay_in(&self) -> Option<Duration> {
        self.replay_at
            .map(|at| at.saturating_duration_since(Instant::now()))
    }
}

/// Keeps a subscription while something else is waited for.
pub(super) struct Keeper<'a> {
    pub(super) store: &'a Store,
    pub(super) part: &'a Part,
    pub(super) lease_for: Duration,
}

impl Keeper<'_> {
    /// Does `work`, renews the lease meanwhile, and gives the work up when the subscription is not held any more.
    pub(super) async fn while_held<T>(
        &self,
        held: &mut Held,
        work: impl Future<Output = T>,
    ) -> Result<T, NotHeld> {
        let mut work = pin!(work);
        let mut commits = self.store.commits();
        loop {
            // Interest is registered before looking, so that a change in between is not missed.
            commits.mark_unchanged();
            let renewal =
                held.renewed + (self.lease_for / 3).max(Duration::from_millis(LEASE_LOOK_MS));
            let look = held.looked + Duration::from_millis(LEASE_LOOK_MS_MAX);
            let committed = async {
                if commits.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                // Others may commit very often.
                tokio::time::sleep(Duration::from_millis(LEASE_LOOK_MS)).await;
            };
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep_until(renewal.min(look)) => {}
                () = committed => {}
            }
            held.looked = Instant::now();
            let kept = if held.looked >= renewal {
                self.renew(held).await
            } else {
                self.is_held(held.lease).await
            };
            match kept {
                Ok(true) => {}
                Ok(false) => return Err(NotHeld),
                // The commit will tell.
                Err(error) => {
                    tracing::debug!(subscription = %self.part, %error, "the lease could not be looked at");
                    held.renewed = Instant::now();
                }
            }
        }
    }

    /// Makes the lease last longer, if it is still held.
    pub(super) async fn renew(&self, held: &mut Held) -> Result<bool, StoreError> {
        let (part, lease, lease_for) = (self.part.clone(), held.lease, self.lease_for);
        let renewed: bool = self
            .store
            .write(async move |tx: &mut Tx<'_>| storage::renew(tx, &part, &lease, lease_for).await)
            .await?;
        held.renewed = Instant::now();
        at(Point::Renewed);
        Ok(renewed || planted(Bug::NoFence))
    }

    async fn is_held(&self, lease: Lease) -> Result<bool, StoreError> {
        let part = self.part.clone();
        self.store
            .read(async move |tx: &mut Tx<'_>| {
                let cursor = storage::held_cursor(tx, &part, &lease).await?;
                Ok::<_, StoreError>(cursor.is_some() || planted(Bug::NoFence))
            })
            .await
    }
}
