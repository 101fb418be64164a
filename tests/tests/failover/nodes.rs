//! The servers: one that takes writes, and those that follow it.

use feedway_tests::postgres::{Cluster, ClusterOptions, StandbyOptions, is_installed};

/// Name of the service's database.
pub(crate) const DATABASE: &str = "lamps";
/// Name of the standby that commits wait for.
const SYNCHRONOUS: &str = "second";

pub(crate) struct Nodes {
    pub(crate) primary: Cluster,
    pub(crate) standbys: Vec<Cluster>,
}

impl Nodes {
    /// One server with an empty database. None where PostgreSQL is missing.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(ClusterOptions::default()).await
    }

    pub(crate) async fn start_with(options: ClusterOptions) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let primary = Cluster::start(options).await.unwrap();
        primary.create_database(DATABASE).await.unwrap();
        Some(Nodes {
            primary,
            standbys: Vec::new(),
        })
    }

    /// A further one that follows it.
    pub(crate) async fn add_standby(&mut self, options: StandbyOptions) {
        let standby = Cluster::standby(&self.primary, &options).await.unwrap();
        self.standbys.push(standby);
    }

    /// A further one that commits wait for.
    pub(crate) async fn add_synchronous(&mut self) {
        self.add_standby(StandbyOptions::new(SYNCHRONOUS)).await;
        let waits = self.primary.set_synchronous_standbys(Some(SYNCHRONOUS));
        waits.await.unwrap();
    }

    /// With one that commits wait for, and one that they do not wait for.
    pub(crate) async fn three() -> Option<Self> {
        let mut nodes = Self::start().await?;
        nodes.add_synchronous().await;
        nodes.add_standby(StandbyOptions::new("third")).await;
        Some(nodes)
    }

    /// A URL with all of them that leads to the one that takes writes.
    pub(crate) fn writing_url(&self) -> String {
        let hosts = [&self.primary].into_iter().chain(&self.standbys);
        let hosts: Vec<String> = hosts.map(|node| node.address().to_string()).collect();
        format!(
            "postgres://feedway@{}/{DATABASE}?target_session_attrs=read-write",
            hosts.join(",")
        )
    }

    /// A URL of one standby.
    pub(crate) fn standby_url(&self, index: usize) -> String {
        self.standbys[index].url(DATABASE)
    }

    /// Waits until a standby shows all that the primary has.
    pub(crate) async fn shown_by(&self, index: usize) {
        let lsn = self.primary.lsn().await.unwrap();
        self.standbys[index].wait_replayed(lsn).await.unwrap();
    }
}
