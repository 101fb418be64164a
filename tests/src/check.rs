//! The independent calculation: replays the orders feed over the sample's geos and customers, and compares what comes
//! of it with all that the services say.
//!
//! It shares no code with the services. Totals vary from run to run, as orders race each other; given the order of the
//! orders feed, everything else follows from it, and one difference is one too many.

mod compare;
mod replay;
mod serving;
mod verdict;

#[cfg(test)]
mod tests;

pub use compare::{Observed, compare};
pub use replay::{Book, Calculation, Decision, Line, replay};
pub use serving::{ServedBook, ServedCustomer, ServedOrder};
pub use verdict::{About, Difference, Verdict};

use std::collections::HashMap;

use feed_core::Event;

use crate::driver::PlacedOrder;
use crate::facts::{order_facts, reservation_facts};
use crate::failure::Failure;
use crate::history::History;
use crate::http;
use crate::sample::Sample;

/// Reads all that both services say, once they are settled, and compares it with the calculation.
///
/// # Errors
/// When something cannot be read. Differences are no error: the verdict holds them.
pub async fn check(
    sample: &Sample,
    placed: &[PlacedOrder],
    order_base_url: &str,
    customer_base_url: &str,
) -> Result<Verdict, Failure> {
    let orders_feed = History::read(order_base_url, "orders").await?;
    let customers_feed = History::read(customer_base_url, "customers").await?;
    let http = http::client(1)?;
    let observed = Observed {
        order_facts: order_facts(&orders_feed)?,
        reservation_facts: reservation_facts(&customers_feed)?,
        orders: serving::orders(&http, order_base_url).await?,
        books: serving::books(&http, customer_base_url).await?,
        customers: serving::customers(&http, customer_base_url).await?,
    };
    let mut verdict = compare(sample, placed, &observed);
    verdict.differences.extend(versions(&orders_feed));
    verdict.differences.extend(versions(&customers_feed));
    Ok(verdict)
}

/// The versions of every subject are 1, 2, 3 … in the order of the feed.
fn versions(feed: &[Event]) -> Vec<Difference> {
    let mut last: HashMap<&str, u32> = HashMap::new();
    let mut differences = Vec::new();
    for event in feed {
        let version = last.entry(event.subject.as_str()).or_default();
        *version += 1;
        if event.version.get() != *version {
            differences.push(Difference::new(
                About::Subject(event.subject.to_string()),
                format!(
                    "position {}: version {version} was to come, the feed has {}",
                    event.position, event.version
                ),
            ));
            *version = event.version.get();
        }
    }
    differences
}
