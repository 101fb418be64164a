//! One cluster for all tests of a process, and a database of it for each.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::OnceCell;

use super::cluster::{Cluster, drop_database};
use super::programs::is_installed;
use super::settings::ClusterOptions;
use crate::failure::{Context, Failure};

/// The cluster that this process shares, started by who asks first. It ends with the process.
///
/// # Errors
/// When it cannot be started.
pub async fn shared() -> Result<&'static Cluster, Failure> {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    // What is to survive a crash of the machine is shown by who has a cluster of its own: the others need not wait for the
    // disk, which takes most of the time of making a database.
    let start = || {
        Cluster::start(ClusterOptions {
            fsync: false,
            ..ClusterOptions::default()
        })
    };
    SHARED.get_or_try_init(start).await
}

/// A fresh, empty database. It is removed when this is dropped.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    admin_url: String,
    /// From where it can be removed.
    maintenance_url: String,
}

impl Database {
    /// A database of the [`shared`] cluster whose name begins with `prefix`.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn new(prefix: &str) -> Result<Self, Failure> {
        Self::on(shared().await?, prefix).await
    }

    /// As [`new`](Self::new), for a test: none if PostgreSQL is not on this machine, which the test then says.
    ///
    /// # Errors
    /// When PostgreSQL is there and gives none.
    ///
    /// # Panics
    /// When nothing may be skipped ([`REQUIRE_TOOLS`](crate::tools::REQUIRE_TOOLS) is set).
    pub async fn for_test(prefix: &str) -> Result<Option<Self>, Failure> {
        if !is_installed() {
            return Ok(None);
        }
        Self::new(prefix).await.map(Some)
    }

    /// A database of any cluster.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn on(cluster: &Cluster, prefix: &str) -> Result<Self, Failure> {
        let database = Self::named(cluster, prefix);
        cluster.create_database(&database.name).await?;
        Ok(database)
    }

    /// A database of any cluster that begins as `template`, to which nobody may be connected.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn copy_of(cluster: &Cluster, template: &str, prefix: &str) -> Result<Self, Failure> {
        let database = Self::named(cluster, prefix);
        cluster.copy_database(template, &database.name).await?;
        Ok(database)
    }

    fn named(cluster: &Cluster, prefix: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}_{}", MADE.fetch_add(1, Ordering::Relaxed));
        Database {
            url: cluster.url(&name),
            admin_url: cluster.admin_url(&name),
            maintenance_url: cluster.admin_url("postgres"),
            name,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL for a service, whose user owns it and may do nothing else.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL for a user who may do everything.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Nobody waits for it: what is left goes with the cluster. A thread of its own, since the runtime of whoever drops
        // this is most likely about to end.
        let (url, name) = (self.maintenance_url.clone(), self.name.clone());
        let _ = std::thread::Builder::new().spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().context("a runtime")?;
            runtime.block_on(drop_database(&url, &name))
        });
    }
}
