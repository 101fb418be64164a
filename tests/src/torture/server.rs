//! The PostgreSQL server that all runs of a campaign share, with databases for each.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::failure::{Context, Failure};
use crate::postgres::{Cluster, ClusterOptions, Database, connect};

/// Connections that all runs together may have.
const CONNECTIONS_MAX: u32 = 600;
/// How often the server is started until it counts as broken.
const STARTS_MAX: u32 = 5;
/// Time between two tries, in milliseconds.
const START_AGAIN_MS: u64 = 500;
/// The database that customer-svc's are copies of.
const CUSTOMERS: &str = "customers_template";

/// The server.
#[derive(Debug)]
pub struct Server {
    /// Held while it crashes and recovers, and while a database is made.
    cluster: Mutex<Cluster>,
    /// From before it crashes until it is back.
    down: AtomicBool,
    customers_url: String,
}

impl Server {
    /// Starts one whose folder is in `folder`, with an empty database that is to become the template of customer-svc's.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path) -> Result<Self, Failure> {
        let options = ClusterOptions {
            folder: Some(folder.to_owned()),
            connections_max: CONNECTIONS_MAX,
            // The machine does not go down.
            fsync: false,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(
            options
                // A recovery is to be short.
                .set("max_wal_size", "96MB")
                .set("checkpoint_timeout", "30s"),
        )
        .await?;
        cluster.create_database(CUSTOMERS).await?;
        Ok(Server {
            customers_url: cluster.url(CUSTOMERS),
            cluster: Mutex::new(cluster),
            down: AtomicBool::new(false),
        })
    }

    /// The database that customer-svc's are made from.
    pub fn customers_template(&self) -> &str {
        &self.customers_url
    }

    /// Lets copies of the template draw numbers that a crash does not take back: those that its sequences have drawn in
    /// advance are in no copy's log.
    ///
    /// # Errors
    /// When that fails.
    pub async fn seal_template(&self) -> Result<(), Failure> {
        let client = connect(&self.customers_url).await?;
        let sql = "SELECT setval(pg_get_serial_sequence('outbox', 'event_no'), max(event_no)) FROM outbox";
        client.batch_execute(sql).await.context(sql)
    }

    /// An empty database.
    pub(super) async fn empty(&self) -> Result<Database, Failure> {
        let mut cluster = self.cluster.lock().await;
        if let Ok(database) = Database::on(&cluster, "orders").await {
            return Ok(database);
        }
        start_again(&mut cluster).await?;
        Database::on(&cluster, "orders").await
    }

    /// A database with what is in customer-svc's template.
    pub(super) async fn with_customers(&self) -> Result<Database, Failure> {
        let mut cluster = self.cluster.lock().await;
        if let Ok(database) = Database::copy_of(&cluster, CUSTOMERS, "customers").await {
            return Ok(database);
        }
        start_again(&mut cluster).await?;
        Database::copy_of(&cluster, CUSTOMERS, "customers").await
    }

    /// The server crashes and recovers, under all who use it.
    pub(super) async fn crash(&self) -> Result<(), Failure> {
        let mut cluster = self.cluster.lock().await;
        // One that does not stop in time was killed, which is a crash too.
        self.down.store(true, Ordering::Relaxed);
        let _ = tokio::task::block_in_place(|| cluster.stop_immediate());
        start_again(&mut cluster).await?;
        self.down.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it crashes or recovers just now, or has not come back.
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Keeps what is in a database in a file of pg_dump.
    pub(super) async fn dump(&self, database: &Database, file: &Path) -> Result<(), Failure> {
        let cluster = self.cluster.lock().await;
        let dumped = cluster.dump(database.name(), file).await;
        dumped.context(file.display())
    }
}

/// Starts the server, also when it does not come up at the first try: on a machine that is busy, the one before it may
/// still be about to end.
async fn start_again(cluster: &mut Cluster) -> Result<(), Failure> {
    for _ in 1..STARTS_MAX {
        if cluster.restart().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(START_AGAIN_MS)).await;
    }
    cluster.restart().await
}
