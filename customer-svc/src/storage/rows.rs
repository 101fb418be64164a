//! What queries show, and how it is read from a row and written as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use feed_core::{EventId, FromRow, Loaded, Row, StoreError};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::domain::{
    CapacityMbps, CurrentMbps, Customer, Decision, Geo, InvalidField, MaxMbps, OrderId, Reason,
    Reservation, Status,
};

/// RFC 3339 in UTC, to the microsecond: what the database keeps.
fn rfc3339<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// A text in the database that was checked when it came in.
fn text<T>(row: &Row<'_>, column: &str) -> Result<T, StoreError>
where
    T: TryFrom<String, Error = InvalidField>,
{
    T::try_from(row.get::<String>(column)?).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A number in the database that was checked when it came in.
fn number<T>(row: &Row<'_>, column: &str) -> Result<T, StoreError>
where
    T: TryFrom<i64, Error = InvalidField>,
{
    T::try_from(row.get::<i64>(column)?).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A customer as queries show it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = CustomerAsShown)]
pub(crate) struct CustomerRow {
    #[serde(flatten)]
    pub(crate) customer: Customer,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) updated_at: DateTime<Utc>,
    /// The last event by which it became what it is.
    pub(crate) last_event_id: EventId,
    /// Number of changes of the row.
    #[serde(skip)]
    pub(super) revision: i64,
}

impl FromRow for CustomerRow {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(CustomerRow {
            customer: Customer {
                customer_id: text(row, "customer_id")?,
                name: text(row, "name")?,
                geo: text(row, "geo")?,
                current_mbps: number::<CurrentMbps>(row, "current_mbps")?,
            },
            updated_at: row.get("updated_us")?,
            last_event_id: row.get("last_event_id")?,
            revision: row.get("revision")?,
        })
    }
}

/// A geo as queries show it, with its books.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = GeoAsShown)]
pub(crate) struct GeoRow {
    #[serde(flatten)]
    pub(crate) geo: Geo,
    /// Sum of its customers' current speeds.
    pub(crate) in_use_mbps: i64,
    /// Sum of what its open reservations hold.
    pub(crate) reserved_mbps: i64,
    /// What is left; negative when facts were stated that exceed the capacity.
    pub(crate) free_mbps: i64,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) updated_at: DateTime<Utc>,
    /// The last event that stated it; its books change without one.
    pub(crate) last_event_id: EventId,
}

impl FromRow for GeoRow {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let capacity_mbps: CapacityMbps = number(row, "capacity_mbps")?;
        let in_use_mbps: i64 = row.get("in_use_mbps")?;
        let reserved_mbps: i64 = row.get("reserved_mbps")?;
        Ok(GeoRow {
            geo: Geo {
                geo: text(row, "geo")?,
                name: text(row, "name")?,
                max_mbps: number::<MaxMbps>(row, "max_mbps")?,
                capacity_mbps,
            },
            in_use_mbps,
            reserved_mbps,
            free_mbps: i64::from(capacity_mbps.get()) - in_use_mbps - reserved_mbps,
            updated_at: row.get("updated_us")?,
            last_event_id: row.get("last_event_id")?,
        })
    }
}

/// A reservation as queries show it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Reservation)]
pub(crate) struct ReservationRow {
    #[schema(value_type = OrderId)]
    pub(crate) order_id: String,
    pub(crate) status: Status,
    /// Why the order does not get the speed; null when it does.
    #[schema(value_type = Option<Reason>)]
    pub(crate) reason: Option<String>,
    pub(crate) customer_id: String,
    pub(crate) geo: Option<String>,
    pub(crate) requested_mbps: u32,
    /// Speed of the line when the order was answered.
    pub(crate) current_mbps: Option<u32>,
    pub(crate) difference_mbps: Option<i64>,
    pub(crate) free_before_mbps: Option<i64>,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) created_at: DateTime<Utc>,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) version: u32,
    pub(crate) last_event_id: EventId,
}

impl ReservationRow {
    /// The row of a reservation that was just decided; none if it was not.
    pub(super) fn new(reservation: &Loaded<Reservation>, now: DateTime<Utc>) -> Option<Self> {
        let answered = reservation.state.answered()?;
        let decision: &Decision = &answered.decision;
        Some(ReservationRow {
            order_id: decision.order_id.to_string(),
            status: answered.status,
            reason: answered.reason.map(|reason| reason.to_string()),
            customer_id: decision.customer_id.to_string(),
            geo: decision.geo.as_ref().map(ToString::to_string),
            requested_mbps: decision.requested_mbps,
            current_mbps: decision.current_mbps,
            difference_mbps: decision.difference_mbps,
            free_before_mbps: decision.free_before_mbps,
            created_at: now,
            updated_at: now,
            version: reservation.version.get(),
            last_event_id: reservation.last_event?,
        })
    }
}

impl FromRow for ReservationRow {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let status: String = row.get("status")?;
        Ok(ReservationRow {
            order_id: row.get("order_id")?,
            status: Status::parse(&status)
                .ok_or_else(|| StoreError::Corrupt(format!("reservation status {status:?}")))?,
            reason: row.get("reason")?,
            customer_id: row.get("customer_id")?,
            geo: row.get("geo")?,
            requested_mbps: row.get("requested_mbps")?,
            current_mbps: row.get("current_mbps")?,
            difference_mbps: row.get("difference_mbps")?,
            free_before_mbps: row.get("free_before_mbps")?,
            created_at: row.get("created_us")?,
            updated_at: row.get("updated_us")?,
            version: row.get("version")?,
            last_event_id: row.get("last_event_id")?,
        })
    }
}
