//! Customers and geos, which are stated; and reservations of speed, which are decided. No I/O.
//!
//! ```text
//! (none) ─┬─ SpeedReserved ─► RESERVED ─┬─ SpeedActivated ─► ACTIVATED
//!         │                             └─ SpeedReleased ──► RELEASED
//!         └─ SpeedRejected ─► REJECTED
//! ```

mod reservation;
mod values;

#[cfg(test)]
mod tests;

pub(crate) use reservation::{
    Decision, Line, Offer, Reason, Request, Reservation, ReservationCommand, ReservationError,
    ReservationEvent, Status,
};
pub(crate) use values::{
    CapacityMbps, CurrentMbps, CustomerId, GeoSlug, InvalidField, MaxMbps, Name, OrderId,
};

use feed_core::{InvalidValue, Subject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A customer as it was stated last.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Customer {
    pub(crate) customer_id: CustomerId,
    pub(crate) name: Name,
    pub(crate) geo: GeoSlug,
    pub(crate) current_mbps: CurrentMbps,
}

/// A geo as it was stated last.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Geo {
    pub(crate) geo: GeoSlug,
    pub(crate) name: Name,
    pub(crate) max_mbps: MaxMbps,
    pub(crate) capacity_mbps: CapacityMbps,
}

/// What happened to a customer. Each says all of what the customer is now; the variants' names in the feed begin
/// with `Customer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum CustomerEvent {
    /// The first that is known of it.
    #[serde(rename = "CustomerRegistered")]
    Registered {
        customer_id: CustomerId,
        name: Name,
        geo: GeoSlug,
        current_mbps: CurrentMbps,
    },
    /// It has another name or speed.
    #[serde(rename = "CustomerChanged")]
    Changed {
        customer_id: CustomerId,
        name: Name,
        geo: GeoSlug,
        current_mbps: CurrentMbps,
    },
    /// It lives in another geo, and may have changed otherwise too.
    #[serde(rename = "CustomerMoved")]
    Moved {
        customer_id: CustomerId,
        name: Name,
        geo: GeoSlug,
        from_geo: GeoSlug,
        current_mbps: CurrentMbps,
    },
}

/// What happened to a geo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum GeoEvent {
    /// It is new or was changed.
    #[serde(rename = "GeoChanged")]
    Changed {
        geo: GeoSlug,
        name: Name,
        max_mbps: MaxMbps,
        capacity_mbps: CapacityMbps,
    },
}

impl CustomerId {
    /// What the customer's events are about.
    pub(crate) fn subject(&self) -> Result<Subject, InvalidValue> {
        Subject::new(format!("customer-{self}"))
    }
}

impl GeoSlug {
    /// What the geo's events are about.
    pub(crate) fn subject(&self) -> Result<Subject, InvalidValue> {
        Subject::new(format!("geo-{self}"))
    }
}

impl OrderId {
    /// What the events of the order's reservation are about.
    pub(crate) fn subject(&self) -> Result<Subject, InvalidValue> {
        Subject::new(format!("reservation-{self}"))
    }
}

impl Customer {
    /// What it means that the customer is stated to be this, after it was `before`; nothing when it was the same.
    pub(crate) fn stated(&self, before: Option<&Customer>) -> Option<CustomerEvent> {
        let Customer {
            customer_id,
            name,
            geo,
            current_mbps,
        } = self.clone();
        match before {
            None => Some(CustomerEvent::Registered {
                customer_id,
                name,
                geo,
                current_mbps,
            }),
            Some(before) if before == self => None,
            Some(before) if before.geo == geo => Some(CustomerEvent::Changed {
                customer_id,
                name,
                geo,
                current_mbps,
            }),
            Some(before) => Some(CustomerEvent::Moved {
                customer_id,
                name,
                geo,
                from_geo: before.geo.clone(),
                current_mbps,
            }),
        }
    }
}

impl Geo {
    /// What it means that the geo is stated to be this, after it was `before`; nothing when it was the same.
    pub(crate) fn stated(&self, before: Option<&Geo>) -> Option<GeoEvent> {
        let Geo {
            geo,
            name,
            max_mbps,
            capacity_mbps,
        } = self.clone();
        (before != Some(self)).then_some(GeoEvent::Changed {
            geo,
            name,
            max_mbps,
            capacity_mbps,
        })
    }
}
