//! What is left when the process that owns a cluster is killed.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use feedway_tests::postgres::{Database, is_installed, shared};

use crate::{processes_of, wait_until};

/// Set for the process that is to be killed.
const ROLE: &str = "FEEDWAY_TEST_ORPHANS";
/// What it says before the folder.
const SAYS: &str = "the folder is ";

/// Not a test by itself: what the process that is to be killed does.
#[tokio::test]
async fn owner() {
    let Some(role) = std::env::var_os(ROLE) else {
        return;
    };
    let cluster = shared().await.unwrap();
    let _database = Database::new("orphan").await.unwrap();
    println!("{SAYS}{}", cluster.folder().display());
    if role == "ends" {
        // As at the end of every test binary: nothing of a static is dropped.
        return;
    }
    std::future::pending::<()>().await;
}

/// A process that owns a cluster, and the cluster's folder.
struct Owner {
    child: Child,
    folder: PathBuf,
    /// It could not go on if nobody listened.
    _says: BufReader<ChildStdout>,
}

fn start(role: &str) -> Owner {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["orphans::owner", "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut says = BufReader::new(child.stdout.take().unwrap());
    let folder = says.by_ref().lines().find_map(|line| {
        let line = line.unwrap();
        line.split_once(SAYS).map(|(_, folder)| folder.into())
    });
    Owner {
        child,
        folder: folder.expect("it says where its folder is"),
        _says: says,
    }
}

#[test]
fn a_killed_owner_leaves_nothing() {
    if !is_installed() {
        return;
    }
    let mut owner = start("waits");
    assert!(!processes_of(&owner.folder).is_empty() && owner.folder.exists());
    owner.child.kill().unwrap();
    owner.child.wait().unwrap();
    wait_until("the folder is gone", || !owner.folder.exists());
    wait_until("all processes are gone", || {
        processes_of(&owner.folder).is_empty()
    });
}

#[test]
fn the_shared_cluster_ends_with_its_process() {
    if !is_installed() {
        return;
    }
    let mut owner = start("ends");
    assert!(owner.child.wait().unwrap().success());
    wait_until("the folder is gone", || !owner.folder.exists());
    wait_until("all processes are gone", || {
        processes_of(&owner.folder).is_empty()
    });
}
