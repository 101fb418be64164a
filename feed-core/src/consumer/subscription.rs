//! Where a consumer stands, in its own database: all SQL of the consumer.

use chrono::{DateTime, Utc};

use crate::error::StoreError;
use crate::event::SubscriptionName;
use crate::position::Cursor;
use crate::store::{FromRow, Row, Store, Tx};

/// A subscription as its database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its name.
    pub name: SubscriptionName,
    /// The feed that it follows.
    pub feed_url: String,
    /// The last event that was applied; none before the first.
    pub cursor: Option<Cursor>,
    /// How many events were read and applied or passed over since it began.
    pub events: i64,
    /// Why it halts; none while it does not.
    pub halted: Option<String>,
    /// When the row was changed last.
    pub updated: DateTime<Utc>,
}

impl FromRow for Subscription {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let corrupt = |error: crate::error::InvalidValue| {
            StoreError::Corrupt(format!("subscriptions: {error}"))
        };
        let cursor: Option<String> = row.get("cursor")?;
        Ok(Subscription {
            name: SubscriptionName::new(row.get::<String>("name")?).map_err(corrupt)?,
            feed_url: row.get("feed_url")?,
            cursor: cursor
                .map(|cursor| cursor.parse())
                .transpose()
                .map_err(corrupt)?,
            events: row.get("events")?,
            halted: row.get("halted")?,
            updated: row.get("updated_us")?,
        })
    }
}

impl Store {
    /// The subscriptions in this database, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        self.query("SELECT name, feed_url, cursor, events, halted, updated_us FROM subscriptions ORDER BY name", &[])
            .await
    }
}

/// What a consumer begins with.
pub(super) struct Saved {
    pub(super) cursor: Option<Cursor>,
    pub(super) halted: bool,
}

/// What is saved of the subscription; makes the row when there is none, and notes the URL that it is followed at now.
pub(super) async fn load(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    feed_url: &str,
) -> Result<Saved, StoreError> {
    let now = tx.now();
    tx.execute(
        "INSERT INTO subscriptions (name, feed_url, updated_us) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET feed_url = excluded.feed_url",
        &[name.as_str().into(), feed_url.into(), now.into()],
    )
    .await?;
    let sql = "SELECT name, feed_url, cursor, events, halted, updated_us FROM subscriptions WHERE name = $1";
    let saved: Option<Subscription> = tx.query_first(sql, &[name.as_str().into()]).await?;
    Ok(match saved {
        Some(saved) => Saved {
            cursor: saved.cursor,
            halted: saved.halted.is_some(),
        },
        None => Saved {
            cursor: None,
            halted: false,
        },
    })
}

/// The subscription does not halt any more.
pub(super) async fn resume(tx: &mut Tx<'_>, name: &SubscriptionName) -> Result<(), StoreError> {
    let now = tx.now();
    tx.execute(
        "UPDATE subscriptions SET halted = NULL, updated_us = $2 WHERE name = $1",
        &[name.as_str().into(), now.into()],
    )
    .await
    .map(drop)
}

/// The cursor as the database has it now.
pub(super) async fn cursor(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
) -> Result<Option<Cursor>, StoreError> {
    let row: Option<(Option<String>,)> = tx
        .query_first(
            "SELECT cursor FROM subscriptions WHERE name = $1",
            &[name.as_str().into()],
        )
        .await?;
    let cursor = row
        .and_then(|(cursor,)| cursor)
        .map(|cursor| cursor.parse())
        .transpose();
    cursor.map_err(|error| StoreError::Corrupt(format!("subscription {name}: {error}")))
}

/// Moves the cursor from `from` to `to`, unless somebody else has moved it: compare-and-set. Returns whether it did.
pub(super) async fn advance(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    from: Option<Cursor>,
    to: Cursor,
    events: i64,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let (from, to) = (
        from.map(|from| from.to_string()).unwrap_or_default(),
        to.to_string(),
    );
    let changed = tx
        .execute(
            "UPDATE subscriptions SET cursor = $3, events = events + $4, halted = NULL, updated_us = $5
             WHERE name = $1 AND coalesce(cursor, '') = $2",
            &[name.as_str().into(), (&from).into(), (&to).into(), events.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Notes why the subscription halts.
pub(super) async fn halt(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    reason: &str,
) -> Result<(), StoreError> {
    let now = tx.now();
    tx.execute(
        "UPDATE subscriptions SET halted = $2, updated_us = $3 WHERE name = $1",
        &[name.as_str().into(), reason.into(), now.into()],
    )
    .await
    .map(drop)
}
