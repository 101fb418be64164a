//! Reading what one has written elsewhere: a request waits, bounded, until a read model has applied an event.
//!
//! A service answers its writes with the id of the last event that they published. Who sends that id to a service that
//! follows the feed, as [`ReadQuery`], gets an answer that contains the event, or a problem that says why not yet. The
//! waiting looks at the database, so any process may be the one that polls.

use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::client::{ClientError, FeedClient, FetchOptions};
use crate::consumer::{EventState, Reached, SubscriptionHandle};
use crate::error::{InvalidValue, StoreError};
use crate::event::EventId;
use crate::limits::{
    BACKOFF_MS_MIN, EVENT_NOT_APPLIED_RETRY_S, READ_MODEL_WAIT_MS_MAX, READ_MODEL_WAITERS_MAX,
};
use crate::position::{After, Cursor};
use crate::server::{Problem, problem_types, resolve};
use crate::store::{Log, Store};

/// The query of a resource that is answered from a read model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct ReadQuery {
    /// The answer contains this event: it is waited for, 10 s at most
    #[cfg_attr(feature = "openapi", param(inline, value_type = Option<ReadAfter>))]
    after: Option<String>,
}

/// The event that an answer has to contain.
///
/// ```
/// use feed_core::read_model::ReadAfter;
/// assert!("01a20841-8540-7337-95c0-17cf11ebbfcb".parse::<ReadAfter>().is_ok());
/// assert!("11851188dcbf6bdf.57.e096f81e17a2".parse::<ReadAfter>().is_ok());
/// assert!("now".parse::<ReadAfter>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAfter {
    /// The one with this id.
    Event(EventId),
    /// The one at this cursor; before the first one, none.
    Cursor(Cursor),
}

impl FromStr for ReadAfter {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.parse() {
            Ok(After::Event(id)) => Ok(ReadAfter::Event(id)),
            Ok(After::Cursor(cursor)) => Ok(ReadAfter::Cursor(cursor)),
            Ok(After::Start | After::Now | After::Position(_)) | Err(_) => Err(InvalidValue::new(
                "after",
                text,
                "the id of an event, or a cursor (epoch.position.check)",
            )),
        }
    }
}

impl std::fmt::Display for ReadAfter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadAfter::Event(id) => write!(f, "event {id}"),
            ReadAfter::Cursor(cursor) => write!(f, "the event at {cursor}"),
        }
    }
}

/// What a service knows: its own events, and those that one subscription has applied. Cheap to clone.
#[derive(Clone)]
pub struct ReadModel {
    /// What the service published itself is in its database with the state that it tells of.
    own: Log,
    subscription: SubscriptionHandle,
    /// Asked where an event stands.
    followed: FeedClient,
    /// A place for each request that may wait.
    places: Arc<Semaphore>,
}

impl ReadModel {
    /// What the service with the feed `own_feed` knows by `subscription`, which follows the feed of `followed`.
    ///
    /// # Errors
    /// When a name is not a valid one.
    pub fn new(
        store: &Store,
        own_feed: &str,
        subscription: &str,
        followed: FeedClient,
    ) -> Result<Self, InvalidValue> {
        Ok(ReadModel {
            own: store.log(own_feed)?,
            subscription: store.subscription(subscription)?,
            followed,
            places: Arc::new(Semaphore::new(READ_MODEL_WAITERS_MAX)),
        })
    }

    /// Waits until what is read from now on contains the event that `query` names, [`READ_MODEL_WAIT_MS_MAX`] at most. At
    /// once where it names none, or one of the service's own feed.
    ///
    /// # Errors
    /// The problem to answer with.
    pub async fn wait_for(&self, query: &ReadQuery) -> Result<(), Problem> {
        let Some(after) = &query.after else {
            return Ok(());
        };
        let after: ReadAfter = after.parse().map_err(|error: InvalidValue| {
            Problem::new(&problem_types::AFTER_MALFORMED, error.to_string())
        })?;
        if self.is_own(after).await? {
            return Ok(());
        }
        let _place = self.places.try_acquire().map_err(|_| {
            let detail = "ask without `after`, or ask again later";
            Problem::new(&problem_types::TOO_MANY_WAITERS, detail).retry_after(1)
        })?;
        let deadline = Instant::now() + Duration::from_millis(READ_MODEL_WAIT_MS_MAX);
        let state = self.own.state().await?;
        if !state.is_standbys {
            let reached = self.applied(after, deadline).await?;
            return self.answer(after, reached).await;
        }
        // It may be one of the service's own that the standby does not show yet.
        let mut shown = pin!(self.becomes_own(after, deadline));
        let mut applied = pin!(self.applied(after, deadline));
        let reached = tokio::select! {
            shown = &mut shown => match shown? {
                true => return Ok(()),
                false => applied.await?,
            },
            reached = &mut applied => match reached? {
                Reached::Unknown if shown.await? => return Ok(()),
                reached => reached,
            },
        };
        match reached {
            Reached::Unknown => Err(resolve::behind(&state)),
            reached => self.answer(after, reached).await,
        }
    }

    /// Whether the service's own database comes to show what was asked for.
    async fn becomes_own(&self, after: ReadAfter, deadline: Instant) -> Result<bool, StoreError> {
        let mut commits = self.own.commits();
        loop {
            // Interest is registered before looking, so that a change in between is not missed.
            commits.mark_unchanged();
            if self.is_own(after).await? {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            let _ = tokio::time::timeout_at(deadline, commits.changed()).await;
        }
    }

    /// How far the subscription comes with it.
    async fn applied(&self, after: ReadAfter, deadline: Instant) -> Result<Reached, StoreError> {
        loop {
            let reached = match after {
                ReadAfter::Event(id) => self.event(id, deadline).await?,
                ReadAfter::Cursor(cursor) => self.cursor(cursor, deadline).await?,
            };
            // Being tried again may be over in a moment; what is parked stays so until somebody has looked at it.
            let passing = matches!(
                reached,
                Reached::Kept(EventState::Retrying | EventState::Replaying)
            );
            let pause = Instant::now() + Duration::from_millis(BACKOFF_MS_MIN);
            if !passing || pause >= deadline {
                return Ok(reached);
            }
            tokio::time::sleep_until(pause).await;
        }
    }

    async fn is_own(&self, after: ReadAfter) -> Result<bool, StoreError> {
        match after {
            ReadAfter::Event(id) => self.own.has(id).await,
            // Before the first event of any feed there is nothing to wait for.
            ReadAfter::Cursor(cursor) if cursor.position.get() == 0 => Ok(true),
            ReadAfter::Cursor(cursor) => {
                let state = self.own.state().await?;
                Ok(state.history.contains(cursor.epoch) && cursor.position <= state.head.position)
            }
        }
    }

    async fn event(&self, id: EventId, deadline: Instant) -> Result<Reached, StoreError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let reached = self.subscription.wait_until_event(&self.followed, id, left);
        reached.await
    }

    async fn cursor(&self, cursor: Cursor, deadline: Instant) -> Result<Reached, StoreError> {
        let stands = self.stands().await?;
        // Positions of different histories say nothing about one another: the feed knows which are its own.
        if stands.is_none_or(|stands| stands.epoch != cursor.epoch) {
            match tokio::time::timeout_at(deadline, self.ask(cursor)).await {
                Ok(Ok(())) => {}
                Ok(Err(ClientError::Refused { .. })) => return Ok(Reached::Unknown),
                Ok(Err(_)) | Err(_) => return Ok(Reached::NotYet { cursor: stands }),
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let passed = self.subscription.wait_until(cursor, left).await?;
        let before = cursor.position.get().saturating_sub(1);
        let kept = self.subscription.events(None, before, 1).await?;
        let kept = kept
            .into_iter()
            .find(|kept| kept.event.position == cursor.position);
        match kept {
            Some(kept) => Ok(Reached::Kept(kept.state)),
            None if passed => Ok(Reached::Yes),
            None => Ok(Reached::NotYet {
                cursor: self.stands().await?,
            }),
        }
    }

    async fn stands(&self) -> Result<Option<Cursor>, StoreError> {
        let status = self.subscription.status().await?;
        Ok(status.and_then(|status| status.cursor))
    }

    /// Asks the feed whether the cursor is of its history.
    async fn ask(&self, cursor: Cursor) -> Result<(), ClientError> {
        let mut url = self.followed.tail(&After::Cursor(cursor));
        url.query_pairs_mut().append_pair("limit", "1");
        let options = FetchOptions {
            past_caches: true,
            ..FetchOptions::default()
        };
        self.followed.fetch(&url, options).await.map(drop)
    }

    async fn answer(&self, after: ReadAfter, reached: Reached) -> Result<(), Problem> {
        let name = self.subscription.name();
        match reached {
            Reached::Yes => Ok(()),
            Reached::NotYet { cursor } => {
                let status = self.subscription.status().await?;
                let state = status.map_or("not begun", |status| status.state.as_str());
                let stands = cursor.map_or("before the first event".to_owned(), |cursor| {
                    format!("at {cursor}")
                });
                let detail = format!(
                    "subscription {name} ({state}) stands {stands} and did not apply {after} within {READ_MODEL_WAIT_MS_MAX} \
                     ms; ask again, or without `after`"
                );
                Err(Problem::new(&problem_types::READ_MODEL_BEHIND, detail)
                    .with("subscription", name.as_str())
                    .with("state", state)
                    .with("cursor", cursor.map(|cursor| cursor.to_string()))
                    .retry_after(1))
            }
            Reached::Kept(state) => Err(self.not_applied(after, state)),
            Reached::Unknown => Err(Problem::new(
                &problem_types::AFTER_UNKNOWN,
                format!(
                    "after: {after} is neither of the feed {} here nor of {}",
                    self.own.feed(),
                    self.followed.feed()
                ),
            )),
        }
    }

    fn not_applied(&self, after: ReadAfter, state: EventState) -> Problem {
        let name = self.subscription.name();
        let what = match state {
            EventState::Parked => "is parked: it could not be applied",
            EventState::Waiting => "waits behind a parked event of its ordering key",
            EventState::Retrying | EventState::Replaying => {
                "could not be applied and is tried again"
            }
            EventState::Dropped => "was dropped by an operator: it never will be applied",
        };
        let look = match after {
            ReadAfter::Event(id) => format!("feedctl sub show {name} --event {id}"),
            ReadAfter::Cursor(_) => format!("feedctl sub show {name}"),
        };
        let problem = Problem::new(
            &problem_types::EVENT_NOT_APPLIED,
            format!(
                "{after} {what}; `{look}` says why. Ask without `after` for an answer without it"
            ),
        )
        .with("subscription", name.as_str())
        .with("event_state", state.as_str());
        match state {
            EventState::Dropped => problem,
            EventState::Parked | EventState::Waiting => {
                problem.retry_after(EVENT_NOT_APPLIED_RETRY_S)
            }
            EventState::Retrying | EventState::Replaying => problem.retry_after(1),
        }
    }
}
