//! Follows both feeds until every order is settled on both sides.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::facts::{Entry, OrderFact, ReservationFact, order_facts, reservation_facts};
use crate::failure::Failure;
use crate::history::History;

/// Pause between two looks at the feeds.
const LOOK_MS: u64 = 20;

/// Both feeds, as far as they were read.
#[derive(Debug)]
pub struct Feeds {
    orders: History,
    customers: History,
    /// Events of which the facts were taken.
    orders_told: usize,
    customers_told: usize,
    order_facts: Vec<Entry<OrderFact>>,
    reservation_facts: Vec<Entry<ReservationFact>>,
    progress: HashMap<String, Progress>,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    created: bool,
    /// The order has come to its end.
    ended: bool,
    /// Its wish was answered.
    answered: bool,
    /// Its geo holds speed for it.
    holding: bool,
}

/// How far all orders are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Orders that were placed.
    pub created: usize,
    /// Those that need nothing more, on either side.
    pub settled: usize,
    /// Those that customer-svc has not answered.
    pub unanswered: usize,
    /// Those that wait in order-svc, in UPDATE or CONFIRMED, although they were answered.
    pub waiting: usize,
    /// Those that ended while their geo still holds speed for them.
    pub holding: usize,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} orders are settled; {} have no answer of customer-svc yet, {} are answered and not completed in \
             order-svc, {} ended with speed still held for them",
            self.settled, self.created, self.unanswered, self.waiting, self.holding
        )
    }
}

impl Feeds {
    /// The feeds of the two services, from their first events on.
    ///
    /// # Errors
    /// When these are no URLs.
    pub fn new(order_base_url: &str, customer_base_url: &str) -> Result<Self, Failure> {
        Ok(Feeds {
            orders: History::new(order_base_url, "orders")?,
            customers: History::new(customer_base_url, "customers")?,
            orders_told: 0,
            customers_told: 0,
            order_facts: Vec::new(),
            reservation_facts: Vec::new(),
            progress: HashMap::new(),
        })
    }

    /// How many events the orders feed had when it was read last.
    pub fn orders_head(&self) -> u64 {
        self.orders.events().len() as u64
    }

    /// How many events the customers feed had when it was read last.
    pub fn customers_head(&self) -> u64 {
        self.customers.events().len() as u64
    }

    /// What the orders feed said.
    pub fn order_facts(&self) -> &[Entry<OrderFact>] {
        &self.order_facts
    }

    /// What the customers feed said of orders.
    pub fn reservation_facts(&self) -> &[Entry<ReservationFact>] {
        &self.reservation_facts
    }

    /// Reads what is new in both feeds. Returns how many events that is. Whoever gives it up half-way loses nothing.
    ///
    /// # Errors
    /// When a feed cannot be read or does not hold together.
    pub async fn read_on(&mut self) -> Result<usize, Failure> {
        while self.orders.read_on().await? {}
        while self.customers.read_on().await? {}
        let (orders, customers) = (self.orders.events(), self.customers.events());
        let news = (orders.len() - self.orders_told) + (customers.len() - self.customers_told);
        let order_facts = order_facts(&orders[self.orders_told..])?;
        let reservation_facts = reservation_facts(&customers[self.customers_told..])?;
        (self.orders_told, self.customers_told) = (orders.len(), customers.len());
        for entry in order_facts {
            self.on_order(&entry);
            self.order_facts.push(entry);
        }
        for entry in reservation_facts {
            self.on_reservation(&entry);
            self.reservation_facts.push(entry);
        }
        Ok(news)
    }

    fn on_order(&mut self, entry: &Entry<OrderFact>) {
        let progress = self.progress.entry(entry.order_id.clone()).or_default();
        match entry.fact {
            OrderFact::Created { .. } => progress.created = true,
            OrderFact::Confirmed => {}
            OrderFact::Rejected { .. }
            | OrderFact::Cancelled
            | OrderFact::Expired
            | OrderFact::Completed => progress.ended = true,
        }
    }

    fn on_reservation(&mut self, entry: &Entry<ReservationFact>) {
        let progress = self.progress.entry(entry.order_id.clone()).or_default();
        match entry.fact {
            ReservationFact::Reserved { .. } => {
                progress.answered = true;
                progress.holding = true;
            }
            ReservationFact::Rejected { .. } => progress.answered = true,
            ReservationFact::Activated { .. } | ReservationFact::Released { .. } => {
                progress.holding = false;
            }
        }
    }

    /// How far all orders are.
    pub fn standing(&self) -> Standing {
        let mut standing = Standing::default();
        for progress in self.progress.values().filter(|progress| progress.created) {
            standing.created += 1;
            match progress {
                Progress {
                    answered: false, ..
                } => standing.unanswered += 1,
                Progress { ended: false, .. } => standing.waiting += 1,
                Progress { holding: true, .. } => standing.holding += 1,
                _ => standing.settled += 1,
            }
        }
        standing
    }

    /// Reads on until `orders` orders are settled on both sides. The bar shows how many are.
    ///
    /// # Errors
    /// When a feed cannot be read, or nothing happened for as long as `still_max`; the error says where the orders
    /// stand.
    pub async fn wait_until_settled(
        &mut self,
        orders: usize,
        still_max: Duration,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let mut last_news = Instant::now();
        loop {
            if self.read_on().await? > 0 {
                last_news = Instant::now();
            }
            let standing = self.standing();
            bar.set_position(standing.settled as u64);
            if standing.settled >= orders && standing.settled == standing.created {
                return Ok(());
            }
            if last_news.elapsed() > still_max {
                return Err(Failure::new(format!(
                    "nothing happened for {} s, and {standing}; {orders} orders are to be settled",
                    still_max.as_secs()
                )));
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}
