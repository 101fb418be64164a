//! Where the services of a run keep what they know: files in the run's folder, or databases of a PostgreSQL server that
//! runs as long as the demo does.

use std::path::Path;

use super::Args;
use super::args::Side;
use crate::failure::{Context, Failure};
use crate::postgres::{Cluster, ClusterOptions};

/// The name under which what PostgreSQL said is left in the run's folder.
const LOG: &str = "postgres.log";

/// The databases of both services.
pub(super) struct Databases {
    /// As order-svc takes it.
    pub(super) order: String,
    /// As customer-svc takes it.
    pub(super) customer: String,
    cluster: Option<Cluster>,
}

impl Databases {
    /// Those that were asked for. What is on PostgreSQL is there and empty then.
    ///
    /// # Errors
    /// When PostgreSQL is wanted and is not there, saying how it is installed, or does not start.
    pub(super) async fn prepare(args: &Args, folder: &Path) -> Result<Self, Failure> {
        let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let mut databases = Databases {
            order: file("order.db"),
            customer: file("customer.db"),
            cluster: None,
        };
        if !args.on_postgres(Side::Order) && !args.on_postgres(Side::Customer) {
            return Ok(databases);
        }
        let cluster = Cluster::start(ClusterOptions::default()).await?;
        for (side, name, url) in [
            (Side::Order, "orders", &mut databases.order),
            (Side::Customer, "customers", &mut databases.customer),
        ] {
            if args.on_postgres(side) {
                cluster.create_database(name).await?;
                *url = cluster.url(name);
            }
        }
        databases.cluster = Some(cluster);
        Ok(databases)
    }

    /// What the server said, into the run's folder: for whoever looks for the cause of a failure.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub(super) fn keep_log(&self, folder: &Path) -> Result<(), Failure> {
        let Some(cluster) = &self.cluster else {
            return Ok(());
        };
        let log = cluster.folder().join("log");
        std::fs::copy(&log, folder.join(LOG)).context(log.display())?;
        Ok(())
    }
}

/// The store that an address means.
pub(super) fn store_of(database: &str) -> &'static str {
    if database.starts_with("postgres://") {
        "PostgreSQL"
    } else {
        "SQLite"
    }
}
