//! Fault proxies between the two services: what each reads of the other goes through one.

use std::fmt;

use super::services::{Addresses, FeedUrls};
use crate::failure::Failure;
use crate::faults::{FaultPlan, FaultProxy};

/// Both proxies.
pub(super) struct Chaos {
    seed: u64,
    /// Before order-svc, for customer-svc.
    orders: FaultProxy,
    /// Before customer-svc, for order-svc.
    customers: FaultProxy,
}

impl Chaos {
    pub(super) async fn start(addresses: Addresses, seed: u64) -> Result<Self, Failure> {
        let plan = FaultPlan::default();
        let proxy = |address, seed| async move {
            FaultProxy::start(&format!("http://{address}"), seed, plan).await
        };
        Ok(Chaos {
            seed,
            orders: proxy(addresses.order, seed).await?,
            customers: proxy(addresses.customer, seed.wrapping_add(1)).await?,
        })
    }

    /// Where the services find each other's feeds.
    pub(super) fn feeds(&self) -> FeedUrls {
        FeedUrls {
            orders: self.orders.through("/feeds/orders"),
            customers: self.customers.through("/feeds/customers"),
        }
    }
}

/// What was done, for the report.
impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Done between the services (--chaos --seed {})\n  orders feed:    {}\n  customers feed: {}\n",
            self.seed,
            self.orders.counts(),
            self.customers.counts()
        )
    }
}
