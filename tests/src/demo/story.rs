//! What happened to an order, told from both feeds.

use std::collections::HashMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::report::millis;
use crate::facts::{Entry, OrderFact, ReservationFact};
use crate::settling::Feeds;

/// Hex digits of an order's id that are shown: the last ones, since the first ones tell the time.
const DIGITS_SHOWN: usize = 4;

/// One thing that happened, with its time and a rank for those of the same time.
type Happening = (DateTime<Utc>, u8, String);

/// The ways of the first orders of the orders feed, a line each.
pub(super) fn first(feeds: &Feeds, orders: usize) -> String {
    let mut lines = format!("The first {orders} orders\n");
    let ids = feeds.order_facts().iter().filter_map(|entry| {
        matches!(entry.fact, OrderFact::Created { .. }).then_some(entry.order_id.as_str())
    });
    let ids: Vec<&str> = ids.take(orders).collect();
    let mut ways: HashMap<&str, Vec<Happening>> = HashMap::new();
    for entry in feeds.order_facts() {
        if ids.contains(&entry.order_id.as_str()) {
            ways.entry(&entry.order_id).or_default().push(order(entry));
        }
    }
    for entry in feeds.reservation_facts() {
        if ids.contains(&entry.order_id.as_str()) {
            let way = ways.entry(&entry.order_id).or_default();
            way.extend(reservation(entry));
        }
    }
    for id in ids {
        let way = ways.remove(id).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(lines, "  {}", line(id, way));
    }
    lines
}

fn line(order_id: &str, mut way: Vec<Happening>) -> String {
    way.sort();
    let time = match (way.first(), way.last()) {
        (Some(first), Some(last)) => millis(last.0 - first.0),
        _ => String::new(),
    };
    let steps: Vec<&str> = way.iter().map(|(_, _, what)| what.as_str()).collect();
    let from = order_id.len().saturating_sub(DIGITS_SHOWN);
    let digits = order_id.get(from..).unwrap_or(order_id);
    format!("order-…{digits}  {}  {time}", steps.join(" -> "))
}

fn order(entry: &Entry<OrderFact>) -> Happening {
    let (rank, what) = match &entry.fact {
        OrderFact::Created { .. } => (0, "UPDATE"),
        OrderFact::Confirmed => (2, "CONFIRMED"),
        OrderFact::Rejected { .. } => (2, "REJECTED"),
        OrderFact::Cancelled => (2, "CANCELLED"),
        OrderFact::Expired => (2, "EXPIRED"),
        OrderFact::Completed => (4, "COMPLETED"),
    };
    (entry.time, rank, what.to_owned())
}

/// An activation is left out: the order's completion says the same.
fn reservation(entry: &Entry<ReservationFact>) -> Option<Happening> {
    let (rank, what) = match &entry.fact {
        ReservationFact::Reserved {
            geo,
            difference_mbps,
            ..
        } => (1, format!("SpeedReserved ({geo}, +{difference_mbps} Mbps)")),
        ReservationFact::Rejected { reason } => (1, format!("SpeedRejected ({reason})")),
        ReservationFact::Activated { .. } => return None,
        ReservationFact::Released { difference_mbps } => {
            (3, format!("SpeedReleased (-{difference_mbps} Mbps)"))
        }
    };
    Some((entry.time, rank, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_way_is_one_line() {
        let at = |ms| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms);
        let way = vec![
            (at(38), 4, "COMPLETED".to_owned()),
            (at(0), 0, "UPDATE".to_owned()),
            (at(20), 2, "CONFIRMED".to_owned()),
            (at(20), 1, "SpeedReserved (berlin, +400 Mbps)".to_owned()),
        ];
        assert_eq!(
            line("0190b6e2-1111-7000-8000-000000007f3a", way),
            "order-…7f3a  UPDATE -> SpeedReserved (berlin, +400 Mbps) -> CONFIRMED -> COMPLETED  38 ms"
        );
    }
}
