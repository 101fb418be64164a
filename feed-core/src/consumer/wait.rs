//! Waiting until a subscription has passed an event: a reader of a read model reads what it has written elsewhere.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::operate::SubscriptionHandle;
use super::ordering::OrderingKey;
use super::partition::partition_of;
use super::place::StartAt;
use super::state::EventState;
use super::storage::{self, Stored};
use crate::client::{ClientError, FeedClient};
use crate::error::StoreError;
use crate::event::{Event, EventId};
use crate::limits::{BACKOFF_MS_MIN, WATCH_INTERVAL_MS};
use crate::position::{After, Cursor};
use crate::store::Tx;

/// Whether a subscription has applied an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// It has.
    Yes,
    /// Not within the time.
    NotYet {
        /// The last event that it has passed.
        cursor: Option<Cursor>,
    },
    /// It has passed the event without applying it: it is parked, or waits behind a parked one, or was dropped.
    Kept(EventState),
    /// The feed did not know the event within the time.
    Unknown,
}

impl SubscriptionHandle {
    /// Waits up to `wait` until the subscription has passed the event of `cursor`. Returns whether it has.
    ///
    /// Of an event that it has passed, the effects are visible, unless it is parked or waits behind a parked one: see
    /// [`wait_until_event`](Self::wait_until_event).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wait_until(&self, cursor: Cursor, wait: Duration) -> Result<bool, StoreError> {
        self.wait_until_passed(cursor, None, wait).await
    }

    /// Waits until the partition of `event`, which is that of `cursor`, has passed it; where it is not known which that is,
    /// until all of them have.
    async fn wait_until_passed(
        &self,
        cursor: Cursor,
        event: Option<&Event>,
        wait: Duration,
    ) -> Result<bool, StoreError> {
        let deadline = Instant::now() + wait;
        let mut commits = self.store.commits();
        loop {
            // Interest is registered before looking, so that a commit in between is not missed.
            commits.mark_unchanged();
            let rows = self.rows().await?;
            if passed(&rows, cursor, event) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            // A subscription may be moved by another process, or without an append: looking again is the truth.
            let look_again =
                (Instant::now() + Duration::from_millis(WATCH_INTERVAL_MS)).min(deadline);
            let _ = tokio::time::timeout_at(look_again, commits.changed()).await;
        }
    }

    async fn rows(&self) -> Result<Vec<Stored>, StoreError> {
        let name = self.name.clone();
        self.store
            .read(async move |tx: &mut Tx<'_>| storage::find_all(tx, &name).await)
            .await
    }

    /// Waits up to `wait` until the subscription has applied the event with this id. Which place that is in the feed is
    /// asked of the feed, and of a split subscription also which partition it belongs to, where the subject says that.
    ///
    /// # Errors
    /// When the database fails. A feed that cannot be asked is asked again until the time is over.
    pub async fn wait_until_event(
        &self,
        feed: &FeedClient,
        id: EventId,
        wait: Duration,
    ) -> Result<Reached, StoreError> {
        let deadline = Instant::now() + wait;
        if let Some(state) = self.kept(id).await? {
            return Ok(Reached::Kept(state));
        }
        let Some(cursor) = resolve(feed, id, deadline).await else {
            return Ok(Reached::Unknown);
        };
        let Some(cursor) = cursor else {
            return Ok(Reached::NotYet {
                cursor: self.cursor().await?,
            });
        };
        let event = match self.rows().await?.len() {
            0 | 1 => None,
            // What is not told in time is not known, and all partitions are waited for.
            _ => tokio::time::timeout_at(deadline, feed.event_at(cursor.position.get()))
                .await
                .ok()
                .and_then(Result::ok),
        };
        let event = event.filter(|event| event.id == id);
        let left = deadline.saturating_duration_since(Instant::now());
        if !self.wait_until_passed(cursor, event.as_ref(), left).await? {
            return Ok(Reached::NotYet {
                cursor: self.cursor().await?,
            });
        }
        // It may have been parked on the way.
        Ok(self.kept(id).await?.map_or(Reached::Yes, Reached::Kept))
    }

    /// How the event is doing, if it was passed without being applied.
    async fn kept(&self, id: EventId) -> Result<Option<EventState>, StoreError> {
        let state = self.event(id).await?.map(|kept| kept.state);
        Ok(state.filter(|state| *state != EventState::Retrying))
    }

    async fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        Ok(self
            .status()
            .await?
            .and_then(|subscription| subscription.cursor))
    }
}

/// The cursor of the event, asked until the deadline; the outer none when the feed does not know it, the inner one when
/// the feed was not reached.
async fn resolve(feed: &FeedClient, id: EventId, deadline: Instant) -> Option<Option<Cursor>> {
    let place = StartAt::After(After::Event(id));
    let mut is_unknown = false;
    loop {
        match tokio::time::timeout_at(deadline, feed.resolve(place)).await {
            Ok(Ok(cursor)) => return Some(cursor),
            // It may be given its position in a moment.
            Ok(Err(error)) => is_unknown = says_unknown(&error),
            // Cut off in the middle of asking: what it said before stands.
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            return if is_unknown { None } else { Some(None) };
        }
        let pause = Instant::now() + Duration::from_millis(BACKOFF_MS_MIN);
        tokio::time::sleep_until(pause.min(deadline)).await;
    }
}

/// Whether the feed answered, and does not have the event.
fn says_unknown(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { .. } => true,
        ClientError::Status { status, .. } => *status == StatusCode::NOT_FOUND,
        _ => false,
    }
}

/// Whether the event's partition has passed it.
fn passed(rows: &[Stored], cursor: Cursor, event: Option<&Event>) -> bool {
    if rows.is_empty() {
        return has_passed(None, cursor);
    }
    // Which partition it belongs to is known where the subject decides on it.
    let by_subject = |row: &Stored| row.ordering.as_deref() == Some(OrderingKey::Subject.as_str());
    let own = event.filter(|_| rows.iter().all(by_subject)).map(|event| {
        let partitions = u32::try_from(rows.len()).unwrap_or(1);
        partition_of(event.subject.as_str(), partitions)
    });
    rows.iter()
        .filter(|row| own.is_none_or(|own| own == row.number))
        .all(|row| has_passed(row.subscription.cursor, cursor))
}

fn has_passed(stands: Option<Cursor>, wanted: Cursor) -> bool {
    stands.is_some_and(|stands| {
        stands.position > wanted.position
            || (stands.position == wanted.position && stands.check == wanted.check)
    }) || wanted.position.get() == 0
}
