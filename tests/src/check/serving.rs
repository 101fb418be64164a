//! What the services answer when they are asked: their lists, page by page.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{Context, Failure};
use crate::http;

/// Items asked for at once.
const PAGE_ITEMS: usize = 500;
/// Pages that are read at most, so that a list that leads in a circle ends.
const PAGES_MAX: usize = 10_000;

/// An order in order-svc's list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServedOrder {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: String,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Its customer, as far as order-svc knows it.
    pub customer: Option<KnownCustomer>,
}

/// A customer as order-svc knows it from the customers feed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KnownCustomer {
    /// Where it lives.
    pub geo: String,
    /// Speed of its line.
    pub current_mbps: i64,
}

/// A geo in customer-svc's list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServedBook {
    /// Its slug.
    pub geo: String,
    /// What its lines have.
    pub in_use_mbps: i64,
    /// What is held for orders.
    pub reserved_mbps: i64,
    /// What is left.
    pub free_mbps: i64,
}

impl fmt::Display for ServedBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} Mbps in use, {} reserved, {} free",
            self.in_use_mbps, self.reserved_mbps, self.free_mbps
        )
    }
}

/// A customer in customer-svc's list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServedCustomer {
    /// Its id.
    pub customer_id: String,
    /// Where it lives.
    pub geo: String,
    /// Speed of its line.
    pub current_mbps: i64,
}

/// One page of a list.
trait Page: DeserializeOwned {
    type Item;

    /// The items, and the URL of what follows.
    fn into_parts(self) -> (Vec<Self::Item>, Option<String>);
}

macro_rules! page {
    ($name:ident, $field:ident, $item:ty) => {
        #[derive(Deserialize)]
        struct $name {
            $field: Vec<$item>,
            next: Option<String>,
        }

        impl Page for $name {
            type Item = $item;

            fn into_parts(self) -> (Vec<$item>, Option<String>) {
                (self.$field, self.next)
            }
        }
    };
}

page!(OrderPage, orders, ServedOrder);
page!(GeoPage, geos, ServedBook);
page!(CustomerPage, customers, ServedCustomer);

pub(super) async fn orders(
    http: &reqwest::Client,
    base_url: &str,
) -> Result<Vec<ServedOrder>, Failure> {
    list::<OrderPage>(http, base_url, "orders").await
}

pub(super) async fn books(
    http: &reqwest::Client,
    base_url: &str,
) -> Result<Vec<ServedBook>, Failure> {
    list::<GeoPage>(http, base_url, "geos").await
}

pub(super) async fn customers(
    http: &reqwest::Client,
    base_url: &str,
) -> Result<Vec<ServedCustomer>, Failure> {
    list::<CustomerPage>(http, base_url, "customers").await
}

async fn list<P: Page>(
    http: &reqwest::Client,
    base_url: &str,
    name: &str,
) -> Result<Vec<P::Item>, Failure> {
    let mut url = format!("{base_url}/{name}?limit={PAGE_ITEMS}");
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let page: P = http::get(http, &url).await?;
        let (items, next) = page.into_parts();
        all.extend(items);
        let Some(next) = next else { return Ok(all) };
        url = url::Url::parse(&url)
            .and_then(|at| at.join(&next))
            .context(&next)?
            .into();
    }
    Err(Failure::new(format!(
        "{base_url}/{name} does not end after {PAGES_MAX} pages"
    )))
}
