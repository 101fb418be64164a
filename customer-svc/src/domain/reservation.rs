//! Reservations: the answer to an order, and what becomes of the speed that it holds.

use std::fmt;

use feed_core::Aggregate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::values::{CustomerId, GeoSlug, OrderId};

/// Why an order does not get the speed, in the order in which it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    /// Nobody of that id was registered.
    UnknownCustomer,
    /// The customer lives where there is no offer.
    GeoNotServed,
    /// The line is as fast already.
    NotAnUpgrade,
    /// Another order of the customer holds speed that is neither activated nor released yet.
    ReservationOpen,
    /// The geo has no line as fast as that.
    SpeedNotAvailable,
    /// The geo has not enough speed left.
    CapacityExhausted,
}

impl Reason {
    /// The word for it in JSON and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::UnknownCustomer => "unknown-customer",
            Reason::GeoNotServed => "geo-not-served",
            Reason::NotAnUpgrade => "not-an-upgrade",
            Reason::ReservationOpen => "reservation-open",
            Reason::SpeedNotAvailable => "speed-not-available",
            Reason::CapacityExhausted => "capacity-exhausted",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    /// It holds speed: it is open.
    Reserved,
    /// The order did not get the speed.
    Rejected,
    /// The line runs at the new speed.
    Activated,
    /// The order was taken back, or expired.
    Released,
}

impl Status {
    const ALL: [Status; 4] = [
        Status::Reserved,
        Status::Rejected,
        Status::Activated,
        Status::Released,
    ];

    /// The word for it in JSON and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Reserved => "RESERVED",
            Status::Rejected => "REJECTED",
            Status::Activated => "ACTIVATED",
            Status::Released => "RELEASED",
        }
    }

    /// The status that this word is for.
    pub(crate) fn parse(word: &str) -> Option<Status> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// The line that a customer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) geo: GeoSlug,
    pub(crate) current_mbps: u32,
}

/// What a geo has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) max_mbps: u32,
    /// Capacity without what is in use and what is reserved; negative when facts were stated that exceed it.
    pub(crate) free_mbps: i64,
}

/// An order, and all that the answer to it is based on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: CustomerId,
    pub(crate) requested_mbps: u32,
    /// None when the customer is unknown.
    pub(crate) line: Option<Line>,
    /// What the customer's geo offers; none when it is not served.
    pub(crate) offer: Option<Offer>,
    /// Whether another order of the customer holds speed.
    pub(crate) reservation_open: bool,
}

/// What can be asked of a reservation.
#[derive(Debug, Clone)]
pub(crate) enum ReservationCommand {
    /// Answer the order.
    Answer(Request),
    /// The order was confirmed: the customer's line, which is this now, gets the new speed.
    Activate(Line),
    /// The order was taken back, or expired.
    Release,
}

/// The facts behind an answer, as the events carry them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: CustomerId,
    /// Where the customer lives; none when the customer is unknown.
    pub(crate) geo: Option<GeoSlug>,
    pub(crate) requested_mbps: u32,
    /// Speed of the line; none when the customer is unknown.
    pub(crate) current_mbps: Option<u32>,
    /// Requested minus current speed; none when the customer is unknown.
    pub(crate) difference_mbps: Option<i64>,
    /// What the geo had free; none when it is not served.
    pub(crate) free_before_mbps: Option<i64>,
}

/// What happened to a reservation. The variants' names in the feed begin with `Speed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum ReservationEvent {
    /// The geo holds the difference for the order.
    #[serde(rename = "SpeedReserved")]
    Reserved {
        order_id: OrderId,
        customer_id: CustomerId,
        geo: GeoSlug,
        requested_mbps: u32,
        current_mbps: u32,
        difference_mbps: u32,
        free_before_mbps: i64,
    },
    /// The order does not get the speed.
    #[serde(rename = "SpeedRejected")]
    Rejected {
        reason: Reason,
        #[serde(flatten)]
        decision: Decision,
    },
    /// The line runs at the new speed, in the geo where the customer lives now.
    #[serde(rename = "SpeedActivated")]
    Activated {
        order_id: OrderId,
        customer_id: CustomerId,
        geo: GeoSlug,
        current_mbps: u32,
        previous_mbps: u32,
        /// Where the difference was reserved, and is not any more.
        reserved_geo: GeoSlug,
        difference_mbps: u32,
    },
    /// The geo does not hold the difference any more.
    #[serde(rename = "SpeedReleased")]
    Released {
        order_id: OrderId,
        customer_id: CustomerId,
        geo: GeoSlug,
        difference_mbps: u32,
    },
}

/// There is nothing to activate or to release: the order was never answered here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no reservation of this order")]
pub(crate) struct ReservationError;

/// A reservation; nothing before its order was answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reservation(Option<Answered>);

/// An order that was answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) decision: Decision,
}

impl Reservation {
    /// The answer, if there was one.
    pub(crate) fn answered(&self) -> Option<&Answered> {
        self.0.as_ref()
    }
}

impl Request {
    /// The rules. The first one that speaks against the order is its reason.
    fn answer(&self) -> ReservationEvent {
        let reject = |reason| ReservationEvent::Rejected {
            reason,
            decision: self.decision(),
        };
        let Some(line) = &self.line else {
            return reject(Reason::UnknownCustomer);
        };
        let Some(offer) = self.offer else {
            return reject(Reason::GeoNotServed);
        };
        let difference_mbps = match self.requested_mbps.checked_sub(line.current_mbps) {
            Some(difference_mbps) if difference_mbps > 0 => difference_mbps,
            _ => return reject(Reason::NotAnUpgrade),
        };
        if self.reservation_open {
            return reject(Reason::ReservationOpen);
        }
        if self.requested_mbps > offer.max_mbps {
            return reject(Reason::SpeedNotAvailable);
        }
        if i64::from(difference_mbps) > offer.free_mbps {
            return reject(Reason::CapacityExhausted);
        }
        ReservationEvent::Reserved {
            order_id: self.order_id.clone(),
            customer_id: self.customer_id.clone(),
            geo: line.geo.clone(),
            requested_mbps: self.requested_mbps,
            current_mbps: line.current_mbps,
            difference_mbps,
            free_before_mbps: offer.free_mbps,
        }
    }

    fn decision(&self) -> Decision {
        let current_mbps = self.line.as_ref().map(|line| line.current_mbps);
        Decision {
            order_id: self.order_id.clone(),
            customer_id: self.customer_id.clone(),
            geo: self.line.as_ref().map(|line| line.geo.clone()),
            requested_mbps: self.requested_mbps,
            current_mbps,
            difference_mbps: current_mbps
                .map(|current| i64::from(self.requested_mbps) - i64::from(current)),
            free_before_mbps: self.offer.map(|offer| offer.free_mbps),
        }
    }
}

impl Aggregate for Reservation {
    type Event = ReservationEvent;
    type Command = ReservationCommand;
    type Error = ReservationError;

    /// An order is answered once, and what is not open is neither activated nor released: the same event that comes
    /// again, or a cancel that comes after the end, leads to nothing.
    fn decide(
        &self,
        command: &ReservationCommand,
    ) -> Result<Vec<ReservationEvent>, ReservationError> {
        match (&self.0, command) {
            (None, ReservationCommand::Answer(request)) => Ok(vec![request.answer()]),
            (Some(_), ReservationCommand::Answer(_)) => Ok(vec![]),
            (None, ReservationCommand::Activate(_) | ReservationCommand::Release) => {
                Err(ReservationError)
            }
            (Some(answered), ReservationCommand::Activate(line)) => {
                Ok(answered.activate(line).into_iter().collect())
            }
            (Some(answered), ReservationCommand::Release) => {
                Ok(answered.release().into_iter().collect())
            }
        }
    }

    fn evolve(&mut self, event: &ReservationEvent) {
        match event {
            ReservationEvent::Reserved {
                order_id,
                customer_id,
                geo,
                requested_mbps,
                current_mbps,
                difference_mbps,
                free_before_mbps,
            } => {
                self.0 = Some(Answered {
                    status: Status::Reserved,
                    reason: None,
                    decision: Decision {
                        order_id: order_id.clone(),
                        customer_id: customer_id.clone(),
                        geo: Some(geo.clone()),
                        requested_mbps: *requested_mbps,
                        current_mbps: Some(*current_mbps),
                        difference_mbps: Some(i64::from(*difference_mbps)),
                        free_before_mbps: Some(*free_before_mbps),
                    },
                });
            }
            ReservationEvent::Rejected { reason, decision } => {
                self.0 = Some(Answered {
                    status: Status::Rejected,
                    reason: Some(*reason),
                    decision: decision.clone(),
                });
            }
            ReservationEvent::Activated { .. } => self.end(Status::Activated),
            ReservationEvent::Released { .. } => self.end(Status::Released),
        }
    }
}

impl Reservation {
    fn end(&mut self, status: Status) {
        if let Some(answered) = &mut self.0 {
            answered.status = status;
        }
    }
}

impl Answered {
    /// The geo and the difference that an open reservation holds.
    fn held(&self) -> Option<(GeoSlug, u32)> {
        let difference_mbps = u32::try_from(self.decision.difference_mbps?).ok()?;
        (self.status == Status::Reserved).then_some((self.decision.geo.clone()?, difference_mbps))
    }

    fn activate(&self, line: &Line) -> Option<ReservationEvent> {
        let (reserved_geo, difference_mbps) = self.held()?;
        Some(ReservationEvent::Activated {
            order_id: self.decision.order_id.clone(),
            customer_id: self.decision.customer_id.clone(),
            geo: line.geo.clone(),
            current_mbps: self.decision.requested_mbps,
            previous_mbps: line.current_mbps,
            reserved_geo,
            difference_mbps,
        })
    }

    fn release(&self) -> Option<ReservationEvent> {
        let (geo, difference_mbps) = self.held()?;
        Some(ReservationEvent::Released {
            order_id: self.decision.order_id.clone(),
            customer_id: self.decision.customer_id.clone(),
            geo,
            difference_mbps,
        })
    }
}
