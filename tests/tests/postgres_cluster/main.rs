//! The PostgreSQL servers that other tests count on: they start, keep what they acknowledge, and leave nothing behind.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod backups;
mod life;
mod links;
mod orphans;
mod standbys;

use std::path::Path;
use std::time::{Duration, Instant};

use feedway_tests::postgres::{Cluster, ClusterOptions, is_installed};

/// Longest time that anything here is waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A cluster of the test's own; none if there is no PostgreSQL.
async fn cluster() -> Option<Cluster> {
    if !is_installed() {
        return None;
    }
    Some(Cluster::start(ClusterOptions::default()).await.unwrap())
}

/// A table of numbers in the database `postgres`, for whoever may do everything.
async fn numbers(cluster: &Cluster) -> tokio_postgres::Client {
    let client = cluster.admin("postgres").await.unwrap();
    let table = "CREATE TABLE numbers (number BIGINT PRIMARY KEY)";
    client.batch_execute(table).await.unwrap();
    client
}

/// Adds one to the table; what went wrong, if something did.
async fn add(client: &tokio_postgres::Client, number: i64) -> Result<(), tokio_postgres::Error> {
    let insert = "INSERT INTO numbers VALUES ($1)";
    client.execute(insert, &[&number]).await.map(drop)
}

/// What is in the table.
async fn all(cluster: &Cluster) -> Vec<i64> {
    let client = cluster.admin("postgres").await.unwrap();
    let select = "SELECT number FROM numbers ORDER BY number";
    let rows = client.query(select, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Waits for a condition outside.
#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WAIT_MAX, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process of this id runs. One that has ended and is not waited for does not.
fn runs(process: u32) -> bool {
    let said = std::process::Command::new("/bin/sh")
        .args(["-c", "kill -0 $0 && ! grep -q '^State:.Z' /proc/$0/status"])
        .arg(process.to_string())
        .output()
        .unwrap();
    said.status.success()
}

/// Processes that work in a folder, or were told of it: those of the server, and the one that cleans up behind it.
fn processes_of(folder: &Path) -> Vec<String> {
    let told_of = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let works_in = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (works_in.starts_with(folder) || line.contains(told_of)).then_some(line)
        })
        .collect()
}
