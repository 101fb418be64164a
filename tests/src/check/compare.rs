//! What was calculated beside what the services say. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::replay::{Calculated, Calculation, Decision, replay};
use super::serving::{ServedBook, ServedCustomer, ServedOrder};
use super::verdict::{About, Difference, Verdict};
use crate::driver::{Cancel, PlacedOrder};
use crate::facts::{Entry, OrderFact, ReservationFact};
use crate::sample::Sample;

/// All that the services say.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The orders feed.
    pub order_facts: Vec<Entry<OrderFact>>,
    /// The customers feed, as far as it is about orders.
    pub reservation_facts: Vec<Entry<ReservationFact>>,
    /// order-svc's list of orders.
    pub orders: Vec<ServedOrder>,
    /// customer-svc's list of geos.
    pub books: Vec<ServedBook>,
    /// customer-svc's list of customers.
    pub customers: Vec<ServedCustomer>,
}

/// Compares all that the services say, after every order is settled, with what follows from the orders feed.
pub fn compare(sample: &Sample, placed: &[PlacedOrder], observed: &Observed) -> Verdict {
    let calculation = replay(sample, &observed.order_facts);
    let mut comparison = Comparison {
        calculation: &calculation,
        differences: calculation.differences.clone(),
    };
    comparison.placed(placed);
    comparison.orders_feed(&observed.order_facts);
    comparison.customers_feed(&observed.reservation_facts);
    comparison.orders(&observed.orders);
    comparison.books(&observed.books);
    comparison.customers(&observed.customers);
    Verdict {
        orders: placed.len(),
        differences: comparison.differences,
    }
}

struct Comparison<'c> {
    calculation: &'c Calculation,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    fn add(&mut self, about: About, what: impl Into<String>) {
        self.differences.push(Difference::new(about, what));
    }

    fn order(&mut self, order_id: &str, what: impl Into<String>) {
        self.add(About::Order(order_id.to_owned()), what);
    }

    /// Each accepted order is in the feed, and no other is; an order is cancelled just where that was accepted.
    fn placed(&mut self, placed: &[PlacedOrder]) {
        let mut not_placed: BTreeSet<&str> =
            self.calculation.orders.keys().map(String::as_str).collect();
        for order in placed {
            let id = &order.order_id;
            let Some(calculated) = self.calculation.orders.get(id) else {
                self.order(id, "it was accepted and is not in the orders feed");
                continue;
            };
            if !not_placed.remove(id.as_str()) {
                self.order(id, "its id was given to two accepted orders");
            }
            if (&calculated.customer_id, calculated.requested_mbps)
                != (&order.customer_id, order.requested_mbps)
            {
                self.order(
                    id,
                    format!(
                        "placed by {} for {} Mbps, in the feed by {} for {} Mbps",
                        order.customer_id,
                        order.requested_mbps,
                        calculated.customer_id,
                        calculated.requested_mbps
                    ),
                );
            }
            match (order.cancel, calculated.cancelled) {
                (Cancel::Accepted, false) => {
                    self.order(id, "a cancel was accepted, and the feed has none");
                }
                (Cancel::Refused | Cancel::NotAsked, true) => {
                    self.order(id, "the feed has a cancel that was not accepted");
                }
                (Cancel::Accepted, true) | (Cancel::Refused | Cancel::NotAsked, false) => {}
            }
        }
        for id in not_placed {
            self.order(id, "it is in the orders feed, and nobody placed it");
        }
    }

    /// What the orders feed says of an order is one of the ways that an order can go, and the calculated one.
    fn orders_feed(&mut self, facts: &[Entry<OrderFact>]) {
        let said = by_order(facts);
        for (id, order) in &self.calculation.orders {
            let said = said.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            let fits = match (order.end(), said) {
                (("CANCELLED", _), [OrderFact::Created { .. }, OrderFact::Cancelled])
                | (("EXPIRED", _), [OrderFact::Created { .. }, OrderFact::Expired])
                | (
                    ("COMPLETED", _),
                    [
                        OrderFact::Created { .. },
                        OrderFact::Confirmed,
                        OrderFact::Completed,
                    ],
                ) => true,
                (
                    ("REJECTED", reason),
                    [
                        OrderFact::Created { .. },
                        OrderFact::Rejected { reason: said },
                    ],
                ) => reason == Some(said),
                _ => false,
            };
            if !fits {
                let what = format!(
                    "{} was calculated, the orders feed says {said:?}",
                    end_text(order)
                );
                self.order(id, what);
            }
        }
    }

    /// The answers are the calculated ones, down to the numbers, and every reservation ended as its order did.
    fn customers_feed(&mut self, facts: &[Entry<ReservationFact>]) {
        let said = by_order(facts);
        for (id, order) in &self.calculation.orders {
            let said = said.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            if !answers_fit(order, said) {
                let what = format!(
                    "{:?}{} was calculated, the customers feed says {said:?}",
                    order.decision,
                    if order.activated { ", activated" } else { "" }
                );
                self.order(id, what);
            }
        }
        for id in said.keys() {
            if !self.calculation.orders.contains_key(*id) {
                self.order(
                    id,
                    "it is answered in the customers feed and was never placed",
                );
            }
        }
    }

    /// order-svc lists each order once, as it ended, with the customer as it is now.
    fn orders(&mut self, orders: &[ServedOrder]) {
        let mut served = BTreeMap::new();
        for order in orders {
            if served.insert(order.id.as_str(), order).is_some() {
                self.order(&order.id, "order-svc lists it twice");
            }
            if !self.calculation.orders.contains_key(&order.id) {
                self.order(
                    &order.id,
                    "order-svc lists it, and it is not in the orders feed",
                );
            }
        }
        for (id, calculated) in &self.calculation.orders {
            let Some(order) = served.get(id.as_str()) else {
                self.order(
                    id,
                    "it is in the orders feed, and order-svc does not list it",
                );
                continue;
            };
            if (order.status.as_str(), order.reason.as_deref()) != calculated.end() {
                let reason = order.reason.as_deref();
                let what = format!(
                    "{} was calculated, order-svc says {}{}",
                    end_text(calculated),
                    order.status,
                    reason.map_or(String::new(), |reason| format!(" ({reason})"))
                );
                self.order(id, what);
            }
            self.read_model(id, calculated, order);
        }
    }

    /// What order-svc knows of the customer from the customers feed.
    fn read_model(&mut self, id: &str, calculated: &Calculated, order: &ServedOrder) {
        let line = self.calculation.lines.get(&calculated.customer_id);
        let known = order.customer.as_ref();
        let as_calculated = match (line, known) {
            (None, None) => true,
            (Some(line), Some(known)) => {
                (&line.geo, line.current_mbps) == (&known.geo, known.current_mbps)
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !as_calculated {
            let what =
                format!("its customer was calculated as {line:?}, order-svc knows it as {known:?}");
            self.order(id, what);
        }
    }

    /// customer-svc's books of each geo.
    fn books(&mut self, books: &[ServedBook]) {
        let served: BTreeMap<&str, &ServedBook> =
            books.iter().map(|book| (book.geo.as_str(), book)).collect();
        for (geo, book) in &self.calculation.books {
            let about = About::Geo(geo.clone());
            let calculated = ServedBook {
                geo: geo.clone(),
                in_use_mbps: book.in_use_mbps,
                reserved_mbps: book.reserved_mbps,
                free_mbps: book.free_mbps(),
            };
            match served.get(geo.as_str()) {
                None => self.add(about, "customer-svc does not list it"),
                Some(said) if **said != calculated => {
                    let what = format!("{calculated} was calculated, customer-svc says {said}");
                    self.add(about, what);
                }
                Some(_) => {}
            }
        }
        for book in books {
            if !self.calculation.books.contains_key(&book.geo) {
                self.add(
                    About::Geo(book.geo.clone()),
                    "customer-svc serves it, and the sample does not have it",
                );
            }
        }
    }

    /// customer-svc's lines.
    fn customers(&mut self, customers: &[ServedCustomer]) {
        let served: BTreeMap<&str, &ServedCustomer> = customers
            .iter()
            .map(|customer| (customer.customer_id.as_str(), customer))
            .collect();
        for (id, line) in &self.calculation.lines {
            let said = served
                .get(id.as_str())
                .map(|said| (said.geo.as_str(), said.current_mbps));
            if said != Some((line.geo.as_str(), line.current_mbps)) {
                let what = format!("{line:?} was calculated, customer-svc says {said:?}");
                self.add(About::Customer(id.clone()), what);
            }
        }
    }
}

fn by_order<F>(facts: &[Entry<F>]) -> HashMap<&str, Vec<&F>> {
    let mut by_order: HashMap<&str, Vec<&F>> = HashMap::new();
    for entry in facts {
        by_order
            .entry(&entry.order_id)
            .or_default()
            .push(&entry.fact);
    }
    by_order
}

fn end_text(order: &Calculated) -> String {
    match order.end() {
        (status, Some(reason)) => format!("{status} ({reason})"),
        (status, None) => status.to_owned(),
    }
}

fn answers_fit(order: &Calculated, said: &[&ReservationFact]) -> bool {
    let Decision::Reserved {
        geo,
        current_mbps,
        difference_mbps,
        free_before_mbps,
    } = &order.decision
    else {
        return matches!(
            (&order.decision, said),
            (Decision::Rejected(reason), [ReservationFact::Rejected { reason: said }]) if reason == said
        );
    };
    let reserved = ReservationFact::Reserved {
        geo: geo.clone(),
        current_mbps: *current_mbps,
        difference_mbps: *difference_mbps,
        free_before_mbps: *free_before_mbps,
    };
    let ended = if order.activated {
        ReservationFact::Activated {
            current_mbps: order.requested_mbps,
        }
    } else {
        ReservationFact::Released {
            difference_mbps: *difference_mbps,
        }
    };
    said == [&reserved, &ended]
}
