//! What feeds there are. What a feed was created as never changes, so it is read once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::failure::store_error;
use crate::error::StoreError;
use crate::event::{FeedName, to_micros};
use crate::feed::{FeedConfig, FeedIdentity, FeedState, History, Visibility};
use crate::page::PageCapacity;
use crate::position::{Epoch, Position};

/// A feed with its number in this database.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    pub(super) number: i64,
    pub(super) identity: Arc<FeedIdentity>,
    pub(super) furthest: Furthest,
}

/// The furthest head that this process has read of a feed: standbys that it asks in turn may not be equally far, and a
/// reader is not led back.
#[derive(Debug, Clone, Default)]
pub(super) struct Furthest(Arc<Mutex<Option<(History, Position)>>>);

impl Furthest {
    /// Notes what was read.
    ///
    /// # Errors
    /// When it is a standby's and further was read before: it will get there.
    pub(super) fn pass(&self, state: &FeedState) -> Result<(), StoreError> {
        let mut furthest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *furthest {
            // One that did not get to the newest stretch is behind, wherever its head is.
            Some((history, position)) if state.is_standbys && begins(history, &state.history) => {
                return Err(StoreError::Unavailable(format!(
                    "the standby does not know yet that feed {:?} went on in another epoch, {position} was served already",
                    state.identity.name.as_str()
                )));
            }
            // A history with another stretch is another one: after a fork, less may be all there is.
            Some((history, position)) if *history == state.history => {
                if state.is_standbys && state.head.position < *position {
                    return Err(StoreError::Unavailable(format!(
                        "the standby is at position {} of feed {:?}, {position} was served already",
                        state.head.position,
                        state.identity.name.as_str()
                    )));
                }
                *position = state.head.position.max(*position);
            }
            known => *known = Some((state.history.clone(), state.head.position)),
        }
        Ok(())
    }
}

/// Whether `shorter` is the beginning of `longer`, and not all of it.
fn begins(longer: &History, shorter: &History) -> bool {
    let (longer, shorter) = (longer.epochs(), shorter.epochs());
    longer.len() > shorter.len() && longer.starts_with(shorter)
}

/// The feeds that were asked for until now.
#[derive(Default)]
pub(crate) struct Feeds(Mutex<HashMap<String, Feed>>);

/// The columns that [`Feed::read`] reads.
pub(super) const FEED_COLUMNS: &str = "feed, name, feed_id, author, title, source, visibility, page_capacity, event_bytes_max, created_us";

impl Feeds {
    pub(super) fn known(&self, name: &str) -> Option<Feed> {
        self.lock().get(name).cloned()
    }

    pub(super) fn know(&self, feed: Feed) -> Feed {
        self.lock()
            .insert(feed.identity.name.to_string(), feed.clone());
        feed
    }

    pub(super) fn numbered(&self, number: i64) -> Option<Feed> {
        self.lock()
            .values()
            .find(|feed| feed.number == number)
            .cloned()
    }

    pub(super) async fn find(&self, client: &Client, name: &FeedName) -> Result<Feed, StoreError> {
        if let Some(known) = self.known(name.as_str()) {
            return Ok(known);
        }
        let sql = format!("SELECT {FEED_COLUMNS} FROM feeds WHERE name = $1");
        let row = client
            .query_opt(&sql, &[&name.as_str()])
            .await
            .map_err(store_error)?
            .ok_or_else(|| StoreError::UnknownFeed(name.to_string()))?;
        Ok(self.know(Feed::read(&row)?))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Feed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let visibility: String = column(row, 6)?;
        let number = |index| -> Result<u32, StoreError> {
            let value: i64 = column(row, index)?;
            u32::try_from(value).map_err(corrupt)
        };
        let id: Vec<u8> = column(row, 2)?;
        let source: String = column(row, 5)?;
        Ok(Feed {
            number: column(row, 0)?,
            identity: Arc::new(FeedIdentity {
                name: FeedName::new(column::<String>(row, 1)?).map_err(corrupt)?,
                id: Uuid::from_slice(&id).map_err(corrupt)?,
                author: column(row, 3)?,
                title: column(row, 4)?,
                source: source.into(),
                visibility: if visibility == Visibility::Public.as_str() {
                    Visibility::Public
                } else {
                    Visibility::Private
                },
                capacity: PageCapacity::new(number(7)?).map_err(corrupt)?,
                event_bytes_max: number(8)?,
                created: time(column(row, 9)?)?,
            }),
            furthest: Furthest::default(),
        })
    }
}

/// Creates the feed with its first epoch, unless another instance did so before.
pub(super) async fn insert(client: &mut Client, config: &FeedConfig) -> Result<(), StoreError> {
    let now_us = Utc::now().timestamp_micros();
    let transaction = client.transaction().await.map_err(store_error)?;
    let inserted = transaction
        .query_opt(
            "INSERT INTO feeds (name, feed_id, author, title, source, visibility, page_capacity, event_bytes_max, created_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO NOTHING RETURNING feed",
            &[
                &config.name.as_str(),
                &&Uuid::new_v4().as_bytes()[..],
                &config.author,
                &config.title,
                &config.source,
                &config.visibility.as_str(),
                &i64::from(config.capacity.get()),
                &i64::from(config.event_bytes_max),
                &now_us,
            ],
        )
        .await
        .map_err(store_error)?;
    if let Some(row) = inserted {
        let feed: i64 = column(&row, 0)?;
        transaction
            .execute(
                "INSERT INTO epochs (feed, first_position, epoch, reason, opened_us) VALUES ($1, 1, $2, 'feed created', $3)",
                &[&feed, &&Epoch::random().as_bytes()[..], &now_us],
            )
            .await
            .map_err(store_error)?;
        super::sequencer::insert_first_batch(&transaction, feed).await?;
    }
    transaction.commit().await.map_err(store_error)
}

pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    index: usize,
) -> Result<T, StoreError> {
    row.try_get(index).map_err(|error| StoreError::Column {
        column: row
            .columns()
            .get(index)
            .map_or_else(|| index.to_string(), |column| column.name().to_owned()),
        reason: super::address::explain(&error),
    })
}

pub(super) fn time(micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros)
        .map(to_micros)
        .ok_or_else(|| StoreError::Corrupt(format!("{micros} is no time")))
}

pub(super) fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
