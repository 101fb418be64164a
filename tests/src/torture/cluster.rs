//! The services of one run, in a folder of their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use feed_core::faults::variables;

use super::process::{Process, Spec};
use super::scenario::{Scenario, Who};
use crate::binaries::Binaries;
use crate::failure::{Context, Failure};
use crate::faults::{FaultPlan, FaultProxy};
use crate::service::free_address_on;
use crate::{http, sample::Sample};

/// Longest time until a service is ready.
const READY_MS_MAX: u64 = 10_000;
/// Longest wait of the consumers after failures, in milliseconds: they shall be well soon after all else is.
const RETRY_MS_MAX: u64 = 250;

/// What all runs share: binaries, and customer-svc's database with the sample's geos and customers.
#[derive(Debug)]
pub struct Template {
    /// The services.
    pub binaries: Binaries,
    /// The geos and customers that the database holds.
    pub sample: Sample,
    customer_database: PathBuf,
}

impl Template {
    /// Imports a part of the sample into a database in `folder`.
    ///
    /// # Errors
    /// When that fails.
    pub fn make(folder: &Path, binaries: Binaries) -> Result<Self, Failure> {
        let mut sample = Sample::read(&Sample::default_folder())?;
        sample.customers.truncate(120);
        let geos: Vec<&str> = sample
            .customers
            .iter()
            .map(|customer| customer.geo.as_str())
            .collect();
        sample.geos.retain(|geo| geos.contains(&geo.geo.as_str()));
        let known: Vec<&str> = sample
            .customers
            .iter()
            .map(|customer| customer.customer_id.as_str())
            .collect();
        sample
            .orders
            .retain(|order| !order.repeat && known.contains(&order.customer_id.as_str()));
        let (geos_file, customers_file) = (folder.join("geos.csv"), folder.join("customers.csv"));
        let geo = |slug: &str| sample.geos.iter().any(|geo| geo.geo == slug);
        copy_lines(
            &Sample::geos_file(&Sample::default_folder()),
            &geos_file,
            |fields| geo(fields[0]),
        )?;
        copy_lines(
            &Sample::customers_file(&Sample::default_folder()),
            &customers_file,
            |fields| known.contains(&fields[0]),
        )?;
        let customer_database = folder.join("template.db");
        let status = std::process::Command::new(&binaries.customer_svc)
            .arg("import")
            .arg("--database")
            .arg(&customer_database)
            .arg("--geos")
            .arg(geos_file)
            .arg("--customers")
            .arg(customers_file)
            .stderr(std::process::Stdio::null())
            .status()
            .context("customer-svc import")?;
        if !status.success() {
            return Err(Failure::new(format!(
                "customer-svc import ended with {status}"
            )));
        }
        Ok(Template {
            binaries,
            sample,
            customer_database,
        })
    }
}

/// Copies the head line and those whose fields are wanted. The sample has no quoted fields.
fn copy_lines(from: &Path, to: &Path, wanted: impl Fn(&[&str]) -> bool) -> Result<(), Failure> {
    let text = std::fs::read_to_string(from).context(from.display())?;
    let kept = text.lines().enumerate().filter(|(number, line)| {
        let fields: Vec<&str> = line.split(',').collect();
        *number == 0 || wanted(&fields)
    });
    let lines: Vec<&str> = kept.map(|(_, line)| line).collect();
    std::fs::write(to, lines.join("\n") + "\n").context(to.display())
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
    /// What the starts to come are told to do to themselves.
    pub(super) self_harm: Vec<String>,
}

impl Cluster {
    pub(super) async fn start(
        template: &Template,
        scenario: &Scenario,
        folder: &Path,
        bug: Option<&str>,
    ) -> Result<Self, Failure> {
        std::fs::copy(&template.customer_database, folder.join("customer.db"))
            .context("the template")?;
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
            self_harm: scenario.self_harm.clone(),
        };
        let makes = Makes {
            template,
            scenario,
            bug,
            order_at,
            customer_at,
        };
        for who in makes.all() {
            let spec = cluster.spec(&makes, who);
            cluster.processes.insert(who, Process::new(spec));
        }
        // Those that make the databases come first, unhurt.
        for who in [Who::Order, Who::Customer] {
            cluster.process(who).start(None)?;
        }
        cluster.ready().await?;
        for poller in 0..scenario.pollers {
            let harm = cluster.self_harm.pop();
            cluster
                .process(Who::Poller(poller))
                .start(harm.as_deref())?;
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
        let harm = self.self_harm.pop();
        self.process(who).start(harm.as_deref())
    }

    /// Waits until both services answer.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let http = http::client(1)?;
        let started = Instant::now();
        for url in [self.order_url.clone(), self.customer_url.clone()] {
            loop {
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

    /// The database that a process works on.
    pub(super) fn database(&self, who: Who) -> PathBuf {
        self.folder.join(match who {
            Who::Order => "order.db",
            Who::Customer | Who::Poller(_) => "customer.db",
        })
    }

    fn spec(&self, makes: &Makes<'_>, who: Who) -> Spec {
        let (name, binary) = match who {
            Who::Order => ("order-svc".to_owned(), &makes.template.binaries.order_svc),
            Who::Customer => (
                "customer-svc".to_owned(),
                &makes.template.binaries.customer_svc,
            ),
            Who::Poller(number) => (
                format!("poller-{number}"),
                &makes.template.binaries.customer_svc,
            ),
        };
        Spec {
            log: self.folder.join(format!("{name}.log")),
            name,
            binary: binary.clone(),
            args: self.args(makes, who),
            env: makes.env(&self.folder),
        }
    }

    fn args(&self, makes: &Makes<'_>, who: Who) -> Vec<OsString> {
        let flag =
            |name: &str, value: &dyn std::fmt::Display| OsString::from(format!("--{name}={value}"));
        let database = self.database(who);
        let mut args: Vec<OsString> = vec![
            if let Who::Poller(_) = who {
                "poll"
            } else {
                "serve"
            }
            .into(),
        ];
        args.push(flag("database", &database.display()));
        match who {
            Who::Order => {
                args.push(flag("listen", &makes.order_at));
                args.push(flag(
                    "customers-feed",
                    &self.customers_way.through("/feeds/customers"),
                ));
            }
            Who::Customer => {
                args.push(flag("listen", &makes.customer_at));
                args.push("--no-poll".into());
            }
            Who::Poller(_) => args.push(flag(
                "orders-feed",
                &self.orders_way.through("/feeds/orders"),
            )),
        }
        args.push(flag("poll-interval-ms", &10));
        args.push(flag("lease-ms", &makes.scenario.lease.as_millis()));
        args.push(flag("retry-ms-max", &RETRY_MS_MAX));
        args
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

/// What processes are made from.
struct Makes<'a> {
    template: &'a Template,
    scenario: &'a Scenario,
    bug: Option<&'a str>,
    order_at: SocketAddr,
    customer_at: SocketAddr,
}

impl Makes<'_> {
    fn all(&self) -> Vec<Who> {
        let pollers = (0..self.scenario.pollers).map(Who::Poller);
        [Who::Order, Who::Customer]
            .into_iter()
            .chain(pollers)
            .collect()
    }

    fn env(&self, folder: &Path) -> Vec<(String, OsString)> {
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
