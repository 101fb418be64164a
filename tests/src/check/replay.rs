//! The rules once more, applied to the orders feed in the order of its positions. Pure.

use std::collections::{BTreeMap, HashMap};

use super::verdict::{About, Difference};
use crate::facts::{Entry, OrderFact};
use crate::sample::Sample;

/// The books of a geo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Book {
    /// The fastest line on offer.
    pub max_mbps: i64,
    /// What all lines together may have.
    pub capacity_mbps: i64,
    /// What they have.
    pub in_use_mbps: i64,
    /// What is held for orders.
    pub reserved_mbps: i64,
}

impl Book {
    /// What is left.
    pub fn free_mbps(&self) -> i64 {
        self.capacity_mbps - self.in_use_mbps - self.reserved_mbps
    }
}

/// A customer's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it is.
    pub geo: String,
    /// Its speed.
    pub current_mbps: i64,
}

/// The answer that the rules give to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The difference is held.
    Reserved {
        /// Where.
        geo: String,
        /// The speed of the line before.
        current_mbps: i64,
        /// What is held.
        difference_mbps: i64,
        /// What the geo had free before.
        free_before_mbps: i64,
    },
    /// The order does not get the speed.
    Rejected(&'static str),
}

/// What is calculated of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calculated {
    /// Who ordered.
    pub customer_id: String,
    /// The wanted speed.
    pub requested_mbps: i64,
    /// The answer.
    pub decision: Decision,
    /// The feed has a cancel of it.
    pub cancelled: bool,
    /// The feed has its expiry.
    pub expired: bool,
    /// The feed confirms it, and it was reserved.
    pub activated: bool,
}

impl Calculated {
    /// How the order has to end, with the reason if there is one.
    pub fn end(&self) -> (&'static str, Option<&'static str>) {
        match &self.decision {
            _ if self.cancelled => ("CANCELLED", None),
            _ if self.expired => ("EXPIRED", None),
            Decision::Rejected(reason) => ("REJECTED", Some(reason)),
            Decision::Reserved { .. } => ("COMPLETED", None),
        }
    }
}

/// What comes of the orders feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calculation {
    /// The books of every served geo.
    pub books: BTreeMap<String, Book>,
    /// Every customer's line.
    pub lines: BTreeMap<String, Line>,
    /// Every order.
    pub orders: HashMap<String, Calculated>,
    /// The open reservation of a customer: which order holds it.
    open: HashMap<String, String>,
    /// What may not stand in an orders feed.
    pub differences: Vec<Difference>,
}

/// Replays `feed` over the sample's geos and customers.
pub fn replay(sample: &Sample, feed: &[Entry<OrderFact>]) -> Calculation {
    let mut calculation = Calculation::at_the_start(sample);
    for entry in feed {
        calculation.apply(entry);
    }
    calculation
}

impl Calculation {
    fn at_the_start(sample: &Sample) -> Self {
        let mut calculation = Calculation::default();
        for geo in &sample.geos {
            let book = Book {
                max_mbps: geo.max_mbps,
                capacity_mbps: geo.capacity_mbps,
                in_use_mbps: 0,
                reserved_mbps: 0,
            };
            calculation.books.insert(geo.geo.clone(), book);
        }
        for customer in &sample.customers {
            if let Some(book) = calculation.books.get_mut(&customer.geo) {
                book.in_use_mbps += customer.current_mbps;
            }
            let line = Line {
                geo: customer.geo.clone(),
                current_mbps: customer.current_mbps,
            };
            let id = customer.customer_id.clone();
            calculation.lines.insert(id, line);
        }
        calculation
    }

    fn apply(&mut self, entry: &Entry<OrderFact>) {
        let order_id = &entry.order_id;
        if let OrderFact::Created {
            customer_id,
            requested_mbps,
        } = &entry.fact
        {
            self.create(entry, customer_id, *requested_mbps);
            return;
        }
        let Some(order) = self.orders.get_mut(order_id) else {
            self.wrong(entry, "it was never created");
            return;
        };
        match &entry.fact {
            OrderFact::Confirmed => {
                let customer_id = order.customer_id.clone();
                if self.open.get(&customer_id) != Some(order_id) {
                    self.wrong(entry, "it is confirmed without speed reserved for it");
                } else {
                    order.activated = true;
                    let requested_mbps = order.requested_mbps;
                    self.release(order_id);
                    self.set_speed(&customer_id, requested_mbps);
                }
            }
            OrderFact::Cancelled => {
                order.cancelled = true;
                self.release(order_id);
            }
            OrderFact::Expired => {
                order.expired = true;
                self.release(order_id);
            }
            // Decided above, when it was created; that the feed says the same is compared later.
            OrderFact::Created { .. } | OrderFact::Rejected { .. } | OrderFact::Completed => {}
        }
    }

    fn create(&mut self, entry: &Entry<OrderFact>, customer_id: &str, requested_mbps: i64) {
        if self.orders.contains_key(&entry.order_id) {
            self.wrong(entry, "it is created a second time");
            return;
        }
        let decision = self.decide(customer_id, requested_mbps);
        if let Decision::Reserved {
            geo,
            difference_mbps,
            ..
        } = &decision
        {
            if let Some(book) = self.books.get_mut(geo) {
                book.reserved_mbps += difference_mbps;
            }
            self.open
                .insert(customer_id.to_owned(), entry.order_id.clone());
        }
        let order = Calculated {
            customer_id: customer_id.to_owned(),
            requested_mbps,
            decision,
            cancelled: false,
            expired: false,
            activated: false,
        };
        self.orders.insert(entry.order_id.clone(), order);
    }

    /// The rules, in their order.
    fn decide(&self, customer_id: &str, requested_mbps: i64) -> Decision {
        let Some(line) = self.lines.get(customer_id) else {
            return Decision::Rejected("unknown-customer");
        };
        let Some(book) = self.books.get(&line.geo) else {
            return Decision::Rejected("geo-not-served");
        };
        let difference_mbps = requested_mbps - line.current_mbps;
        if difference_mbps <= 0 {
            Decision::Rejected("not-an-upgrade")
        } else if self.open.contains_key(customer_id) {
            Decision::Rejected("reservation-open")
        } else if requested_mbps > book.max_mbps {
            Decision::Rejected("speed-not-available")
        } else if difference_mbps > book.free_mbps() {
            Decision::Rejected("capacity-exhausted")
        } else {
            Decision::Reserved {
                geo: line.geo.clone(),
                current_mbps: line.current_mbps,
                difference_mbps,
                free_before_mbps: book.free_mbps(),
            }
        }
    }

    /// Ends the reservation of this order, if it has one that is open.
    fn release(&mut self, order_id: &str) {
        let Some(order) = self.orders.get(order_id) else {
            return;
        };
        if self.open.get(&order.customer_id).map(String::as_str) != Some(order_id) {
            return;
        }
        self.open.remove(&order.customer_id);
        if let Decision::Reserved {
            geo,
            difference_mbps,
            ..
        } = &order.decision
            && let Some(book) = self.books.get_mut(geo)
        {
            book.reserved_mbps -= difference_mbps;
        }
    }

    fn set_speed(&mut self, customer_id: &str, requested_mbps: i64) {
        if let Some(line) = self.lines.get_mut(customer_id) {
            if let Some(book) = self.books.get_mut(&line.geo) {
                book.in_use_mbps += requested_mbps - line.current_mbps;
            }
            line.current_mbps = requested_mbps;
        }
    }

    fn wrong(&mut self, entry: &Entry<OrderFact>, what: &str) {
        self.differences.push(Difference::new(
            About::Order(entry.order_id.clone()),
            format!("position {} of the orders feed: {what}", entry.position),
        ));
    }
}
