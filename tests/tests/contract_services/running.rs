//! Services in this process, each on a database that can be opened again.

use std::future::Future;
use std::time::Duration;

use customer_svc::Application as CustomerSvc;
use feed_core::client::AllowedAddresses;
use order_svc::Application as OrderSvc;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long is waited for something that has to happen.
const WAIT: Duration = Duration::from_secs(30);
/// A lease that outlives a test.
const LEASE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Nobody listens there: a consumer of it waits.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9/feeds/nowhere";

/// A running service.
pub(crate) struct Running {
    pub(crate) url: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn new<E: std::fmt::Debug>(
        port: u16,
        stop: CancellationToken,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Running {
        let task = tokio::spawn(async move { run.await.unwrap() });
        Running {
            url: format!("http://127.0.0.1:{port}"),
            stop,
            task,
        }
    }

    /// Stops it, so that its database can be opened again.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn database(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_string_lossy().into_owned()
}

pub(crate) async fn order_svc(
    folder: &TempDir,
    customers_feed: Option<&str>,
    expiry: Duration,
) -> Running {
    let settings = order_svc::Settings {
        database: database(folder, "order.db"),
        followed: order_svc::FollowedFeed {
            url: customers_feed.unwrap_or(NOWHERE).to_owned(),
            token_file: None,
            addresses: AllowedAddresses::Any,
        },
        http: Some(order_svc::HttpSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            tokens: None,
            cors_origins: Vec::new(),
            order_expiry: expiry,
        }),
        poller: customers_feed.map(|_| order_svc::PollerSettings {
            poll_interval: POLL_INTERVAL,
            lease: LEASE,
            retry_max: WAIT,
            partitions: None,
        }),
    };
    let stop = CancellationToken::new();
    let service = OrderSvc::build(settings).await.unwrap();
    Running::new(service.port(), stop.clone(), service.run(stop))
}

pub(crate) async fn customer_svc(folder: &TempDir, orders_feed: Option<&str>) -> Running {
    let settings = customer_svc::Settings {
        database: database(folder, "customer.db"),
        followed: customer_svc::FollowedFeed {
            url: orders_feed.unwrap_or(NOWHERE).to_owned(),
            token_file: None,
            addresses: AllowedAddresses::Any,
        },
        http: Some(customer_svc::HttpSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            tokens: None,
            cors_origins: Vec::new(),
        }),
        poller: orders_feed.map(|_| customer_svc::PollerSettings {
            poll_interval: POLL_INTERVAL,
            lease: LEASE,
            retry_max: WAIT,
            partitions: None,
        }),
    };
    let stop = CancellationToken::new();
    let service = CustomerSvc::build(settings).await.unwrap();
    Running::new(service.port(), stop.clone(), service.run(stop))
}

/// A client, with the TLS provider that every client asks for.
pub(crate) fn http() -> reqwest::Client {
    feedway_tests::http::client(1).unwrap()
}

pub(crate) async fn get(url: impl reqwest::IntoUrl) -> reqwest::Result<reqwest::Response> {
    http().get(url).send().await
}

pub(crate) async fn send(method: &str, url: &str, body: &Value) -> Value {
    let method = method.parse().unwrap();
    let request = http().request(method, url).json(body);
    request
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// Asks again until `field` is `wanted`.
pub(crate) async fn wait_for(url: &str, field: &str, wanted: &str) -> Value {
    let mut last = Value::Null;
    let waited = tokio::time::timeout(WAIT, async {
        loop {
            last = get(url).await.unwrap().json().await.unwrap();
            if last[field] == wanted {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("{url} is not {wanted}: {last}"));
    last
}
