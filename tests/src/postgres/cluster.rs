//! A server with its data.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tokio_postgres::NoTls;

use super::home::Home;
use super::postmaster::{Postmaster, Stop};
use super::programs::{Programs, run};
use super::settings::{ACCESS, ClusterOptions, Collation, Settings};
use crate::failure::{Context, Failure};
use crate::service::{free_address_on, log_tail};

/// Who made the server and may do everything.
pub(super) const ADMIN: &str = "postgres";
/// Whose the databases are: somebody who may do nothing else, as it is with good hosts.
const OWNER: &str = "feedway";
/// How many ports are tried when others are faster.
const PORTS_TRIED: u32 = 5;
/// What the server says when others were faster.
const PORT_TAKEN: &str = "could not bind";
/// Longest name of a database, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A PostgreSQL server of its own, in a folder of its own. When this is dropped, or when this process dies, the server ends
/// and the folder is removed.
///
/// It belongs to no async runtime.
#[derive(Debug)]
pub struct Cluster {
    pub(super) programs: Programs,
    pub(super) settings: Settings,
    pub(super) address: SocketAddr,
    collation: Collation,
    /// None while it is stopped.
    postmaster: Option<Postmaster>,
    pub(super) home: Home,
}

impl Cluster {
    /// Makes a server and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not there, saying how it is installed, or does not start.
    pub async fn start(options: ClusterOptions) -> Result<Self, Failure> {
        let mut cluster = Self::prepare(&options)?;
        let mut initdb = cluster.server_command("initdb")?;
        initdb
            .args(["--username", ADMIN, "--auth", "trust"])
            .args(["--encoding", "UTF8", "--no-locale"])
            // It is made anew when the machine crashed meanwhile.
            .args(["--no-sync", "--no-instructions", "-D"])
            .arg(cluster.home.data())
            // Ended midway it would leave shared memory behind.
            .stdout(cluster.home.holds()?);
        run(initdb, "initdb").await?;
        cluster.launch_somewhere().await?;
        let admin = connect(&cluster.admin_url(ADMIN)).await?;
        let role = format!("CREATE ROLE {OWNER} LOGIN");
        admin.batch_execute(&role).await.context(role)?;
        Ok(cluster)
    }

    /// A cluster without data.
    pub(super) fn prepare(options: &ClusterOptions) -> Result<Self, Failure> {
        let programs = Programs::find()?;
        let home = Home::new(options.folder.as_deref(), programs.account())?;
        let address = free_address_on(own_host())?;
        Ok(Cluster {
            settings: Settings::new(options, address, home.path()),
            programs,
            address,
            collation: options.collation,
            postmaster: None,
            home,
        })
    }

    /// A cluster without data that has this one's settings.
    pub(super) fn sibling(&self, address: SocketAddr) -> Result<Self, Failure> {
        let home = Home::new(self.home.path().parent(), self.programs.account())?;
        Ok(Cluster {
            settings: self.settings.moved(address, home.path()),
            programs: self.programs.clone(),
            address,
            collation: self.collation,
            postmaster: None,
            home,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Postmaster::process_id)
    }

    /// Its folder: `log` is what it says, `data` its data.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// The URL of a database for a service: its user owns the databases and may do nothing else.
    pub fn url(&self, database: &str) -> String {
        url(OWNER, self.address, database)
    }

    /// As [`url`](Self::url), for a user who may do everything.
    pub fn admin_url(&self, database: &str) -> String {
        url(ADMIN, self.address, database)
    }

    /// As [`url`](Self::url), by way of another address: a [`Link`](super::Link).
    pub fn url_through(&self, address: SocketAddr, database: &str) -> String {
        url(OWNER, address, database)
    }

    /// A connection to a database as a user who may do everything; the database `postgres` is always there.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn admin(&self, database: &str) -> Result<tokio_postgres::Client, Failure> {
        connect(&self.admin_url(database)).await
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// When the name is not of lower-case letters, digits and `_`, or exists.
    pub async fn create_database(&self, name: &str) -> Result<(), Failure> {
        let name = identifier(name)?;
        let admin = self.admin(ADMIN).await?;
        let locale = match self.collation {
            Collation::Language if has_icu(&admin).await? => {
                "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
            }
            Collation::Language | Collation::Bytes => "",
        };
        // The way without a checkpoint is the server's own choice since version 15.
        let create = format!("CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0 {locale}");
        admin.batch_execute(&create).await.context(create)
    }

    /// Makes a database that begins as another one, to which nobody may be connected.
    ///
    /// # Errors
    /// When somebody is, or a name is none.
    pub async fn copy_database(&self, template: &str, name: &str) -> Result<(), Failure> {
        let (template, name) = (identifier(template)?, identifier(name)?);
        let admin = self.admin(ADMIN).await?;
        let create = format!("CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}");
        admin.batch_execute(&create).await.context(create)
    }

    /// Asks this user for its password from now on, until the cluster is started again.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn ask_for_passwords_of(&self, user: &str) -> Result<(), Failure> {
        let user = identifier(user)?;
        let line = format!("host all {user} 127.0.0.0/8 scram-sha-256\n");
        self.home.write("pg_hba.conf", &(line + ACCESS))?;
        let admin = self.admin(ADMIN).await?;
        let reload = "SELECT pg_reload_conf()";
        admin.batch_execute(reload).await.context(reload)
    }

    /// Removes a database and ends the connections to it; nothing happens when there is none.
    ///
    /// # Errors
    /// When the server cannot do so.
    pub async fn drop_database(&self, name: &str) -> Result<(), Failure> {
        drop_database(&self.admin_url(ADMIN), name).await
    }

    /// Stops the server as an operator does: sessions are ended, and everything is written. Nothing happens when it does
    /// not run.
    ///
    /// # Errors
    /// When it does not stop in time; then it was killed.
    pub fn stop(&mut self) -> Result<(), Failure> {
        self.end(|postmaster| postmaster.stop(Stop::Fast))
    }

    /// Stops the server without writing anything, so that it recovers at its next start.
    ///
    /// # Errors
    /// When it does not stop in time; then it was killed.
    pub fn stop_immediate(&mut self) -> Result<(), Failure> {
        self.end(|postmaster| postmaster.stop(Stop::Immediate))
    }

    /// Kills the server with all its processes, as if the machine had lost its power. The disk keeps what was written to
    /// it, also what the server had not asked it to keep.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<(), Failure> {
        self.end(Postmaster::kill)
    }

    fn end(&mut self, how: impl Fn(Postmaster) -> Result<(), Failure>) -> Result<(), Failure> {
        self.postmaster.take().map_or(Ok(()), how)
    }

    /// Starts the server again where it was, after stopping it if it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<(), Failure> {
        self.stop()?;
        self.launch().await
    }

    /// Starts the server, at another address if somebody has taken its own.
    pub(super) async fn launch_somewhere(&mut self) -> Result<(), Failure> {
        for _ in 1..PORTS_TRIED {
            match self.launch().await {
                Err(failure) if failure.to_string().contains(PORT_TAKEN) => {
                    // Nobody is to read of it in a later failure.
                    fs::write(self.home.log(), "").context(self.home.log().display())?;
                    self.address = free_address_on(own_host())?;
                    self.settings.listen(self.address);
                }
                started => return started,
            }
        }
        self.launch().await
    }

    /// Starts the server with its settings.
    pub(super) async fn launch(&mut self) -> Result<(), Failure> {
        self.write_settings()?;
        let command = self.server_command("postgres")?;
        let (data, log) = (self.home.data(), self.home.log());
        let postmaster = self
            .postmaster
            .insert(Postmaster::spawn(command, &data, &log)?);
        let ready = postmaster.ready().await;
        ready.map_err(|failure| Failure::new(format!("{failure}; {}", log_tail(&log))))
    }

    pub(super) fn write_settings(&self) -> Result<(), Failure> {
        self.home.write("postgresql.conf", &self.settings.text())?;
        self.home.write("pg_hba.conf", ACCESS)
    }

    pub(super) fn server_command(&self, program: &str) -> Result<std::process::Command, Failure> {
        self.programs
            .server(program, self.home.path(), self.home.group()?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing of it is kept, so it need not be written. Nobody is left to tell of a failure.
        let _ = self.stop_immediate();
    }
}

/// Connects; the connection lives in the caller's runtime.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, Failure> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context(url)?;
    // What goes wrong with it is said by the client, to whoever uses it.
    tokio::spawn(connection);
    Ok(client)
}

/// As [`Cluster::drop_database`], by the URL of an administrator.
pub(super) async fn drop_database(admin_url: &str, name: &str) -> Result<(), Failure> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", identifier(name)?);
    let admin = connect(admin_url).await?;
    admin.batch_execute(&sql).await.context(sql)
}

fn url(user: &str, address: SocketAddr, database: &str) -> String {
    format!("postgres://{user}@{address}/{database}")
}

/// Whether databases can have an order of text by ICU.
async fn has_icu(admin: &tokio_postgres::Client) -> Result<bool, Failure> {
    let sql = "SELECT current_setting('server_version_num')::integer >= 150000 \
               AND EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')";
    let row = admin.query_one(sql, &[]).await.context(sql)?;
    row.try_get(0).context(sql)
}

/// An address of this machine that is ours alone as good as certainly: nobody takes a port of it while the server is down.
pub(super) fn own_host() -> Ipv4Addr {
    if cfg!(target_os = "linux") {
        let octet = || rand::random_range(1..=250);
        Ipv4Addr::new(127, octet(), octet(), octet())
    } else {
        Ipv4Addr::LOCALHOST
    }
}

/// `name` if it needs no quotes.
pub(super) fn identifier(name: &str) -> Result<&str, Failure> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let good = name.bytes().all(is_plain)
        && name.starts_with(|first: char| !first.is_ascii_digit())
        && name.len() <= NAME_BYTES_MAX;
    good.then_some(name)
        .context(format!("{name:?} is no name for a database"))
}
