//! What this service does with the events of the orders feed: it reserves speed, or says why not; and activates or
//! releases what it reserved.
//!
//! The structs say which fields are read; a feed may carry more.

use feed_core::{Event, HandlerError, Handlers, Tx};
use serde::Deserialize;

use crate::domain::{CustomerId, OrderId, ReservationCommand};
use crate::storage::{self, ChangeError};

/// The subscription's name; with it, the ids of the events that follow are derived.
pub(crate) const SUBSCRIPTION: &str = "customers/orders";

/// A handler for each type of event that matters here.
pub(crate) fn handlers() -> Handlers {
    Handlers::new()
        .on_data(
            "OrderCreated",
            async |tx: &mut Tx<'_>, _: &Event, created: OrderCreated| {
                Ok(order_created(tx, created).await?)
            },
        )
        .on_data(
            "OrderConfirmed",
            async |tx: &mut Tx<'_>, event: &Event, confirmed: OrderSettled| {
                known(event, order_confirmed(tx, confirmed).await)
            },
        )
        .on_data("OrderCancelled", ended)
        .on_data("OrderExpired", ended)
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OrderCreated {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: CustomerId,
    pub(crate) requested_mbps: u32,
}

/// `OrderConfirmed`, `OrderCancelled` and `OrderExpired`: which order it is says all.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OrderSettled {
    pub(crate) order_id: OrderId,
}

pub(crate) async fn order_created(
    tx: &mut Tx<'_>,
    created: OrderCreated,
) -> Result<(), ChangeError> {
    let OrderCreated {
        order_id,
        customer_id,
        requested_mbps,
    } = created;
    let request = storage::request(tx, order_id.clone(), customer_id, requested_mbps).await?;
    carry_out(tx, &order_id, ReservationCommand::Answer(request)).await
}

pub(crate) async fn order_confirmed(
    tx: &mut Tx<'_>,
    confirmed: OrderSettled,
) -> Result<(), ChangeError> {
    let OrderSettled { order_id } = confirmed;
    match storage::line_of(tx, &order_id).await? {
        Some(line) => carry_out(tx, &order_id, ReservationCommand::Activate(line)).await,
        None => Err(ChangeError::NoReservation(crate::domain::ReservationError)),
    }
}

/// Cancelled or expired: whichever came, what is reserved is free again.
pub(crate) async fn order_ended(tx: &mut Tx<'_>, ended: OrderSettled) -> Result<(), ChangeError> {
    carry_out(tx, &ended.order_id, ReservationCommand::Release).await
}

async fn ended(tx: &mut Tx<'_>, event: &Event, ended: OrderSettled) -> Result<(), HandlerError> {
    known(event, order_ended(tx, ended).await)
}

async fn carry_out(
    tx: &mut Tx<'_>,
    order_id: &OrderId,
    command: ReservationCommand,
) -> Result<(), ChangeError> {
    let decided = storage::carry_out(tx, order_id, &command).await?;
    for follow_up in &decided.events {
        tracing::debug!(%order_id, ?follow_up, "order answered");
    }
    Ok(())
}

/// An order that was never answered here is passed over: this service began to follow the feed after it was created,
/// so there is nothing that it could activate or release.
fn known(event: &Event, done: Result<(), ChangeError>) -> Result<(), HandlerError> {
    match done {
        Err(ChangeError::NoReservation(_)) => {
            tracing::warn!(event_id = %event.id, event_type = %event.event_type, subject = %event.subject,
                position = %event.position, "passed over: there is no reservation of this order here");
            Ok(())
        }
        done => done.map_err(HandlerError::from),
    }
}

#[cfg(test)]
mod tests;
