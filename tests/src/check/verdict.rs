//! What came of the comparison.

use std::collections::BTreeSet;
use std::fmt;

/// What a difference is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// An order, by its id.
    Order(String),
    /// A geo, by its slug.
    Geo(String),
    /// A customer, by its id.
    Customer(String),
    /// A subject of a feed.
    Subject(String),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            About::Order(id) => write!(f, "order {id}"),
            About::Geo(geo) => write!(f, "geo {geo}"),
            About::Customer(id) => write!(f, "customer {id}"),
            About::Subject(subject) => write!(f, "subject {subject}"),
        }
    }
}

/// The services say one thing, the calculation another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub about: About,
    /// What was calculated, and what is said.
    pub what: String,
}

impl Difference {
    pub(super) fn new(about: About, what: impl Into<String>) -> Self {
        Difference {
            about,
            what: what.into(),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.what)
    }
}

/// What came of the comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Orders that were placed.
    pub orders: usize,
    /// All that differs.
    pub differences: Vec<Difference>,
}

impl Verdict {
    /// Whether nothing differs.
    pub fn is_good(&self) -> bool {
        self.differences.is_empty()
    }

    /// Placed orders that nothing differs about.
    pub fn orders_as_calculated(&self) -> usize {
        let about: BTreeSet<&str> = self
            .differences
            .iter()
            .filter_map(|difference| match &difference.about {
                About::Order(id) => Some(id.as_str()),
                About::Geo(_) | About::Customer(_) | About::Subject(_) => None,
            })
            .collect();
        self.orders.saturating_sub(about.len())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} as calculated",
            self.orders_as_calculated(),
            self.orders
        )?;
        match self.differences.len() {
            0 => Ok(()),
            1 => f.write_str(", 1 difference"),
            many => write!(f, ", {many} differences"),
        }
    }
}
