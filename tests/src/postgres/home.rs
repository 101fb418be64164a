//! The folder of a cluster, and who removes it.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::programs::Account;
use crate::failure::{Context, Failure};

/// What is run by `sh`.
const WATCHDOG: &str = include_str!("watchdog.sh");

/// A folder that goes when this is dropped or when this process dies, and with it every process in [`group`](Self::group).
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    account: Option<Account>,
    /// Acts when there is nobody left who could write to its stdin. That end of the pipe is closed in our other children,
    /// except those that are given one.
    watchdog: Child,
}

impl Home {
    /// A new folder in `parent`, or where temporary files go, that belongs to the account.
    pub(super) fn new(parent: Option<&Path>, account: Option<Account>) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("feedway-postgres-");
        let folder = match parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        };
        let folder = folder.context("making a folder for PostgreSQL")?;
        let watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(folder.path())
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting sh")?;
        let home = Home {
            path: folder.keep(),
            account,
            watchdog,
        };
        home.give(&home.path)?;
        Ok(home)
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The server's own folder in it.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The file that the server's output is appended to.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The process group that ends with the folder.
    pub(super) fn group(&self) -> Result<i32, Failure> {
        i32::try_from(self.watchdog.id()).context("the id of a process")
    }

    /// For the output of a program that is to finish before the folder goes, also when this process dies meanwhile.
    pub(super) fn holds(&self) -> Result<Stdio, Failure> {
        let stdin = self.watchdog.stdin.as_ref().context("no watchdog")?;
        let held = stdin.as_fd().try_clone_to_owned();
        held.context("a second end of a pipe").map(Stdio::from)
    }

    /// Writes a file of the server's.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let file = self.data().join(name);
        fs::write(&file, text).context(file.display())?;
        self.give(&file)
    }

    /// Copies a folder with all that is in it to the server's own.
    pub(super) fn copy_from(&self, folder: &Path) -> Result<(), Failure> {
        let data = self.data();
        self.copy(folder, &data)?;
        // The server takes no folder that others could look into.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).context(data.display())
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        if from.is_dir() {
            fs::create_dir(to).context(to.display())?;
            for entry in fs::read_dir(from).context(from.display())? {
                let name = entry.context(from.display())?.file_name();
                self.copy(&from.join(&name), &to.join(&name))?;
            }
        } else {
            fs::copy(from, to).context(from.display())?;
        }
        self.give(to)
    }

    fn give(&self, path: &Path) -> Result<(), Failure> {
        match self.account {
            Some(Account { uid, gid }) => chown(path, Some(uid), Some(gid)).context(path.display()),
            None => Ok(()),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Nobody is left to tell when any of this fails. Said so that it does not wait for a server that we have stopped.
        if let Some(mut stdin) = self.watchdog.stdin.take() {
            let _ = stdin.write_all(b"stopped\n");
        }
        let _ = self.watchdog.wait();
    }
}
