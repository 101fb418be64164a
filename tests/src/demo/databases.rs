//! Where the services of a run keep what they know: files in the run's folder, or databases of a PostgreSQL server that
//! runs as long as the demo does.

use std::path::Path;

use super::Args;
use super::args::Side;
#[cfg(unix)]
use crate::failure::Context;
use crate::failure::Failure;
#[cfg(unix)]
use crate::postgres::{Cluster, ClusterOptions};

/// The name under which what PostgreSQL said is left in the run's folder.
#[cfg(unix)]
const LOG: &str = "postgres.log";

/// The databases of both services.
pub(super) struct Databases {
    /// As order-svc takes it.
    pub(super) order: String,
    /// As customer-svc takes it.
    pub(super) customer: String,
    #[cfg(unix)]
    cluster: Option<Cluster>,
}

impl Databases {
    /// Those that were asked for. What is on PostgreSQL is there and empty then.
    ///
    /// # Errors
    /// When PostgreSQL is wanted and is not there, saying how it is installed, or does not start.
    pub(super) async fn prepare(args: &Args, folder: &Path) -> Result<Self, Failure> {
        let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
        #[cfg_attr(not(unix), allow(unused_mut, reason = "they stay files"))]
        let mut databases = Databases {
            order: file("order.db"),
            customer: file("customer.db"),
            #[cfg(unix)]
            cluster: None,
        };
        if !args.on_postgres(Side::Order) && !args.on_postgres(Side::Customer) {
            return Ok(databases);
        }
        databases.serve(args).await?;
        Ok(databases)
    }

    #[cfg(not(unix))]
    async fn serve(&mut self, _: &Args) -> Result<(), Failure> {
        Err(Failure::new(
            "a server of PostgreSQL is only started on Unix",
        ))
    }

    #[cfg(unix)]
    async fn serve(&mut self, args: &Args) -> Result<(), Failure> {
        let cluster = Cluster::start(ClusterOptions::default()).await?;
        for (side, name, url) in [
            (Side::Order, "orders", &mut self.order),
            (Side::Customer, "customers", &mut self.customer),
        ] {
            if args.on_postgres(side) {
                cluster.create_database(name).await?;
                *url = cluster.url(name);
            }
        }
        self.cluster = Some(cluster);
        Ok(())
    }

    /// What the server said, into the run's folder: for whoever looks for the cause of a failure.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub(super) fn keep_log(&self, folder: &Path) -> Result<(), Failure> {
        #[cfg(unix)]
        if let Some(cluster) = &self.cluster {
            let log = cluster.folder().join("log");
            std::fs::copy(&log, folder.join(LOG)).context(log.display())?;
        }
        #[cfg(not(unix))]
        let _ = folder;
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
