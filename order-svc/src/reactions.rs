//! What this service does with the events of the customers feed: it settles orders, and keeps a read model of the
//! customers.
//!
//! The structs say which fields are read; a feed may carry more.

use feed_core::{DecideError, Event, HandlerError, Handlers, Tx};
use serde::Deserialize;

use crate::domain::{OrderCommand, OrderError, OrderId};
use crate::storage::{self, CustomerRow};

/// The subscription's name; with it, the ids of the events that follow are derived.
pub(crate) const SUBSCRIPTION: &str = "orders/customers";

/// A handler for each type of event that matters here.
pub(crate) fn handlers() -> Handlers {
    Handlers::new()
        .on("CustomerRegistered", customer_stated)
        .on("CustomerChanged", customer_stated)
        .on("CustomerMoved", customer_stated)
        .on("SpeedReserved", speed_reserved)
        .on("SpeedRejected", speed_rejected)
        .on("SpeedActivated", speed_activated)
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

#[derive(Deserialize)]
struct SpeedActivated {
    order_id: OrderId,
    customer_id: String,
    geo: String,
    current_mbps: u32,
}

async fn customer_stated(tx: &mut Tx<'_>, event: &Event) -> Result<(), HandlerError> {
    let stated: CustomerStated = event.decode()?;
    let customer = CustomerRow {
        name: stated.name,
        geo: stated.geo,
        current_mbps: stated.current_mbps,
    };
    storage::put_customer(tx, &stated.customer_id, &customer).await?;
    Ok(())
}

async fn speed_reserved(tx: &mut Tx<'_>, event: &Event) -> Result<(), HandlerError> {
    let SpeedReserved { order_id, geo } = event.decode()?;
    settle(tx, event, &order_id, OrderCommand::Confirm { geo }).await
}

async fn speed_rejected(tx: &mut Tx<'_>, event: &Event) -> Result<(), HandlerError> {
    let SpeedRejected {
        order_id,
        geo,
        reason,
    } = event.decode()?;
    settle(tx, event, &order_id, OrderCommand::Reject { geo, reason }).await
}

async fn speed_activated(tx: &mut Tx<'_>, event: &Event) -> Result<(), HandlerError> {
    let activated: SpeedActivated = event.decode()?;
    storage::set_speed(tx, &activated.customer_id, activated.current_mbps).await?;
    let complete = OrderCommand::Complete { geo: activated.geo };
    settle(tx, event, &activated.order_id, complete).await
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
