//! Reservations, and what they mean for the ledger.

use feed_core::{Decided, EventId, FromRow, Row, StoreError, Tx};

use super::{ChangeError, FEED, ReservationRow, add_in_use};
use crate::domain::{
    CustomerId, GeoSlug, InvalidField, Line, Offer, OrderId, Request, Reservation,
    ReservationCommand, ReservationEvent,
};

/// One reservation.
pub(crate) async fn reservation(
    tx: &mut Tx<'_>,
    order_id: &OrderId,
) -> Result<Option<ReservationRow>, StoreError> {
    tx.query_first(
        "SELECT order_id, status, reason, customer_id, geo, requested_mbps, current_mbps, difference_mbps,
                free_before_mbps, created_us, updated_us, version, last_event_id
         FROM reservations WHERE order_id = $1",
        &[order_id.as_str().into()],
    )
    .await
}

/// A customer's line and what its geo offers.
struct LineAndOffer {
    line: Line,
    offer: Option<Offer>,
}

impl FromRow for LineAndOffer {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let max_mbps: Option<u32> = row.get("max_mbps")?;
        let free_mbps: Option<i64> = row.get("free_mbps")?;
        let geo = GeoSlug::try_from(row.get::<String>("geo")?)
            .map_err(|error: InvalidField| StoreError::Corrupt(error.to_string()))?;
        Ok(LineAndOffer {
            line: Line {
                geo,
                current_mbps: row.get("current_mbps")?,
            },
            offer: max_mbps.zip(free_mbps).map(|(max_mbps, free_mbps)| Offer {
                max_mbps,
                free_mbps,
            }),
        })
    }
}

async fn line_and_offer(
    tx: &mut Tx<'_>,
    customer_id: &str,
) -> Result<Option<LineAndOffer>, StoreError> {
    tx.query_first(
        "SELECT c.geo, c.current_mbps, g.max_mbps,
                g.capacity_mbps - g.in_use_mbps - g.reserved_mbps AS free_mbps
         FROM customers c JOIN geos g ON g.geo = c.geo WHERE c.customer_id = $1",
        &[customer_id.into()],
    )
    .await
}

/// An order with all that the answer to it is based on.
pub(crate) async fn request(
    tx: &mut Tx<'_>,
    order_id: OrderId,
    customer_id: CustomerId,
    requested_mbps: u32,
) -> Result<Request, StoreError> {
    let found = line_and_offer(tx, customer_id.as_str()).await?;
    let open: Vec<(String,)> = tx
        .query(
            "SELECT order_id FROM reservations WHERE customer_id = $1 AND status = 'RESERVED'",
            &[customer_id.as_str().into()],
        )
        .await?;
    let (line, offer) = match found {
        Some(LineAndOffer { line, offer }) => (Some(line), offer),
        None => (None, None),
    };
    Ok(Request {
        order_id,
        customer_id,
        requested_mbps,
        line,
        offer,
        reservation_open: !open.is_empty(),
    })
}

/// The line that the reservation of this order is for, as it is now; none when there is no such reservation.
pub(crate) async fn line_of(
    tx: &mut Tx<'_>,
    order_id: &OrderId,
) -> Result<Option<Line>, StoreError> {
    match reservation(tx, order_id).await? {
        Some(row) => Ok(line_and_offer(tx, &row.customer_id)
            .await?
            .map(|found| found.line)),
        None => Ok(None),
    }
}

/// Lets the reservation decide and keeps what follows: its events, the ledger, and its row for queries.
pub(crate) async fn carry_out(
    tx: &mut Tx<'_>,
    order_id: &OrderId,
    command: &ReservationCommand,
) -> Result<Decided<Reservation>, ChangeError> {
    let decided: Decided<Reservation> = tx.decide(FEED, &order_id.subject()?, command).await?;
    for event in &decided.events {
        book(tx, event, decided.after.last_event).await?;
    }
    if !decided.events.is_empty()
        && let Some(row) = ReservationRow::new(&decided.after, tx.now())
    {
        save(tx, &row).await?;
    }
    Ok(decided)
}

/// Enters the event into the ledger.
async fn book(
    tx: &mut Tx<'_>,
    event: &ReservationEvent,
    event_id: Option<EventId>,
) -> Result<(), ChangeError> {
    match event {
        ReservationEvent::Reserved {
            geo,
            difference_mbps,
            ..
        } => reserve(tx, geo, *difference_mbps).await,
        ReservationEvent::Rejected { .. } => Ok(()),
        ReservationEvent::Activated {
            customer_id,
            geo,
            current_mbps,
            previous_mbps,
            reserved_geo,
            difference_mbps,
            ..
        } => {
            let line = Line {
                geo: geo.clone(),
                current_mbps: *previous_mbps,
            };
            let more_mbps = i64::from(*current_mbps) - i64::from(*previous_mbps);
            // Geos by slug, then the customer: all who write lock rows in this order, so none waits in a circle.
            if reserved_geo.as_str() < geo.as_str() {
                unreserve(tx, reserved_geo, *difference_mbps).await?;
                add_in_use(tx, geo, more_mbps).await?;
            } else {
                add_in_use(tx, geo, more_mbps).await?;
                unreserve(tx, reserved_geo, *difference_mbps).await?;
            }
            set_speed(tx, customer_id, &line, *current_mbps, event_id).await
        }
        ReservationEvent::Released {
            geo,
            difference_mbps,
            ..
        } => unreserve(tx, geo, *difference_mbps).await,
    }
}

/// The guard of the capacity: one statement on one row looks and takes, so that however many write at the same time,
/// no geo is oversold.
async fn reserve(tx: &mut Tx<'_>, geo: &GeoSlug, mbps: u32) -> Result<(), ChangeError> {
    let reserved = tx
        .execute(
            "UPDATE geos SET reserved_mbps = reserved_mbps + $2, updated_us = $3
             WHERE geo = $1 AND capacity_mbps - in_use_mbps - reserved_mbps >= $2",
            &[geo.as_str().into(), mbps.into(), tx.now().into()],
        )
        .await?;
    if reserved == 0 {
        return Err(ChangeError::Overtaken("the geo's free capacity"));
    }
    Ok(())
}

async fn unreserve(tx: &mut Tx<'_>, geo: &GeoSlug, mbps: u32) -> Result<(), ChangeError> {
    tx.execute(
        "UPDATE geos SET reserved_mbps = reserved_mbps - $2, updated_us = $3 WHERE geo = $1",
        &[geo.as_str().into(), mbps.into(), tx.now().into()],
    )
    .await?;
    Ok(())
}

/// The line, which was this when it was decided about, runs at `current_mbps` from now on.
async fn set_speed(
    tx: &mut Tx<'_>,
    customer_id: &CustomerId,
    line: &Line,
    current_mbps: u32,
    event_id: Option<EventId>,
) -> Result<(), ChangeError> {
    let updated = tx
        .execute(
            "UPDATE customers SET current_mbps = $2, revision = revision + 1, updated_us = $3, last_event_id = $6
             WHERE customer_id = $1 AND geo = $4 AND current_mbps = $5",
            &[
                customer_id.as_str().into(),
                current_mbps.into(),
                tx.now().into(),
                line.geo.as_str().into(),
                line.current_mbps.into(),
                event_id.as_ref().into(),
            ],
        )
        .await?;
    if updated == 0 {
        return Err(ChangeError::Overtaken("the customer"));
    }
    Ok(())
}

async fn save(tx: &mut Tx<'_>, row: &ReservationRow) -> Result<(), ChangeError> {
    if row.version > 1 {
        tx.execute(
            "UPDATE reservations SET status = $2, updated_us = $3, version = $4, last_event_id = $5
             WHERE order_id = $1",
            &[
                (&row.order_id).into(),
                row.status.as_str().into(),
                row.updated_at.into(),
                row.version.into(),
                (&row.last_event_id).into(),
            ],
        )
        .await?;
        return Ok(());
    }
    let inserted = tx
        .execute(
            "INSERT INTO reservations (order_id, status, reason, customer_id, geo, requested_mbps, current_mbps,
                                       difference_mbps, free_before_mbps, created_us, updated_us, version,
                                       last_event_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING",
            &[
                (&row.order_id).into(),
                row.status.as_str().into(),
                row.reason.as_deref().into(),
                (&row.customer_id).into(),
                row.geo.as_deref().into(),
                row.requested_mbps.into(),
                row.current_mbps.into(),
                row.difference_mbps.into(),
                row.free_before_mbps.into(),
                row.created_at.into(),
                row.updated_at.into(),
                row.version.into(),
                (&row.last_event_id).into(),
            ],
        )
        .await?;
    if inserted == 0 {
        // The index on open reservations: another order of the customer was faster.
        return Err(ChangeError::Overtaken("the customer's open reservation"));
    }
    Ok(())
}
