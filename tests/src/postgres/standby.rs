//! Streaming replication between clusters: standbys, promotion, and what may go wrong.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::types::{PgLsn, ToSql};

use super::cluster::{ADMIN, Cluster, identifier};
use super::programs::run;
use super::settings::WAITING;
use crate::failure::{Context, Failure};
use crate::service::{free_address_on, log_tail};

/// Longest time that a state of the servers is waited for.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// How a standby follows its primary.
#[derive(Debug, Clone)]
pub struct StandbyOptions {
    /// Its name with the primary; that of its replication slot, too.
    pub name: String,
    /// Time after the commit at which it shows what it has received.
    pub apply_delay: Duration,
    /// Where it finds the primary, if not at the primary's own address: a [`Link`](super::Link).
    pub through: Option<SocketAddr>,
}

impl StandbyOptions {
    /// A standby that shows at once what it receives from the primary's own address.
    pub fn new(name: &str) -> Self {
        StandbyOptions {
            name: name.to_owned(),
            apply_delay: Duration::ZERO,
            through: None,
        }
    }
}

impl Cluster {
    /// A standby of `primary` with the same settings, made by a base backup. It has a replication slot there, so that it
    /// finds what it needs however late it comes. It streams when this returns.
    ///
    /// # Errors
    /// When it cannot be made, or does not stream in time.
    pub async fn standby(primary: &Cluster, options: &StandbyOptions) -> Result<Self, Failure> {
        let address = free_address_on(super::cluster::own_host())?;
        let mut standby = primary.sibling(address)?;
        standby.copy_of(primary, options).await?;
        standby.launch_somewhere().await?;
        streaming(primary, &options.name, &standby).await?;
        Ok(standby)
    }

    /// Throws away what this cluster has and makes it a standby of `primary`, at the address that it had: what becomes of a
    /// primary that was dead while another one was promoted.
    ///
    /// # Errors
    /// When that fails; then it is stopped.
    pub async fn rejoin(
        &mut self,
        primary: &Cluster,
        options: &StandbyOptions,
    ) -> Result<(), Failure> {
        self.stop_immediate()?;
        let mut standby = self.sibling(self.address)?;
        standby.copy_of(primary, options).await?;
        *self = standby;
        self.launch().await?;
        streaming(primary, &options.name, self).await
    }

    /// Lets a standby follow another primary, or the same one by another way, and waits until it streams.
    ///
    /// # Errors
    /// When it does not, as when it has seen what that primary has not.
    pub async fn follow(
        &mut self,
        primary: &Cluster,
        options: &StandbyOptions,
    ) -> Result<(), Failure> {
        slot(primary, &options.name).await?;
        self.settings_of_standby(primary, options)?;
        self.reload().await?;
        streaming(primary, &options.name, self).await
    }

    /// Makes a standby a primary of a new timeline, and waits until it takes writes. What it has received is not lost, shown
    /// or not.
    ///
    /// # Errors
    /// When it is no standby, or takes too long.
    pub async fn promote(&mut self) -> Result<(), Failure> {
        let admin = self.admin(ADMIN).await?;
        let promote = admin.execute("SELECT pg_promote(wait => false)", &[]);
        promote.await.context("promoting")?;
        wait_for(&admin, "promotion", "SELECT NOT pg_is_in_recovery()", &[]).await?;
        self.settings.forget_primary();
        self.write_settings()
    }

    /// Lets commits wait until the standby of this name has them on disk; without a name, until they are on the own disk.
    /// It holds for every commit that begins after this returns.
    ///
    /// # Errors
    /// When that standby does not stream.
    pub async fn set_synchronous_standbys(&mut self, name: Option<&str>) -> Result<(), Failure> {
        let names = name.map(identifier).transpose()?.unwrap_or_default();
        self.settings.set(WAITING, names);
        self.write_settings()?;
        self.reload().await?;
        let admin = self.admin(ADMIN).await?;
        // Commits wait when the checkpointer has told them to, which it does before anything that it is asked for later.
        let checkpoint = admin.batch_execute("CHECKPOINT").await;
        checkpoint.context("CHECKPOINT")?;
        let sql = "SELECT $1 = '' OR EXISTS (SELECT FROM pg_stat_replication \
                   WHERE application_name = $1 AND sync_state = 'sync')";
        wait_for(&admin, "a synchronous standby", sql, &[&names]).await
    }

    /// Where the log of a primary ends: everything that was acknowledged lies before.
    ///
    /// # Errors
    /// When it is not a primary, or cannot be asked.
    pub async fn lsn(&self) -> Result<PgLsn, Failure> {
        let sql = "SELECT pg_current_wal_flush_lsn()";
        let row = self.admin(ADMIN).await?.query_one(sql, &[]).await;
        row.context(sql)?.try_get(0).context(sql)
    }

    /// Waits until a standby shows everything up to a place in its primary's log.
    ///
    /// # Errors
    /// When it does not in time, or is no standby.
    pub async fn wait_replayed(&self, lsn: PgLsn) -> Result<(), Failure> {
        let admin = self.admin(ADMIN).await?;
        let sql = "SELECT pg_last_wal_replay_lsn() >= $1";
        wait_for(&admin, "replay", sql, &[&lsn]).await
    }

    /// Lets a standby receive and not show what it receives.
    ///
    /// # Errors
    /// When it is no standby.
    pub async fn pause_replay(&self) -> Result<(), Failure> {
        let admin = self.admin(ADMIN).await?;
        let pause = admin.execute("SELECT pg_wal_replay_pause()", &[]).await;
        pause.context("pausing replay")?;
        let sql = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
        wait_for(&admin, "a pause of replay", sql, &[]).await
    }

    /// Lets it show what it has received since [`pause_replay`](Self::pause_replay).
    ///
    /// # Errors
    /// When it is no standby.
    pub async fn resume_replay(&self) -> Result<(), Failure> {
        let admin = self.admin(ADMIN).await?;
        let resume = admin.execute("SELECT pg_wal_replay_resume()", &[]).await;
        resume.context("resuming replay").map(drop)
    }

    /// Fills the empty folder of a new standby.
    async fn copy_of(
        &mut self,
        primary: &Cluster,
        options: &StandbyOptions,
    ) -> Result<(), Failure> {
        slot(primary, &options.name).await?;
        let mut copy = self.server_command("pg_basebackup")?;
        copy.args([
            "--checkpoint",
            "fast",
            "--wal-method",
            "stream",
            "--no-sync",
        ])
        .args(["--slot", &options.name, "--dbname"])
        .arg(primary.admin_url(""))
        .arg("--pgdata")
        .arg(self.home.data());
        run(copy, "pg_basebackup").await?;
        self.home.write("postgresql.auto.conf", "")?;
        self.home.write("standby.signal", "")?;
        self.settings_of_standby(primary, options)
    }

    fn settings_of_standby(
        &mut self,
        primary: &Cluster,
        options: &StandbyOptions,
    ) -> Result<(), Failure> {
        let name = &options.name;
        let at = options.through.unwrap_or(primary.address);
        let (host, port) = (at.ip(), at.port());
        let conninfo = format!("host={host} port={port} user={ADMIN} application_name={name}");
        let delay = format!("{}ms", options.apply_delay.as_millis());
        self.settings.set("primary_conninfo", &conninfo);
        self.settings.set("primary_slot_name", name);
        self.settings.set("recovery_min_apply_delay", &delay);
        self.write_settings()
    }

    /// Lets the server read its settings again, and waits until it has.
    async fn reload(&self) -> Result<(), Failure> {
        let admin = self.admin(ADMIN).await?;
        let row = admin.query_one(
            "SELECT pg_conf_load_time()::text, pg_reload_conf()::text",
            &[],
        );
        let before: String = row.await.and_then(|row| row.try_get(0)).context("reload")?;
        let started = Instant::now();
        // What a new session knows the other processes have been told.
        while started.elapsed() < WAIT_MAX {
            let admin = self.admin(ADMIN).await?;
            let row = admin.query_one("SELECT pg_conf_load_time()::text", &[]);
            let now: String = row.await.and_then(|row| row.try_get(0)).context("reload")?;
            if now != before {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        let log = log_tail(&self.home.log());
        Err(Failure::new(format!("settings are not taken; {log}")))
    }
}

/// Makes a replication slot, if there is none of this name.
async fn slot(primary: &Cluster, name: &str) -> Result<(), Failure> {
    let name = identifier(name)?;
    let admin = primary.admin(ADMIN).await?;
    let sql = "SELECT pg_create_physical_replication_slot($1, true) \
               WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)";
    admin.execute(sql, &[&name]).await.context(sql).map(drop)
}

/// Waits until `primary` sends to the standby of this name.
async fn streaming(primary: &Cluster, name: &str, standby: &Cluster) -> Result<(), Failure> {
    let admin = primary.admin(ADMIN).await?;
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_replication \
               WHERE application_name = $1 AND state = 'streaming')";
    let streams = wait_for(&admin, "streaming", sql, &[&name]).await;
    let log = standby.home.log();
    streams.map_err(|failure| Failure::new(format!("{failure}; {}", log_tail(&log))))
}

/// Waits until a query says true.
async fn wait_for(
    client: &Client,
    what: &str,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let row = client.query_one(sql, parameters).await.context(what)?;
        let came: Option<bool> = row.try_get(0).context(what)?;
        if came == Some(true) {
            return Ok(());
        }
        if started.elapsed() > WAIT_MAX {
            let waited = WAIT_MAX.as_secs();
            return Err(Failure::new(format!("no {what} within {waited} s")));
        }
        tokio::time::sleep(LOOK).await;
    }
}
