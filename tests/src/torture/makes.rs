//! What the processes of a run are made from: how each is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use feed_core::faults::variables;

use super::cluster::Places;
use super::process::Spec;
use super::scenario::{Kind, Scenario, Side, Who};
use crate::binaries::Binaries;

/// Longest wait of the consumers after failures, in milliseconds: they shall be well soon after all else is.
const RETRY_MS_MAX: u64 = 250;

/// What processes are made from.
pub(super) struct Makes<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) places: &'a Places,
    pub(super) folder: &'a Path,
    pub(super) binaries: &'a Binaries,
    pub(super) bug: Option<&'a str>,
    /// Where those listen that do.
    pub(super) at: BTreeMap<Who, SocketAddr>,
    /// By way of the proxies.
    pub(super) orders_feed: String,
    pub(super) customers_feed: String,
}

impl Makes<'_> {
    /// All processes of the run.
    pub(super) fn all(&self) -> Vec<Who> {
        let pollers = (0..self.scenario.pollers).map(Who::Poller);
        let mut all = vec![Who::Order, Who::Customer];
        all.extend(pollers);
        all.extend(self.second());
        all
    }

    /// The second instances: where several processes may write at the same time.
    pub(super) fn second(&self) -> Vec<Who> {
        [Who::SecondOrder, Who::SecondCustomer]
            .into_iter()
            .filter(|who| {
                self.scenario.second && self.scenario.stores.of(who.side()) == Kind::Postgres
            })
            .collect()
    }

    /// How a process is started.
    pub(super) fn spec(&self, who: Who) -> Spec {
        let (name, binary) = match who {
            Who::Order => ("order-svc".to_owned(), &self.binaries.order_svc),
            Who::SecondOrder => ("order-svc-2".to_owned(), &self.binaries.order_svc),
            Who::Customer => ("customer-svc".to_owned(), &self.binaries.customer_svc),
            Who::SecondCustomer => ("customer-svc-2".to_owned(), &self.binaries.customer_svc),
            Who::Poller(number) => (format!("poller-{number}"), &self.binaries.customer_svc),
        };
        Spec {
            log: self.folder.join(format!("{name}.log")),
            name,
            binary: binary.clone(),
            args: self.args(who),
            env: self.env(),
        }
    }

    fn args(&self, who: Who) -> Vec<OsString> {
        let flag =
            |name: &str, value: &dyn std::fmt::Display| OsString::from(format!("--{name}={value}"));
        let mut args: Vec<OsString> = vec![
            if let Who::Poller(_) = who {
                "poll"
            } else {
                "serve"
            }
            .into(),
        ];
        args.push(flag("database", &self.places.of(who.side()).address()));
        if let Some(at) = self.at.get(&who) {
            args.push(flag("listen", at));
        }
        match who.side() {
            Side::Order => args.push(flag("customers-feed", &self.customers_feed)),
            Side::Customer => args.push(flag("orders-feed", &self.orders_feed)),
        }
        if matches!(who, Who::Customer | Who::SecondCustomer) {
            args.push("--no-poll".into());
        }
        args.push(flag("poll-interval-ms", &10));
        args.push(flag("lease-ms", &self.scenario.lease.as_millis()));
        args.push(flag("retry-ms-max", &RETRY_MS_MAX));
        args
    }

    fn env(&self) -> Vec<(String, OsString)> {
        let folder = self.folder;
        let scenario = self.scenario;
        let mut env: Vec<(String, OsString)> = vec![
            (variables::LEDGER.into(), "1".into()),
            (variables::CLOCK.into(), folder.join("clock").into()),
            (
                variables::FLAKY.into(),
                format!("{}:{}", scenario.flaky_permille, scenario.seed).into(),
            ),
        ];
        let mut poison = OsString::from(format!("{}:{}:", scenario.poison_permille, scenario.seed));
        poison.push(folder.join("mended"));
        env.push((variables::POISON.into(), poison));
        if let Some(bug) = self.bug {
            env.push((variables::BUG.into(), bug.into()));
        }
        env
    }
}
