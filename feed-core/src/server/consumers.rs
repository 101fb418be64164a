//! Who follows a feed, and how far behind: what readers who named their subscription asked for last.

mod seen;

pub(super) use seen::{Consumers, Reader, Waiting};

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use http::header;
use serde::Serialize;
use tokio::time::Instant;

use self::seen::Following;
use super::problem::Problem;
use super::respond::{text, time};
use super::tips::Tips;
use crate::event::{FeedName, SubscriptionName};
use crate::feed::FeedState;
use crate::position::{Cursor, Position};
use crate::store::Log;

/// The answer of `/feeds/{feed}/consumers`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) struct ConsumerList {
    feed: FeedName,
    /// Cursor of its newest event.
    #[serde(serialize_with = "text")]
    head: Cursor,
    /// By their names.
    consumers: Vec<ConsumerEntry>,
}

/// A consumer, as it was seen last.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) struct ConsumerEntry {
    /// As it names itself; nobody has verified it.
    subscription: SubscriptionName,
    /// Position of the event that it asked after.
    position: u64,
    /// Events behind that position.
    lag_events: u64,
    /// How long ago the first of these was recorded, in seconds; 0 without any.
    lag_seconds: f64,
    /// When it asked, or took something from its event stream.
    #[serde(serialize_with = "time")]
    seen: DateTime<Utc>,
    /// Whether it waits for an event now, or holds an event stream.
    waiting: bool,
}

/// Those who were seen not too long ago.
pub(super) async fn consumers(
    log: &Log,
    tips: &Tips,
    seen: &Consumers,
) -> Result<Response, Problem> {
    let following = seen.following(Instant::now());
    let positions = following.iter().map(|one| one.position).collect();
    let recorded = log.recorded_behind(positions).await?;
    let state = recorded.state;
    tips.saw(&state);
    let now = Utc::now();
    let consumers = following
        .into_iter()
        .zip(recorded.times)
        .map(|(one, first)| entry(one, first, &state, now))
        .collect();
    let list = ConsumerList {
        feed: log.feed().clone(),
        head: state.head,
        consumers,
    };
    // Lag in seconds is another one at every moment.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(list)).into_response())
}

/// `first` is when the first event that it has not asked past was recorded.
fn entry(
    one: Following,
    first: Option<DateTime<Utc>>,
    state: &FeedState,
    now: DateTime<Utc>,
) -> ConsumerEntry {
    // It may have asked after this state was read.
    let head: Position = state.head.position;
    let lag_events = head.get().saturating_sub(one.position.get());
    // Nor does the clock that events are recorded by go as this one does.
    let lag = first.map_or(TimeDelta::zero(), |first| now - first);
    ConsumerEntry {
        subscription: one.subscription,
        position: one.position.get(),
        lag_events,
        lag_seconds: lag.num_milliseconds().max(0) as f64 / 1_000.0,
        seen: now - one.ago,
        waiting: one.is_waiting,
    }
}
