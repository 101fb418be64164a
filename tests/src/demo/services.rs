//! The two services of the demo: where they listen, how they are started, how they end.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use crate::binaries::Binaries;
use crate::failure::{Context, Failure};
use crate::sample::Sample;
use crate::service::{Service, ServiceSpec, free_address};

use super::Args;
use super::databases::Databases;

/// How often the services poll each other's feeds when there is nothing new.
const POLL_INTERVAL_MS: u64 = 10;

/// Where the services listen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) order: SocketAddr,
    pub(super) customer: SocketAddr,
}

impl Addresses {
    /// Those that were asked for, if nobody listens there.
    pub(super) fn choose(args: &Args) -> Result<Self, Failure> {
        let order = address("--order-port", args.order_port)?;
        let customer = address("--customer-port", args.customer_port)?;
        if order == customer {
            return Err(Failure::new(
                "--order-port and --customer-port are the same: choose two",
            ));
        }
        Ok(Addresses { order, customer })
    }
}

/// Where the services find each other's feeds.
pub(super) struct FeedUrls {
    pub(super) orders: String,
    pub(super) customers: String,
}

impl FeedUrls {
    /// At the services themselves.
    pub(super) fn direct(addresses: Addresses) -> Self {
        FeedUrls {
            orders: format!("http://{}/feeds/orders", addresses.order),
            customers: format!("http://{}/feeds/customers", addresses.customer),
        }
    }
}

fn address(flag: &str, port: u16) -> Result<SocketAddr, Failure> {
    if port == 0 {
        return free_address();
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Ok(_) => Ok(address),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(Failure::new(format!(
            "{address} is in use by another program, perhaps by services that an earlier run left running with \
             --keep: stop it, or choose another port with {flag} PORT"
        ))),
        Err(error) => Err(error).context(format!("listening on {address}, as {flag} says")),
    }
}

/// How both services are started.
pub(super) struct Plan {
    order: ServiceSpec,
    customer: ServiceSpec,
    customer_database: String,
}

impl Plan {
    pub(super) fn new(
        args: &Args,
        addresses: Addresses,
        feeds: FeedUrls,
        folder: &Path,
        databases: &Databases,
        binaries: &Binaries,
    ) -> Self {
        let spec =
            |name, binary: &Path, address: SocketAddr, database: &str, feed_flag: &str, feed| {
                let listen = address.to_string();
                let interval = POLL_INTERVAL_MS.to_string();
                let args: Vec<OsString> = vec![
                    "serve".into(),
                    "--listen".into(),
                    listen.into(),
                    "--database".into(),
                    database.into(),
                    feed_flag.into(),
                    OsString::from(feed),
                    "--poll-interval-ms".into(),
                    interval.into(),
                ];
                ServiceSpec {
                    name,
                    binary: binary.to_owned(),
                    args,
                    env: vec![],
                    folder: folder.to_owned(),
                    address,
                    detached: false,
                }
            };
        let mut order = spec(
            "order-svc",
            &binaries.order_svc,
            addresses.order,
            &databases.order,
            "--customers-feed",
            feeds.customers,
        );
        let mut customer = spec(
            "customer-svc",
            &binaries.customer_svc,
            addresses.customer,
            &databases.customer,
            "--orders-feed",
            feeds.orders,
        );
        order.detached = args.keep;
        customer.detached = args.keep;
        Plan {
            order,
            customer,
            customer_database: databases.customer.clone(),
        }
    }

    /// States the sample's geos and customers, with the importer's own progress.
    pub(super) async fn import(&self, sample_folder: &Path) -> Result<(), Failure> {
        let mut command = self.customer.command()?;
        command
            .arg("import")
            .arg("--geos")
            .arg(Sample::geos_file(sample_folder))
            .arg("--customers")
            .arg(Sample::customers_file(sample_folder))
            .arg("--database")
            .arg(&self.customer_database)
            .stderr(Stdio::inherit());
        let status = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .status()
            .await
            .context("starting customer-svc import")?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!(
                "customer-svc import ended with {status}; what it said stands above"
            )))
        }
    }

    pub(super) async fn start(self) -> Result<Services, Failure> {
        let (order, customer) =
            tokio::try_join!(Service::start(self.order), Service::start(self.customer))?;
        Ok(Services { order, customer })
    }
}

/// Both services, running.
pub(super) struct Services {
    pub(super) order: Service,
    pub(super) customer: Service,
}

impl Services {
    /// Asks both to stop. They have to do so cleanly.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        let (order, customer) = tokio::join!(self.order.terminate(), self.customer.terminate());
        for (name, status) in [("order-svc", order?), ("customer-svc", customer?)] {
            if !status.success() {
                return Err(Failure::new(format!(
                    "{name} was asked to stop and ended with {status}"
                )));
            }
        }
        Ok(())
    }

    /// Lets both run on. Says how to stop them.
    pub(super) fn leave(self) -> String {
        let ids: Vec<String> = [&self.order, &self.customer]
            .into_iter()
            .filter_map(Service::process_id)
            .map(|id| id.to_string())
            .collect();
        self.order.leave();
        self.customer.leave();
        let stop = if cfg!(windows) {
            format!("taskkill /F /PID {}", ids.join(" /PID "))
        } else {
            format!("kill {}", ids.join(" "))
        };
        format!("The services go on running; to stop them: {stop}")
    }
}
