//! The services of one run, in a folder of their own, and their databases.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::makes::Makes;
use super::place::Place;
use super::process::Process;
use super::scenario::{Kind, Scenario, Side, Stores, Who};
use super::template::Template;
use crate::failure::{Context, Failure};
use crate::faults::{FaultPlan, FaultProxy};
use crate::http;
use crate::postgres::Database;
use crate::service::free_address_on;

/// Longest time until a service is ready.
const READY_MS_MAX: u64 = 10_000;

/// Where the databases of a run are.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) order: Place,
    pub(super) customer: Place,
    /// Those on PostgreSQL, which go with this.
    databases: Vec<(Side, Database)>,
}

impl Places {
    /// An empty one for order-svc, and one with the sample's geos and customers for customer-svc.
    pub(super) async fn make(
        template: &Template,
        stores: Stores,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let mut places = Places {
            order: Place::File(folder.join("order.db")),
            customer: Place::File(folder.join("customer.db")),
            databases: Vec::new(),
        };
        let server = || template.server.as_ref().context("there is no PostgreSQL");
        if stores.order == Kind::Postgres {
            let database = server()?.empty().await?;
            places.order = Place::Postgres(database.url().to_owned());
            places.databases.push((Side::Order, database));
        }
        match &mut places.customer {
            customer if stores.customer == Kind::Postgres => {
                let database = server()?.with_customers().await?;
                *customer = Place::Postgres(database.url().to_owned());
                places.databases.push((Side::Customer, database));
            }
            Place::File(file) => {
                std::fs::copy(&template.customer_database, file).context("the template")?;
            }
            Place::Postgres(_) => {}
        }
        Ok(places)
    }

    pub(super) fn of(&self, side: Side) -> &Place {
        match side {
            Side::Order => &self.order,
            Side::Customer => &self.customer,
        }
    }

    /// Keeps what is on PostgreSQL in files of `folder`.
    pub(super) async fn dump(&self, template: &Template, folder: &Path) -> Result<(), Failure> {
        for (side, database) in &self.databases {
            if let Some(server) = &template.server {
                let file = folder.join(format!("{side:?}.dump").to_lowercase());
                server.dump(database, &file).await?;
            }
        }
        Ok(())
    }
}

/// The processes and proxies of a run.
pub(super) struct Cluster {
    pub(super) folder: PathBuf,
    pub(super) processes: BTreeMap<Who, Process>,
    /// Between the orders feed and customer-svc.
    pub(super) orders_way: FaultProxy,
    /// Between the customers feed and order-svc.
    pub(super) customers_way: FaultProxy,
    pub(super) order_url: String,
    pub(super) customer_url: String,
    /// Where the second instances are, which only some runs have.
    pub(super) second_urls: BTreeMap<Who, String>,
    stores: Stores,
    /// What the starts to come are told to do to themselves.
    pub(super) self_harm: Vec<String>,
    /// The same, of those on PostgreSQL.
    pub(super) postgres_harm: Vec<String>,
}

impl Cluster {
    pub(super) async fn start(
        template: &Template,
        scenario: &Scenario,
        folder: &Path,
        places: &Places,
        bug: Option<&str>,
    ) -> Result<Self, Failure> {
        let host = own_host();
        let (order_at, customer_at) = (free_address_on(host)?, free_address_on(host)?);
        let (order_url, customer_url) = (
            format!("http://{order_at}"),
            format!("http://{customer_at}"),
        );
        let orders_way = FaultProxy::start(&order_url, scenario.seed, FaultPlan::healed()).await?;
        let customers_way =
            FaultProxy::start(&customer_url, scenario.seed ^ 1, FaultPlan::healed()).await?;
        let mut cluster = Cluster {
            folder: folder.to_owned(),
            processes: BTreeMap::new(),
            orders_way,
            customers_way,
            order_url,
            customer_url,
            second_urls: BTreeMap::new(),
            stores: scenario.stores,
            self_harm: scenario.self_harm.clone(),
            postgres_harm: scenario.postgres_harm.clone(),
        };
        let mut makes = Makes {
            scenario,
            places,
            folder,
            binaries: &template.binaries,
            bug,
            at: BTreeMap::from([(Who::Order, order_at), (Who::Customer, customer_at)]),
            orders_feed: cluster.orders_way.through("/feeds/orders"),
            customers_feed: cluster.customers_way.through("/feeds/customers"),
        };
        for who in makes.second() {
            let at: SocketAddr = free_address_on(host)?;
            makes.at.insert(who, at);
            cluster.second_urls.insert(who, format!("http://{at}"));
        }
        for who in makes.all() {
            cluster.processes.insert(who, Process::new(makes.spec(who)));
        }
        // Those that make the databases come first, unhurt.
        for who in [Who::Order, Who::Customer] {
            cluster.process(who).start(None)?;
        }
        cluster.ready().await?;
        let others: Vec<Who> = cluster.processes.keys().copied().collect();
        for who in others {
            if !matches!(who, Who::Order | Who::Customer) {
                cluster.start_again(who)?;
            }
        }
        Ok(cluster)
    }

    #[allow(clippy::panic, reason = "the harness knows its own processes")]
    pub(super) fn process(&mut self, who: Who) -> &mut Process {
        match self.processes.get_mut(&who) {
            Some(process) => process,
            None => panic!("there is no {who:?}"),
        }
    }

    /// Starts a process again, with the next harm that is left.
    pub(super) fn start_again(&mut self, who: Who) -> Result<(), Failure> {
        let harms = match self.stores.of(who.side()) {
            Kind::Sqlite => &mut self.self_harm,
            Kind::Postgres => &mut self.postgres_harm,
        };
        let harm = harms.pop();
        self.process(who).start(harm.as_deref())
    }

    /// Waits until both services answer.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let http = http::client(1)?;
        let started = Instant::now();
        for (who, url) in [
            (Who::Order, self.order_url.clone()),
            (Who::Customer, self.customer_url.clone()),
        ] {
            loop {
                // Its database may just be recovering.
                let process = self.process(who);
                if process.has_ended() {
                    process.start(None)?;
                }
                let asked = http.get(format!("{url}/readyz")).send().await;
                if asked.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                if started.elapsed() > Duration::from_millis(READY_MS_MAX) {
                    return Err(Failure::new(format!("{url} is not ready")));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

/// A loopback address of this run alone: the port of a service that was killed may be given away before it is back, and
/// another run's service or proxy would stand in its place.
fn own_host() -> Ipv4Addr {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let octet = |number: u32| u8::try_from(1 + number % 250).unwrap_or(1);
    Ipv4Addr::new(127, octet(std::process::id()), octet(run / 250), octet(run))
}
