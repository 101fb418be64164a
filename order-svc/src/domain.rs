//! Orders: what can be asked of one, what happens to it, and what that makes of it. No I/O.
//!
//! ```text
//! (none) ─ OrderCreated ─► UPDATE ─┬─ OrderConfirmed ─► CONFIRMED ─ OrderCompleted ─► COMPLETED
//!                                  ├─ OrderRejected ──► REJECTED
//!                                  ├─ OrderCancelled ─► CANCELLED
//!                                  └─ OrderExpired ───► EXPIRED
//! ```

mod values;

#[cfg(test)]
mod tests;

pub(crate) use values::{CustomerId, OrderId, RequestedMbps};

use std::fmt;

use chrono::{DateTime, Utc};
use feed_core::{Aggregate, InvalidValue, Subject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    /// Placed, and not answered yet.
    Update,
    /// The speed is reserved.
    Confirmed,
    /// The speed cannot be had; the order's reason says why.
    Rejected,
    /// Taken back before it was answered.
    Cancelled,
    /// Not answered in time.
    Expired,
    /// The line runs at the new speed.
    Completed,
}

impl Status {
    const ALL: [Status; 6] = [
        Status::Update,
        Status::Confirmed,
        Status::Rejected,
        Status::Cancelled,
        Status::Expired,
        Status::Completed,
    ];

    /// The word for it in JSON and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Update => "UPDATE",
            Status::Confirmed => "CONFIRMED",
            Status::Rejected => "REJECTED",
            Status::Cancelled => "CANCELLED",
            Status::Expired => "EXPIRED",
            Status::Completed => "COMPLETED",
        }
    }

    /// The status that this word is for.
    pub(crate) fn parse(word: &str) -> Option<Status> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened to an order. The variants' names in the feed begin with `Order`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum OrderEvent {
    /// It was placed.
    #[serde(rename = "OrderCreated")]
    Created {
        order_id: OrderId,
        customer_id: CustomerId,
        requested_mbps: RequestedMbps,
        created_at: DateTime<Utc>,
    },
    /// The speed is reserved in this geo.
    #[serde(rename = "OrderConfirmed")]
    Confirmed {
        order_id: OrderId,
        customer_id: CustomerId,
        geo: String,
        requested_mbps: RequestedMbps,
    },
    /// The speed cannot be had.
    #[serde(rename = "OrderRejected")]
    Rejected {
        order_id: OrderId,
        customer_id: CustomerId,
        geo: Option<String>,
        requested_mbps: RequestedMbps,
        reason: String,
    },
    /// Somebody took it back.
    #[serde(rename = "OrderCancelled")]
    Cancelled {
        order_id: OrderId,
        customer_id: CustomerId,
        requested_mbps: RequestedMbps,
    },
    /// No answer came in time.
    #[serde(rename = "OrderExpired")]
    Expired {
        order_id: OrderId,
        customer_id: CustomerId,
        requested_mbps: RequestedMbps,
    },
    /// The line runs at the new speed.
    #[serde(rename = "OrderCompleted")]
    Completed {
        order_id: OrderId,
        customer_id: CustomerId,
        geo: String,
        requested_mbps: RequestedMbps,
    },
}

/// What can be asked of an order.
#[derive(Debug, Clone)]
pub(crate) enum OrderCommand {
    /// Place it.
    Create {
        order_id: OrderId,
        customer_id: CustomerId,
        requested_mbps: RequestedMbps,
        created_at: DateTime<Utc>,
    },
    /// The speed was reserved in this geo.
    Confirm { geo: String },
    /// The speed was refused.
    Reject { geo: Option<String>, reason: String },
    /// The speed was activated in this geo.
    Complete { geo: String },
    /// Take it back.
    Cancel,
    /// It has waited too long; its timer says so.
    Expire,
}

/// Why an order refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    /// There is no such order.
    #[error("there is no such order")]
    Unknown,
    /// The order was placed before.
    #[error("order {0} was placed before")]
    Exists(OrderId),
    /// Only an order in `UPDATE` can be cancelled or expire.
    #[error("order {order_id} is {status}, and only an order in UPDATE can be cancelled or expire")]
    Settled {
        /// The order.
        order_id: OrderId,
        /// Where it stands.
        status: Status,
    },
}

/// An order; nothing before it was placed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Order(Option<Placed>);

/// An order that was placed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: CustomerId,
    pub(crate) requested_mbps: RequestedMbps,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) status: Status,
    /// Why it was rejected.
    pub(crate) reason: Option<String>,
}

impl OrderId {
    /// What the order's events are about.
    pub(crate) fn subject(&self) -> Result<Subject, InvalidValue> {
        Subject::new(format!("order-{self}"))
    }
}

impl Order {
    /// The order, if it was placed.
    pub(crate) fn placed(&self) -> Option<&Placed> {
        self.0.as_ref()
    }
}

impl Aggregate for Order {
    type Event = OrderEvent;
    type Command = OrderCommand;
    type Error = OrderError;

    fn decide(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        match (&self.0, command) {
            (
                None,
                OrderCommand::Create {
                    order_id,
                    customer_id,
                    requested_mbps,
                    created_at,
                },
            ) => Ok(vec![OrderEvent::Created {
                order_id: order_id.clone(),
                customer_id: customer_id.clone(),
                requested_mbps: *requested_mbps,
                created_at: *created_at,
            }]),
            (Some(placed), OrderCommand::Create { .. }) => {
                Err(OrderError::Exists(placed.order_id.clone()))
            }
            (None, _) => Err(OrderError::Unknown),
            (Some(placed), command) => placed.decide(command),
        }
    }

    fn evolve(&mut self, event: &OrderEvent) {
        let (status, why) = match event {
            OrderEvent::Created {
                order_id,
                customer_id,
                requested_mbps,
                created_at,
            } => {
                self.0 = Some(Placed {
                    order_id: order_id.clone(),
                    customer_id: customer_id.clone(),
                    requested_mbps: *requested_mbps,
                    created_at: *created_at,
                    status: Status::Update,
                    reason: None,
                });
                return;
            }
            OrderEvent::Confirmed { .. } => (Status::Confirmed, None),
            OrderEvent::Rejected { reason, .. } => (Status::Rejected, Some(reason.clone())),
            OrderEvent::Cancelled { .. } => (Status::Cancelled, None),
            OrderEvent::Expired { .. } => (Status::Expired, None),
            OrderEvent::Completed { .. } => (Status::Completed, None),
        };
        if let Some(placed) = &mut self.0 {
            placed.status = status;
            placed.reason = why;
        }
    }
}

impl Placed {
    /// The other service's answers lead to nothing when the order does not wait for them any more: it may have been
    /// cancelled or have expired while they were on their way. People are told.
    fn decide(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        let order_id = self.order_id.clone();
        let customer_id = self.customer_id.clone();
        let requested_mbps = self.requested_mbps;
        let event = match (command, self.status) {
            (OrderCommand::Confirm { geo }, Status::Update) => OrderEvent::Confirmed {
                order_id,
                customer_id,
                geo: geo.clone(),
                requested_mbps,
            },
            (OrderCommand::Reject { geo, reason }, Status::Update) => OrderEvent::Rejected {
                order_id,
                customer_id,
                geo: geo.clone(),
                requested_mbps,
                reason: reason.clone(),
            },
            (OrderCommand::Complete { geo }, Status::Confirmed) => OrderEvent::Completed {
                order_id,
                customer_id,
                geo: geo.clone(),
                requested_mbps,
            },
            (OrderCommand::Cancel, Status::Update) => OrderEvent::Cancelled {
                order_id,
                customer_id,
                requested_mbps,
            },
            (OrderCommand::Expire, Status::Update) => OrderEvent::Expired {
                order_id,
                customer_id,
                requested_mbps,
            },
            (OrderCommand::Cancel | OrderCommand::Expire, status) => {
                return Err(OrderError::Settled { order_id, status });
            }
            (OrderCommand::Create { .. }, _) => return Err(OrderError::Exists(order_id)),
            (
                OrderCommand::Confirm { .. }
                | OrderCommand::Reject { .. }
                | OrderCommand::Complete { .. },
                _,
            ) => return Ok(vec![]),
        };
        Ok(vec![event])
    }
}
