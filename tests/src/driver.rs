//! Places the sample's orders over HTTP, as many customers at once would, and remembers what was answered.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use reqwest::{Response, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use crate::failure::{Context, Failure};
use crate::http;
use crate::sample::SampleOrder;

/// Pause before a request is sent again.
const AGAIN_MS: u64 = 50;

/// How orders are placed.
#[derive(Debug, Clone)]
pub struct DriverOptions {
    /// `http://` and the address of order-svc.
    pub base_url: String,
    /// How many orders are under way at once.
    pub connections: usize,
    /// How long a request is sent again when its answer was lost or the service failed; every order then has an
    /// `Idempotency-Key`. None: a lost answer is a failure.
    pub retry_for: Option<Duration>,
}

/// What became of the wish to cancel an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// It was not wished.
    NotAsked,
    /// 200: the order is cancelled.
    Accepted,
    /// 409: it was settled before.
    Refused,
}

/// An order that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    /// The id that it was given.
    pub order_id: String,
    /// Who ordered.
    pub customer_id: String,
    /// The wanted speed.
    pub requested_mbps: i64,
    /// Whether it was cancelled.
    pub cancel: Cancel,
}

/// All that was placed.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The orders, in the sample's order.
    pub orders: Vec<PlacedOrder>,
    /// POSTs that repeated an earlier one, and were answered with the same `Location`.
    pub repeats: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// Places `orders`. The bar counts the POSTs of orders.
///
/// # Errors
/// When an order is refused, a repetition is given another `Location`, or two orders are given the same one.
pub async fn place(
    orders: &[SampleOrder],
    options: &DriverOptions,
    bar: &ProgressBar,
) -> Result<Placement, Failure> {
    let driver = Driver {
        http: http::client(options.connections)?,
        options,
    };
    let driver = &driver;
    let started = Instant::now();
    let locations: Vec<(String, Cancel)> = stream::iter(orders.iter().enumerate())
        .map(|(index, order)| async move {
            let placed = driver.place(index, order).await?;
            bar.inc(1);
            Ok::<_, Failure>(placed)
        })
        .buffered(options.connections.max(1))
        .try_collect()
        .await?;
    let elapsed = started.elapsed();
    let repeats = compare_repeats(orders, &locations)?;
    let orders = orders
        .iter()
        .zip(locations)
        .filter(|(order, _)| !order.repeat)
        .map(|(order, (location, cancel))| PlacedOrder {
            order_id: order_id(&location).to_owned(),
            customer_id: order.customer_id.clone(),
            requested_mbps: order.requested_mbps,
            cancel,
        })
        .collect();
    Ok(Placement {
        orders,
        repeats,
        elapsed,
    })
}

/// A repetition has the `Location` of its original; any other order has one of its own. Returns the repetitions.
fn compare_repeats(
    orders: &[SampleOrder],
    locations: &[(String, Cancel)],
) -> Result<usize, Failure> {
    let mut known = HashSet::new();
    let mut by_key = HashMap::new();
    for (order, (location, _)) in orders.iter().zip(locations).filter(|(o, _)| !o.repeat) {
        if !known.insert(location) {
            return Err(Failure::new(format!("two orders were given {location}")));
        }
        if let Some(key) = &order.idempotency_key {
            by_key.insert(key, location);
        }
    }
    let mut repeats = 0;
    for (order, (location, _)) in orders.iter().zip(locations).filter(|(o, _)| o.repeat) {
        let original = order.idempotency_key.as_ref().and_then(|k| by_key.get(k));
        if original != Some(&location) {
            return Err(Failure::new(format!(
                "Idempotency-Key {:?} was answered with {original:?} and again with {location}",
                order.idempotency_key
            )));
        }
        repeats += 1;
    }
    Ok(repeats)
}

fn order_id(location: &str) -> &str {
    location
        .rsplit_once('/')
        .map_or(location, |(_, order_id)| order_id)
}

struct Driver<'o> {
    http: reqwest::Client,
    options: &'o DriverOptions,
}

/// What the service says when it refuses, as far as it is of interest.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ProblemBody {
    detail: String,
}

impl Driver<'_> {
    async fn place(&self, index: usize, order: &SampleOrder) -> Result<(String, Cancel), Failure> {
        let what = format!("order number {} of {}", index + 1, order.customer_id);
        let own_key = self.options.retry_for.map(|_| format!("demo-{index}"));
        let key = order.idempotency_key.clone().or(own_key);
        let body = json!({
            "customer_id": order.customer_id,
            "requested_mbps": order.requested_mbps,
        });
        let post = || {
            let request = self
                .http
                .post(format!("{}/orders", self.options.base_url))
                .json(&body);
            match &key {
                Some(key) => request.header("Idempotency-Key", key),
                None => request,
            }
        };
        let (response, _) = self.send(&what, post).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refused(&what, response).await);
        }
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok())
            .context(format!("{what}: the answer has no Location"))?
            .to_owned();
        let cancel = if order.cancel {
            self.cancel(&location).await?
        } else {
            Cancel::NotAsked
        };
        Ok((location, cancel))
    }

    async fn cancel(&self, location: &str) -> Result<Cancel, Failure> {
        let what = format!("cancelling {location}");
        let url = format!(
            "{}/orders/{}/cancel",
            self.options.base_url,
            order_id(location)
        );
        let (response, sent_again) = self.send(&what, || self.http.post(&url)).await?;
        match response.status() {
            StatusCode::OK => Ok(Cancel::Accepted),
            StatusCode::CONFLICT => {
                let body = response.bytes().await.context(&what)?;
                let problem: ProblemBody = serde_json::from_slice(&body).unwrap_or_default();
                // Nobody else cancels: the request whose answer was lost was accepted.
                if sent_again && problem.detail.contains("CANCELLED") {
                    Ok(Cancel::Accepted)
                } else {
                    Ok(Cancel::Refused)
                }
            }
            _ => Err(refused(&what, response).await),
        }
    }

    /// Sends a request, again when that is wished. Returns the answer and whether the request was sent more than once.
    async fn send(
        &self,
        what: &str,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<(Response, bool), Failure> {
        let started = Instant::now();
        let mut sent_again = false;
        loop {
            let sent = request().send().await;
            let again = self
                .options
                .retry_for
                .is_some_and(|retry_for| started.elapsed() < retry_for);
            match sent {
                Ok(response) if !(again && response.status().is_server_error()) => {
                    return Ok((response, sent_again));
                }
                Err(error) if !again => return Err(error).context(what),
                Ok(_) | Err(_) => {}
            }
            sent_again = true;
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
    }
}

async fn refused(what: &str, response: Response) -> Failure {
    let status = response.status();
    let body = response.text().await.unwrap_or_default();
    Failure::new(format!("{what}: {status}: {body}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(key: Option<&str>, repeat: bool) -> SampleOrder {
        SampleOrder {
            customer_id: "c-1".into(),
            requested_mbps: 100,
            idempotency_key: key.map(str::to_owned),
            cancel: false,
            repeat,
        }
    }

    fn at(location: &str) -> (String, Cancel) {
        (location.to_owned(), Cancel::NotAsked)
    }

    #[test]
    fn a_repetition_must_lead_to_its_original() {
        let orders = [
            order(Some("k"), false),
            order(None, false),
            order(Some("k"), true),
        ];
        let good = [at("/orders/1"), at("/orders/2"), at("/orders/1")];
        assert_eq!(compare_repeats(&orders, &good), Ok(1));
        let second_order = [at("/orders/1"), at("/orders/2"), at("/orders/3")];
        assert!(compare_repeats(&orders, &second_order).is_err());
        let shared = [at("/orders/1"), at("/orders/1"), at("/orders/1")];
        assert!(compare_repeats(&orders, &shared).is_err());
    }
}
