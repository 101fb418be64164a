//! Both services on the sample's customers, in a folder of their own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use feedway_tests::binaries::{self, Binaries, Profile};
use feedway_tests::check::{self, Verdict};
use feedway_tests::driver::{self, DriverOptions, PlacedOrder};
use feedway_tests::sample::{Sample, SampleOrder};
use feedway_tests::service::{Service, ServiceSpec, free_address};
use feedway_tests::settling::Feeds;
use indicatif::ProgressBar;
use tempfile::TempDir;

use crate::databases::Databases;
pub(crate) use crate::databases::Stores;

/// How long nothing may happen before the orders count as stuck.
const STILL_MAX: Duration = Duration::from_secs(60);
/// How long a request is sent again while its service is down.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// The binaries, built once for all tests here.
pub(crate) fn built() -> &'static Binaries {
    static BUILT: OnceLock<Binaries> = OnceLock::new();
    BUILT.get_or_init(|| binaries::build(Profile::own()).expect("the services build"))
}

pub(crate) struct Running {
    pub(crate) order: Service,
    pub(crate) customer: Service,
    pub(crate) orders: Orders,
    pub(crate) sample: Sample,
    pub(crate) databases: Databases,
    folder: TempDir,
}

/// The sample's orders, to be placed piece by piece.
pub(crate) struct Orders {
    base_url: String,
    waiting: VecDeque<SampleOrder>,
}

/// How the services are started, where it is not the usual way.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) order_expiry_s: Option<u32>,
    pub(crate) tokens: bool,
    /// The store of each service. None: the usual one of these tests.
    pub(crate) stores: Option<Stores>,
    /// Where the services listen, order-svc first. None: anywhere.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
    /// Where each finds the other's feed, order-svc's first. None: at the other's address.
    pub(crate) feeds: Option<(String, String)>,
}

impl Running {
    pub(crate) async fn start(setup: Setup) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let stores = setup.stores.unwrap_or(crate::USUAL);
        let databases = Databases::make(stores, folder.path()).await;
        let sample = Sample::read(&Sample::default_folder()).unwrap();
        let anywhere = || (free_address().unwrap(), free_address().unwrap());
        let (order_at, customer_at) = setup.addresses.unwrap_or_else(anywhere);
        let (orders_feed, customers_feed) = setup.feeds.unwrap_or_else(|| {
            (
                format!("http://{order_at}/feeds/orders"),
                format!("http://{customer_at}/feeds/customers"),
            )
        });
        let mut order_args = vec![
            "serve".to_owned(),
            format!("--listen={order_at}"),
            format!("--database={}", databases.order),
            format!("--customers-feed={customers_feed}"),
            "--poll-interval-ms=10".to_owned(),
        ];
        order_args.extend(
            setup
                .order_expiry_s
                .map(|seconds| format!("--order-expiry-s={seconds}")),
        );
        let mut customer_args = vec![
            "serve".to_owned(),
            format!("--listen={customer_at}"),
            format!("--database={}", databases.customer),
            format!("--orders-feed={orders_feed}"),
            "--poll-interval-ms=10".to_owned(),
        ];
        if setup.tokens {
            std::fs::write(
                folder.path().join("tokens"),
                "read read-token-0123456\nwrite write-token-012345\n",
            )
            .unwrap();
            std::fs::write(folder.path().join("token"), "read-token-0123456\n").unwrap();
            for (args, flag) in [
                (&mut order_args, "--customers-token-file"),
                (&mut customer_args, "--orders-token-file"),
            ] {
                args.push(format!(
                    "--tokens={}",
                    folder.path().join("tokens").display()
                ));
                args.push(format!("{flag}={}", folder.path().join("token").display()));
            }
        }
        let spec = |name, binary: &PathBuf, address, args: Vec<String>| ServiceSpec {
            name,
            binary: binary.clone(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            folder: folder.path().to_owned(),
            address,
            detached: false,
        };
        let customer = spec(
            "customer-svc",
            &built().customer_svc,
            customer_at,
            customer_args,
        );
        import(&customer, &databases.customer);
        let mut waiting: VecDeque<_> = sample
            .orders
            .iter()
            .filter(|order| !order.repeat)
            .cloned()
            .collect();
        for (index, order) in waiting.iter_mut().enumerate() {
            order.idempotency_key = Some(format!("end-to-end-{index}"));
        }
        Running {
            orders: Orders {
                base_url: format!("http://{order_at}"),
                waiting,
            },
            order: Service::start(spec("order-svc", &built().order_svc, order_at, order_args))
                .await
                .unwrap(),
            customer: Service::start(customer).await.unwrap(),
            sample,
            databases,
            folder,
        }
    }

    /// Waits until every order is settled on both sides, and compares all that is said with the calculation.
    pub(crate) async fn settle_and_check(&self, placed: &[PlacedOrder]) -> Verdict {
        let (order_url, customer_url) = (self.order.base_url(), self.customer.base_url());
        let mut feeds = Feeds::new(&order_url, &customer_url).unwrap();
        feeds
            .wait_until_settled(placed.len(), STILL_MAX, &ProgressBar::hidden())
            .await
            .unwrap();
        check::check(&self.sample, placed, &order_url, &customer_url)
            .await
            .unwrap()
    }

    /// The folder of the run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Orders {
    /// Places the next `count` orders, over connections that may break.
    pub(crate) async fn place_next(
        &mut self,
        count: usize,
        connections: usize,
    ) -> Vec<PlacedOrder> {
        assert!(
            self.waiting.len() >= count,
            "the sample has too few orders for this test"
        );
        let orders: Vec<_> = self.waiting.drain(..count).collect();
        let options = DriverOptions {
            base_url: self.base_url.clone(),
            connections,
            retry_for: Some(RETRY_FOR),
        };
        driver::place(&orders, &options, &ProgressBar::hidden())
            .await
            .unwrap()
            .orders
    }
}

fn import(customer: &ServiceSpec, database: &str) {
    let sample = Sample::default_folder();
    let imported = customer
        .command()
        .unwrap()
        .arg("import")
        .args(["--database", database])
        .arg("--geos")
        .arg(Sample::geos_file(&sample))
        .arg("--customers")
        .arg(Sample::customers_file(&sample))
        .status()
        .unwrap();
    assert!(
        imported.success(),
        "the import failed; see {}",
        customer.log().display()
    );
}
