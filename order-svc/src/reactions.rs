//! What this service does with the events of the customers feed: it settles orders, and keeps a read model of the
//! customers.
//!
//! The structs say which fields are read; a feed may carry more.

use feed_core::{DecideError, Event, HandlerError, Handlers, Tx};
use serde::Deserialize;

use crate::domain::{OrderCommand, OrderError, OrderId};
use crate::storage::{self, CustomerRow, Generation};

/// The subscription's name; with it, the ids of the events that follow are derived.
pub(crate) const SUBSCRIPTION: &str = "orders/customers";

/// The subscription by which the read model of customers is built anew. There is one, so that one rebuild is at work.
pub(crate) const REBUILD: &str = "orders/customers/rebuild";

/// A handler for each type of event that matters here.
pub(crate) fn handlers() -> Handlers {
    customers(Generation::Live)
        .on_data("SpeedReserved", speed_reserved)
        .on_data("SpeedRejected", speed_rejected)
        .on_data("SpeedActivated", speed_activated)
}

/// Only those that keep a generation of the read model.
pub(crate) fn customers(generation: Generation) -> Handlers {
    let stated = async move |tx: &mut Tx<'_>, _: &Event, stated: CustomerStated| {
        let customer = CustomerRow {
            name: stated.name,
            geo: stated.geo,
            current_mbps: stated.current_mbps,
        };
        storage::put_customer(tx, generation, &stated.customer_id, &customer).await?;
        Ok(())
    };
    let activated = async move |tx: &mut Tx<'_>, _: &Event, activated: LineActivated| {
        let LineActivated {
            customer_id,
            current_mbps,
        } = activated;
        storage::set_speed(tx, generation, &customer_id, current_mbps).await?;
        Ok(())
    };
    Handlers::new()
        .on_data("CustomerRegistered", stated)
        .on_data("CustomerChanged", stated)
        .on_data("CustomerMoved", stated)
        .on_data("SpeedActivated", activated)
}

/// `CustomerRegistered`, `CustomerChanged` and `CustomerMoved`: each says all of what the customer is now.
#[derive(Deserialize)]
struct CustomerStated {
    customer_id: String,
    name: String,
    geo: String,
    current_mbps: u32,
}

#[derive(Deserialize)]
struct SpeedReserved {
    order_id: OrderId,
    geo: String,
}

#[derive(Deserialize)]
struct SpeedRejected {
    order_id: OrderId,
    geo: Option<String>,
    reason: String,
}

/// `SpeedActivated`, as far as it is about the order.
#[derive(Deserialize)]
struct SpeedActivated {
    order_id: OrderId,
    geo: String,
}

/// `SpeedActivated`, as far as it is about the customer.
#[derive(Deserialize)]
struct LineActivated {
    customer_id: String,
    current_mbps: u32,
}

async fn speed_reserved(
    tx: &mut Tx<'_>,
    event: &Event,
    SpeedReserved { order_id, geo }: SpeedReserved,
) -> Result<(), HandlerError> {
    settle(tx, event, &order_id, OrderCommand::Confirm { geo }).await
}

async fn speed_rejected(
    tx: &mut Tx<'_>,
    event: &Event,
    rejected: SpeedRejected,
) -> Result<(), HandlerError> {
    let SpeedRejected {
        order_id,
        geo,
        reason,
    } = rejected;
    settle(tx, event, &order_id, OrderCommand::Reject { geo, reason }).await
}

async fn speed_activated(
    tx: &mut Tx<'_>,
    event: &Event,
    SpeedActivated { order_id, geo }: SpeedActivated,
) -> Result<(), HandlerError> {
    settle(tx, event, &order_id, OrderCommand::Complete { geo }).await
}

/// Gives the order its answer. An order that this database does not hold is passed over: the other service may serve
/// other takers of orders, or this database is older than its events.
async fn settle(
    tx: &mut Tx<'_>,
    event: &Event,
    order_id: &OrderId,
    command: OrderCommand,
) -> Result<(), HandlerError> {
    match storage::carry_out(tx, order_id, &command).await {
        Ok(decided) => {
            for follow_up in &decided.events {
                tracing::debug!(%order_id, cause = %event.id, ?follow_up, "order settled");
            }
            Ok(())
        }
        Err(DecideError::Refused(OrderError::Unknown)) => {
            tracing::warn!(%order_id, event_id = %event.id, event_type = %event.event_type,
                position = %event.position, "passed over: there is no such order here");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
