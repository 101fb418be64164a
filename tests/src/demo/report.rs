//! Totals, times, and where to look: text, made from both feeds.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::facts::OrderFact;
use crate::settling::Feeds;

/// Totals by status and by reason.
pub(super) fn totals(feeds: &Feeds) -> String {
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in feeds.order_facts() {
        let status = match &entry.fact {
            OrderFact::Created { .. } | OrderFact::Confirmed => continue,
            OrderFact::Completed => "COMPLETED",
            OrderFact::Cancelled => "CANCELLED",
            OrderFact::Expired => "EXPIRED",
            OrderFact::Rejected { reason } => {
                *reasons.entry(reason).or_default() += 1;
                "REJECTED"
            }
        };
        *statuses.entry(status).or_default() += 1;
    }
    let mut text = "Totals\n".to_owned();
    table(&mut text, &statuses);
    text.push_str("Rejected because of\n");
    table(&mut text, &reasons);
    text
}

fn table(text: &mut String, rows: &BTreeMap<&str, usize>) {
    for (name, count) in rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<22}{count:>7}");
    }
}

/// How long orders took, and how many went through in a second.
pub(super) fn times(feeds: &Feeds, posting: Duration) -> String {
    let mut created: HashMap<&str, DateTime<Utc>> = HashMap::new();
    let mut took = Vec::new();
    let mut span: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    for entry in feeds.order_facts() {
        let (first, last) = span.unwrap_or((entry.time, entry.time));
        span = Some((first.min(entry.time), last.max(entry.time)));
        match &entry.fact {
            OrderFact::Created { .. } => {
                created.insert(&entry.order_id, entry.time);
            }
            // Those that were taken back say nothing about how fast an answer is.
            OrderFact::Confirmed | OrderFact::Cancelled | OrderFact::Expired => {}
            OrderFact::Rejected { .. } | OrderFact::Completed => {
                if let Some(created) = created.get(entry.order_id.as_str()) {
                    took.push(entry.time - *created);
                }
            }
        }
    }
    took.sort_unstable();
    let settling = span
        .and_then(|(first, last)| (last - first).to_std().ok())
        .unwrap_or_default();
    format!(
        "From order to settlement\n  p50 {}, p99 {}, max {}\n  posted  {}\n  settled {}\n",
        millis(quantile(&took, 50)),
        millis(quantile(&took, 99)),
        millis(quantile(&took, 100)),
        rate(created.len(), posting),
        rate(created.len(), settling)
    )
}

/// The smallest value that is not below `percent` percent of them. `sorted` is in rising order.
fn quantile(sorted: &[TimeDelta], percent: usize) -> TimeDelta {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// A duration in milliseconds, with a digit behind the point when it is short.
pub(super) fn millis(duration: TimeDelta) -> String {
    let micros = duration.num_microseconds().unwrap_or(i64::MAX);
    if micros < 10_000 {
        format!("{:.1} ms", micros as f64 / 1_000.0)
    } else {
        format!("{} ms", micros / 1_000)
    }
}

fn rate(orders: usize, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let per_second = orders as f64 / seconds.max(0.001);
    format!("{orders} orders in {seconds:.1} s: {per_second:.0} orders/s")
}

/// Where to look, and what to try.
pub(super) fn links(
    feeds: &Feeds,
    order_base_url: &str,
    customer_base_url: &str,
    keep: bool,
) -> String {
    let example = feeds
        .order_facts()
        .first()
        .map_or("ORDER", |entry| entry.order_id.as_str());
    let now = if keep {
        "The services go on running. Try:"
    } else {
        "--keep leaves the services running. Then try:"
    };
    format!(
        "Feeds\n  {order_base_url}/feeds/orders\n  {customer_base_url}/feeds/customers\n{now}
  curl {order_base_url}/feeds/orders
  curl -H 'Accept: application/cloudevents-batch+json' '{customer_base_url}/feeds/customers?after=start' -L
  curl {order_base_url}/orders/{example}
  curl '{order_base_url}/orders?status=REJECTED&limit=3'
  curl {customer_base_url}/geos/berlin
  curl -H 'Content-Type: application/json' -d '{{\"customer_id\": \"c-1001\", \"requested_mbps\": 500}}' {order_base_url}/orders
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_values() {
        let values: Vec<TimeDelta> = (1..=200).map(TimeDelta::milliseconds).collect();
        assert_eq!(millis(quantile(&values, 50)), "100 ms");
        assert_eq!(millis(quantile(&values, 99)), "198 ms");
        assert_eq!(millis(quantile(&values, 100)), "200 ms");
        assert_eq!(millis(quantile(&values[..1], 50)), "1.0 ms");
        assert_eq!(millis(quantile(&[], 50)), "0.0 ms");
    }
}
