//! The PostgreSQL servers that other tests count on: they start, keep what they acknowledge, and leave nothing behind.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod life;
mod orphans;

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

/// Processes that were started in a folder, by their command lines.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}
