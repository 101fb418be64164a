//! Rows of `subscriptions`, read.

use std::time::Duration;

use crate::consumer::lease::HolderId;
use crate::consumer::state::SubscriptionState;
use crate::consumer::subscription::{Resizing, Subscription};
use crate::error::{InvalidValue, StoreError};
use crate::event::SubscriptionName;
use crate::position::Cursor;
use crate::store::{FromRow, LeaseClock, Row};

/// What is read of a row.
macro_rules! columns {
    () => {
        "name, partition, partitions, partitions_wanted, stop_at, ordering, feed_url, cursor, recorded_us, head, head_seen_us,
         state, reason, failures, next_try_us, fence, holder, lease_boot, lease_until_ms, events, unhandled, duplicates,
         updated_us"
    };
}

macro_rules! select_subscriptions {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM subscriptions ", $rest)
    };
}

pub(super) use columns;

pub(in crate::consumer) const ALL: &str = select_subscriptions!("ORDER BY name, partition");
pub(super) const OF_NAME: &str = select_subscriptions!("WHERE name = $1 ORDER BY partition");
pub(super) const ONE: &str = select_subscriptions!("WHERE name = $1 AND partition = $2");

/// A row, with its lease.
pub(in crate::consumer) struct Stored {
    pub(in crate::consumer) subscription: Subscription,
    pub(in crate::consumer) lease: Option<StoredLease>,
    /// Which partition it is.
    pub(in crate::consumer) number: u32,
    /// By what it is split; none as long as no service has said it.
    pub(in crate::consumer) ordering: Option<String>,
}

/// Until when the holder may count on being left alone.
pub(in crate::consumer) struct StoredLease {
    pub(in crate::consumer) holder: HolderId,
    boot: String,
    until_ms: i64,
}

impl StoredLease {
    /// How long it lasts from now on. A lease of another boot is over: its holder went down with the machine.
    pub(in crate::consumer) fn left(&self, clock: &LeaseClock) -> Duration {
        if self.boot != clock.boot {
            return Duration::ZERO;
        }
        Duration::from_millis(u64::try_from(self.until_ms - clock.ms).unwrap_or(0))
    }
}

fn corrupt(error: InvalidValue) -> StoreError {
    StoreError::Corrupt(format!("subscriptions: {error}"))
}

pub(super) fn cursor_of(text: Option<String>) -> Result<Option<Cursor>, StoreError> {
    text.map(|text| text.parse()).transpose().map_err(corrupt)
}

fn count(row: &Row<'_>, column: &str) -> Result<u64, StoreError> {
    let number: i64 = row.get(column)?;
    u64::try_from(number)
        .map_err(|_| StoreError::Corrupt(format!("subscriptions: {column} {number}")))
}

impl FromRow for Stored {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let holder: Option<HolderId> = row.get("holder")?;
        let boot: Option<String> = row.get("lease_boot")?;
        let until: Option<i64> = row.get("lease_until_ms")?;
        let lease = match (holder, boot, until) {
            (Some(holder), Some(boot), Some(until_ms)) => Some(StoredLease {
                holder,
                boot,
                until_ms,
            }),
            _ => None,
        };
        Ok(Stored {
            subscription: Subscription::from_row(row)?,
            lease,
            number: row.get("partition")?,
            ordering: row.get("ordering")?,
        })
    }
}

impl FromRow for Subscription {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let state: String = row.get("state")?;
        let holder: Option<HolderId> = row.get("holder")?;
        let wanted: Option<u32> = row.get("partitions_wanted")?;
        let stop_at: Option<i64> = row.get("stop_at")?;
        Ok(Subscription {
            name: SubscriptionName::new(row.get::<String>("name")?).map_err(corrupt)?,
            feed_url: row.get("feed_url")?,
            cursor: cursor_of(row.get("cursor")?)?,
            recorded: row.get("recorded_us")?,
            head: cursor_of(row.get("head")?)?,
            head_seen: row.get("head_seen_us")?,
            state: SubscriptionState::parse(&state)
                .ok_or_else(|| StoreError::Corrupt(format!("subscriptions: state {state:?}")))?,
            reason: row.get("reason")?,
            failures: row.get("failures")?,
            next_try: row.get("next_try_us")?,
            fence: row.get("fence")?,
            holder: holder.map(|holder| uuid::Uuid::from_bytes(holder).simple().to_string()),
            events: count(row, "events")?,
            unhandled: count(row, "unhandled")?,
            duplicates: count(row, "duplicates")?,
            updated: row.get("updated_us")?,
            partitions: row.get("partitions")?,
            resizing: wanted.zip(stop_at).map(|(to, stop_at)| Resizing {
                to,
                stop_at: u64::try_from(stop_at).unwrap_or(0),
            }),
        })
    }
}
