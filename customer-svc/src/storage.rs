//! All SQL of the service. It is the same on every store; only the DDL is written per store.

mod reservations;
mod rows;

pub(crate) use reservations::{carry_out, line_of, request, reservation};
pub(crate) use rows::{CustomerRow, GeoRow, ReservationRow};

use feed_core::{
    AppendError, DecideError, EventId, Expected, FeedConfig, HandlerError, InvalidValue,
    MayConflict, Migrations, NewEvent, StoreError, Subject, Tx, Value, domain_event,
};

use crate::domain::{Customer, CustomerId, Geo, GeoSlug, ReservationError};

/// The feed that this service publishes.
pub(crate) const FEED: &str = "customers";

/// The service's tables.
pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "customer",
    sqlite: &[
        (
            "V1__customers",
            include_str!("../migrations/sqlite/V1__customers.sql"),
        ),
        (
            "V2__last_events",
            include_str!("../migrations/sqlite/V2__last_events.sql"),
        ),
    ],
    postgres: &[(
        "V1__customers",
        include_str!("../migrations/postgres/V1__customers.sql"),
    )],
};

/// How the feed is made, by whichever command is first.
pub(crate) fn feed_config() -> Result<FeedConfig, InvalidValue> {
    FeedConfig::new(FEED, "customer-svc")?.title("Customers, geos and reserved speed")
}

/// A change that was not made; nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// What it was based on has changed since it was read, which only a store with several writers lets happen. The
    /// same may succeed on what is there now.
    #[error("{0} was changed by somebody else at the same time")]
    Overtaken(&'static str),
    /// The order was never answered here.
    #[error(transparent)]
    NoReservation(#[from] ReservationError),
    /// The events could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An event is no valid one.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        ChangeError::Append(error.into())
    }
}

impl From<DecideError<ReservationError>> for ChangeError {
    fn from(error: DecideError<ReservationError>) -> Self {
        match error {
            DecideError::Refused(error) => ChangeError::NoReservation(error),
            DecideError::Append(error) => ChangeError::Append(error),
            DecideError::Invalid(error) => ChangeError::Invalid(error),
        }
    }
}

impl MayConflict for ChangeError {
    fn is_conflict(&self) -> bool {
        match self {
            ChangeError::Overtaken(_) => true,
            ChangeError::Append(error) => error.is_conflict(),
            ChangeError::NoReservation(_) | ChangeError::Invalid(_) => false,
        }
    }
}

impl From<ChangeError> for HandlerError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Overtaken(_) => HandlerError::transient(error),
            ChangeError::NoReservation(_) => HandlerError::permanent(error),
            ChangeError::Append(error) => error.into(),
            ChangeError::Invalid(error) => error.into(),
        }
    }
}

/// What stating something did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was not known.
    Created,
    /// It was otherwise.
    Changed,
    /// It was the same, so nothing was done and no event appended.
    Unchanged,
}

/// One customer.
pub(crate) async fn customer(
    tx: &mut Tx<'_>,
    customer_id: &CustomerId,
) -> Result<Option<CustomerRow>, StoreError> {
    tx.query_first(
        "SELECT customer_id, name, geo, current_mbps, revision, updated_us, last_event_id FROM customers WHERE customer_id = $1",
        &[customer_id.as_str().into()],
    )
    .await
}

/// The first `limit` customers behind `after`, by rising id; all, or those of one geo.
pub(crate) async fn customers(
    tx: &mut Tx<'_>,
    geo: Option<&GeoSlug>,
    after: Option<&CustomerId>,
    limit: u32,
) -> Result<Vec<CustomerRow>, StoreError> {
    let after: Value<'_> = after.map_or("", CustomerId::as_str).into();
    match geo {
        None => {
            tx.query(
                "SELECT customer_id, name, geo, current_mbps, revision, updated_us, last_event_id FROM customers
                 WHERE customer_id > $1 ORDER BY customer_id LIMIT $2",
                &[after, limit.into()],
            )
            .await
        }
        Some(geo) => {
            tx.query(
                "SELECT customer_id, name, geo, current_mbps, revision, updated_us, last_event_id FROM customers
                 WHERE customer_id > $1 AND geo = $3 ORDER BY customer_id LIMIT $2",
                &[after, limit.into(), geo.as_str().into()],
            )
            .await
        }
    }
}

/// One geo, if it is served.
pub(crate) async fn geo(tx: &mut Tx<'_>, geo: &GeoSlug) -> Result<Option<GeoRow>, StoreError> {
    tx.query_first(
        "SELECT geo, name, max_mbps, capacity_mbps, in_use_mbps, reserved_mbps, updated_us, last_event_id FROM geos
         WHERE geo = $1 AND name IS NOT NULL",
        &[geo.as_str().into()],
    )
    .await
}

/// The first `limit` served geos behind `after`, by rising slug.
pub(crate) async fn geos(
    tx: &mut Tx<'_>,
    after: Option<&GeoSlug>,
    limit: u32,
) -> Result<Vec<GeoRow>, StoreError> {
    tx.query(
        "SELECT geo, name, max_mbps, capacity_mbps, in_use_mbps, reserved_mbps, updated_us, last_event_id FROM geos
         WHERE geo > $1 AND name IS NOT NULL ORDER BY geo LIMIT $2",
        &[after.map_or("", GeoSlug::as_str).into(), limit.into()],
    )
    .await
}

/// States what a geo is.
pub(crate) async fn put_geo(tx: &mut Tx<'_>, stated: &Geo) -> Result<Put, ChangeError> {
    let before = geo(tx, &stated.geo).await?;
    let Some(event) = stated.stated(before.as_ref().map(|row| &row.geo)) else {
        return Ok(Put::Unchanged);
    };
    let last_event_id = append(tx, &stated.geo.subject()?, domain_event(&event)?).await?;
    // Where its customers came first, the row is there and holds their speeds already. It has to be as it was read: of two
    // who state a new geo at the same time, one has changed it.
    let written = tx
        .execute(
            "INSERT INTO geos (geo, name, max_mbps, capacity_mbps, updated_us, last_event_id)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (geo) DO UPDATE SET
                 name = excluded.name, max_mbps = excluded.max_mbps, capacity_mbps = excluded.capacity_mbps,
                 updated_us = excluded.updated_us, last_event_id = excluded.last_event_id
                 WHERE geos.last_event_id IS NOT DISTINCT FROM $7",
            &[
                stated.geo.as_str().into(),
                stated.name.as_str().into(),
                stated.max_mbps.get().into(),
                stated.capacity_mbps.get().into(),
                tx.now().into(),
                (&last_event_id).into(),
                before.as_ref().map(|row| &row.last_event_id).into(),
            ],
        )
        .await?;
    if written == 0 {
        return Err(ChangeError::Overtaken("the geo"));
    }
    Ok(before.map_or(Put::Created, |_| Put::Changed))
}

/// States what a customer is, and counts its speed where it lives.
pub(crate) async fn put_customer(tx: &mut Tx<'_>, stated: &Customer) -> Result<Put, ChangeError> {
    let before = customer(tx, &stated.customer_id).await?;
    let Some(event) = stated.stated(before.as_ref().map(|row| &row.customer)) else {
        return Ok(Put::Unchanged);
    };
    let mut moves = vec![(&stated.geo, i64::from(stated.current_mbps.get()))];
    if let Some(before) = &before {
        moves.push((
            &before.customer.geo,
            -i64::from(before.customer.current_mbps.get()),
        ));
    }
    // Geos by slug, then the customer: all who write lock rows in this order. Within one geo what is added comes first,
    // since the sum may not be below zero in between.
    moves.sort_by_key(|(geo, mbps)| (geo.as_str(), -mbps));
    for (geo, mbps) in moves {
        add_in_use(tx, geo, mbps).await?;
    }
    let last_event_id = append(tx, &stated.customer_id.subject()?, domain_event(&event)?).await?;
    let written = tx
        .execute(
            "INSERT INTO customers (customer_id, name, geo, current_mbps, revision, updated_us, last_event_id)
             VALUES ($1, $2, $3, $4, 1, $5, $7)
             ON CONFLICT (customer_id) DO UPDATE SET
                 name = excluded.name, geo = excluded.geo, current_mbps = excluded.current_mbps,
                 revision = customers.revision + 1, updated_us = excluded.updated_us,
                 last_event_id = excluded.last_event_id
                 WHERE customers.revision = $6",
            &[
                stated.customer_id.as_str().into(),
                stated.name.as_str().into(),
                stated.geo.as_str().into(),
                stated.current_mbps.get().into(),
                tx.now().into(),
                // No row has revision 0: where none was read, none may be there.
                before.as_ref().map_or(0, |row| row.revision).into(),
                (&last_event_id).into(),
            ],
        )
        .await?;
    if written == 0 {
        return Err(ChangeError::Overtaken("the customer"));
    }
    Ok(before.map_or(Put::Created, |_| Put::Changed))
}

/// Appends what was stated, and returns the event's id.
async fn append(
    tx: &mut Tx<'_>,
    subject: &Subject,
    event: NewEvent,
) -> Result<EventId, ChangeError> {
    let appended = tx.append(FEED, subject, Expected::Any, &[event]).await?;
    let id = appended.ids.last().copied();
    id.ok_or_else(|| StoreError::Corrupt(format!("{subject} got no event")).into())
}

/// Counts more (or less) speed in use in a geo. A geo that nobody stated gets a row too, so that its books are right
/// when somebody does.
async fn add_in_use(tx: &mut Tx<'_>, geo: &GeoSlug, mbps: i64) -> Result<(), ChangeError> {
    let parameters = [geo.as_str().into(), mbps.into(), tx.now().into()];
    let updated = tx
        .execute(
            "UPDATE geos SET in_use_mbps = in_use_mbps + $2, updated_us = $3 WHERE geo = $1 AND in_use_mbps + $2 >= 0",
            &parameters,
        )
        .await?;
    if updated == 0 && mbps < 0 {
        // What is taken away was taken away already: the customer is not there any more, or not so fast.
        return Err(ChangeError::Overtaken("the geo's speed in use"));
    }
    if updated == 0 {
        tx.execute(
            "INSERT INTO geos (geo, in_use_mbps, updated_us) VALUES ($1, $2, $3)
             ON CONFLICT (geo) DO UPDATE SET
                 in_use_mbps = geos.in_use_mbps + excluded.in_use_mbps, updated_us = excluded.updated_us",
            &parameters,
        )
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
