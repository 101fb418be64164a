//! What the two feeds say, as plain data: the payloads that are told of in the documents, read anew here.

use chrono::{DateTime, Utc};
use feed_core::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{Context, Failure};

/// An event of either feed, about one order.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<F> {
    /// Its place in its feed.
    pub position: u64,
    /// The order.
    pub order_id: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What happened.
    pub fact: F,
}

/// What the orders feed says of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderFact {
    /// It was placed.
    Created {
        /// Who ordered.
        customer_id: String,
        /// The wanted speed.
        requested_mbps: i64,
    },
    /// The speed is reserved.
    Confirmed,
    /// It was refused.
    Rejected {
        /// Why.
        reason: String,
    },
    /// Somebody took it back.
    Cancelled,
    /// No answer came in time.
    Expired,
    /// The speed is active.
    Completed,
}

/// What the customers feed says of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum ReservationFact {
    /// The geo holds the difference.
    Reserved {
        /// The geo.
        geo: String,
        /// The speed of the line before.
        current_mbps: i64,
        /// What is held.
        difference_mbps: i64,
        /// What the geo had free before.
        free_before_mbps: i64,
    },
    /// The order does not get the speed.
    Rejected {
        /// Why.
        reason: String,
    },
    /// The line runs at this speed now.
    Activated {
        /// The new speed.
        current_mbps: i64,
    },
    /// The geo does not hold this any more.
    Released {
        /// What was held.
        difference_mbps: i64,
    },
}

#[derive(Deserialize)]
struct Order {
    order_id: String,
}

#[derive(Deserialize)]
struct Created {
    customer_id: String,
    requested_mbps: i64,
}

#[derive(Deserialize)]
struct Rejected {
    reason: String,
}

#[derive(Deserialize)]
struct Reserved {
    geo: String,
    current_mbps: i64,
    difference_mbps: i64,
    free_before_mbps: i64,
}

#[derive(Deserialize)]
struct Activated {
    current_mbps: i64,
}

#[derive(Deserialize)]
struct Released {
    difference_mbps: i64,
}

/// What the orders feed says.
///
/// # Errors
/// When an event is of a type that is not known, or its data is not as told.
pub fn order_facts(events: &[Event]) -> Result<Vec<Entry<OrderFact>>, Failure> {
    events
        .iter()
        .map(|event| {
            let fact = match event.event_type.as_str() {
                "OrderCreated" => {
                    let data: Created = decode(event)?;
                    OrderFact::Created {
                        customer_id: data.customer_id,
                        requested_mbps: data.requested_mbps,
                    }
                }
                "OrderConfirmed" => OrderFact::Confirmed,
                "OrderRejected" => OrderFact::Rejected {
                    reason: decode::<Rejected>(event)?.reason,
                },
                "OrderCancelled" => OrderFact::Cancelled,
                "OrderExpired" => OrderFact::Expired,
                "OrderCompleted" => OrderFact::Completed,
                _ => return Err(unknown(event, "orders")),
            };
            entry(event, "order", fact)
        })
        .collect()
}

/// What the customers feed says of orders. What it says of customers and geos is left out: it repeats the sample.
///
/// # Errors
/// When an event is of a type that is not known, or its data is not as told.
pub fn reservation_facts(events: &[Event]) -> Result<Vec<Entry<ReservationFact>>, Failure> {
    events.iter().filter_map(reservation_fact).collect()
}

fn reservation_fact(event: &Event) -> Option<Result<Entry<ReservationFact>, Failure>> {
    let fact = match event.event_type.as_str() {
        "CustomerRegistered" | "CustomerChanged" | "CustomerMoved" | "GeoChanged" => return None,
        "SpeedReserved" => decode(event).map(|data: Reserved| ReservationFact::Reserved {
            geo: data.geo,
            current_mbps: data.current_mbps,
            difference_mbps: data.difference_mbps,
            free_before_mbps: data.free_before_mbps,
        }),
        "SpeedRejected" => decode(event).map(|data: Rejected| ReservationFact::Rejected {
            reason: data.reason,
        }),
        "SpeedActivated" => decode(event).map(|data: Activated| ReservationFact::Activated {
            current_mbps: data.current_mbps,
        }),
        "SpeedReleased" => decode(event).map(|data: Released| ReservationFact::Released {
            difference_mbps: data.difference_mbps,
        }),
        _ => Err(unknown(event, "customers")),
    };
    Some(fact.and_then(|fact| entry(event, "reservation", fact)))
}

/// The fact with where it stands. The subject has to be that of the order.
fn entry<F>(event: &Event, kind: &str, fact: F) -> Result<Entry<F>, Failure> {
    let Order { order_id } = decode(event)?;
    if event.subject.as_str() != format!("{kind}-{order_id}") {
        return Err(Failure::new(format!(
            "event {} says order_id {order_id:?} and is about {}",
            event.id, event.subject
        )));
    }
    Ok(Entry {
        position: event.position.get(),
        order_id,
        time: event.time,
        fact,
    })
}

fn decode<T: DeserializeOwned>(event: &Event) -> Result<T, Failure> {
    event
        .decode()
        .context(format!("{} at {}", event.event_type, event.position))
}

fn unknown(event: &Event, feed: &str) -> Failure {
    Failure::new(format!(
        "position {} of the {feed} feed is a {}, which no document tells of",
        event.position, event.event_type
    ))
}
