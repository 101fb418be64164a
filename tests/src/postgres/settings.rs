//! What a cluster is started with, and the files that say so to the server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Longest path of a socket, in bytes: the least that systems allow.
const SOCKET_BYTES_MAX: usize = 100;
/// What is set while a cluster follows another one.
const FOLLOWING: [&str; 3] = [
    "primary_conninfo",
    "primary_slot_name",
    "recovery_min_apply_delay",
];
/// What is set while a cluster waits for another one that follows it.
pub(super) const WAITING: &str = "synchronous_standby_names";

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Where its folder is made; where temporary files go, if none is given. Memory is no place for what is to show that
    /// nothing acknowledged is lost, nor for what measures it.
    pub folder: Option<PathBuf>,
    /// How many connections it takes.
    pub connections_max: u32,
    /// Whether it waits for the disk when it commits.
    pub fsync: bool,
    /// The order of text in its databases.
    pub collation: Collation,
    /// Further settings, as in `postgresql.conf`; they go before those of the cluster itself.
    pub settings: Vec<(String, String)>,
}

/// The order of text in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collation {
    /// As people expect it (`a`, `B`, `c`), by ICU: what most databases in use have in one form or another. Where the server
    /// has no ICU, or is older than 15, it is by bytes.
    Language,
    /// By bytes (`B`, `a`, `c`), which is faster.
    Bytes,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        ClusterOptions {
            folder: None,
            connections_max: 200,
            fsync: true,
            collation: Collation::Language,
            settings: Vec::new(),
        }
    }
}

impl ClusterOptions {
    /// With a further setting, as in `postgresql.conf`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The lines of `postgresql.conf`, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// For a new cluster whose socket is in `folder`.
    pub(super) fn new(options: &ClusterOptions, address: SocketAddr, folder: &Path) -> Self {
        let mut settings = Settings::default();
        let connections_max = options.connections_max.to_string();
        let fsync = if options.fsync { "on" } else { "off" };
        for (name, value) in [
            ("max_connections", connections_max.as_str()),
            ("shared_buffers", "64MB"),
            ("fsync", fsync),
            ("synchronous_commit", "on"),
            ("wal_level", "replica"),
            ("max_wal_senders", "10"),
            ("max_replication_slots", "10"),
            ("hot_standby", "on"),
            // A standby asks again soon after it lost its primary.
            ("wal_retrieve_retry_interval", "100ms"),
            // In files of the folder, since nothing else goes with it when the server is killed.
            ("dynamic_shared_memory_type", "mmap"),
            ("log_line_prefix", "%m [%p] %q%a %d "),
        ] {
            settings.set(name, value);
        }
        for (name, value) in &options.settings {
            settings.set(name, value);
        }
        settings.moved(address, folder)
    }

    /// The same for a cluster elsewhere, which neither follows nor waits for anybody.
    pub(super) fn moved(&self, address: SocketAddr, folder: &Path) -> Self {
        let mut settings = self.clone();
        let fits = folder.as_os_str().len() + "/.s.PGSQL.65535.lock".len() < SOCKET_BYTES_MAX;
        let sockets = if fits { folder } else { Path::new("") };
        settings.set("unix_socket_directories", &sockets.to_string_lossy());
        settings.listen(address);
        settings.forget_primary();
        settings.0.remove(WAITING);
        settings
    }

    /// Takes back what was set for following.
    pub(super) fn forget_primary(&mut self) {
        for name in FOLLOWING {
            self.0.remove(name);
        }
    }

    /// Sets where the server listens.
    pub(super) fn listen(&mut self, address: SocketAddr) {
        self.set("listen_addresses", &address.ip().to_string());
        self.set("port", &address.port().to_string());
    }

    /// Sets one.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let lines = self.0.iter().map(|(name, value)| {
            let value = value.replace('\'', "''");
            format!("{name} = '{value}'\n")
        });
        lines.collect()
    }
}

/// `pg_hba.conf`: whoever is on this machine may do everything.
pub(super) const ACCESS: &str = "\
local all         all              trust
host  all         all  127.0.0.0/8 trust
local replication all              trust
host  replication all  127.0.0.0/8 trust
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_before_what_is_usual() {
        let options = ClusterOptions::default()
            .set("shared_buffers", "1GB")
            .set("application_name", "it's");
        let address = "127.0.0.1:5555".parse().unwrap();
        let text = Settings::new(&options, address, Path::new("/tmp/it")).text();
        for line in [
            "shared_buffers = '1GB'",
            "application_name = 'it''s'",
            "listen_addresses = '127.0.0.1'",
            "port = '5555'",
            "unix_socket_directories = '/tmp/it'",
            "fsync = 'on'",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("64MB"), "{text}");
    }

    #[test]
    fn a_long_path_means_no_socket() {
        let folder = format!("/{}", "long/".repeat(30));
        let address = "127.0.0.1:5555".parse().unwrap();
        let settings = Settings::new(&ClusterOptions::default(), address, Path::new(&folder));
        assert!(settings.text().contains("unix_socket_directories = ''\n"));
    }
}
