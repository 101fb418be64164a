//! Where PostgreSQL's programs are, and how they are run.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::{Uid, User};

use crate::failure::{Context, Failure};
use crate::tools;

/// Where Debian puts the programs, in a folder for each version, of which none is in the path.
const DEBIAN: &str = "/usr/lib/postgresql";
/// What a server needs.
const SERVER: [&str; 2] = ["initdb", "postgres"];
/// Whose accounts the server may run as when this process is root's, the first that exists.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];
/// What to do when there is no server.
pub const HOW_TO_INSTALL: &str = "PostgreSQL's server (on Debian: apt-get install postgresql)";
/// Longest time that one program which is to end may take.
const RUN_MAX: Duration = Duration::from_secs(120);
/// Lines of a program's complaints that an error shows.
const LINES_SHOWN: usize = 8;

/// The programs of one version of PostgreSQL.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// Where the server's are. The clients' are there too, or in the path.
    folder: PathBuf,
    account: Option<Account>,
}

/// Whom the server runs as: it refuses to be root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Whether PostgreSQL's server is on this machine. If not, the test is to be skipped, and says so.
///
/// # Panics
/// When nothing may be skipped ([`tools::REQUIRE_TOOLS`] is set).
pub fn is_installed() -> bool {
    let found = is_there();
    if !found {
        tools::missing(HOW_TO_INSTALL);
    }
    found
}

/// As [`is_installed`], for what goes on without: nothing is said.
pub fn is_there() -> bool {
    server_folder().is_some()
}

impl Programs {
    /// Looks for them in the path, where Debian puts them, and in `/usr/local/bin`.
    pub(super) fn find() -> Result<Self, Failure> {
        let folder = server_folder().context(format!("needs {HOW_TO_INSTALL}"))?;
        Ok(Programs {
            folder,
            account: account()?,
        })
    }

    /// Whom the server is to run as, when not as we do.
    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    /// A client's command, run as we are.
    ///
    /// # Errors
    /// When the program is not there.
    pub(super) fn client(&self, program: &str) -> Result<Command, Failure> {
        let path = in_path().into_iter().map(|folder| folder.join(program));
        let found = [self.folder.join(program)]
            .into_iter()
            .chain(path)
            .find(|file| file.is_file());
        let found = found.context(format!("needs {program}, which comes with PostgreSQL"))?;
        Ok(plain(&found))
    }

    /// As [`client`](Self::client), run as the server is and in its folder, as a member of a process group.
    pub(super) fn server(
        &self,
        program: &str,
        folder: &Path,
        group: i32,
    ) -> Result<Command, Failure> {
        let mut command = self.client(program)?;
        command.current_dir(folder).process_group(group);
        if let Some(Account { uid, gid }) = self.account {
            command.uid(uid).gid(gid);
        }
        Ok(command)
    }
}

/// Runs a program until it ends, and kills it when the caller does not wait for that.
pub(super) async fn run(command: Command, doing: &str) -> Result<(), Failure> {
    let mut command = tokio::process::Command::from(command);
    let child = command.kill_on_drop(true).spawn().context(doing)?;
    let output = tokio::time::timeout(RUN_MAX, child.wait_with_output())
        .await
        .context(format!("{doing} took longer than {} s", RUN_MAX.as_secs()))?
        .context(doing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    Err(Failure::new(format!(
        "{doing} ended with {}:\n  {}",
        output.status,
        shown.join("\n  ")
    )))
}

/// A command without the settings of whoever started us: a run is the same for everybody.
fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"PG") || bytes.starts_with(b"LC_") {
            command.env_remove(name);
        }
    }
    // Its words are read, so they have to be English.
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn in_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}

fn server_folder() -> Option<PathBuf> {
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let versions = debian.map(|entry| entry.path()).collect();
    let folders = in_path()
        .into_iter()
        .chain(newest_first(versions))
        .chain([PathBuf::from("/usr/local/bin")]);
    let mut complete =
        folders.filter(|folder| SERVER.iter().all(|program| folder.join(program).is_file()));
    let folder = complete.next()?;
    // A link in the path leads to where the other programs of the same version are.
    let server = folder.join(SERVER[0]).canonicalize().ok();
    let behind_link = server.and_then(|file| file.parent().map(Path::to_owned));
    Some(behind_link.unwrap_or(folder))
}

/// The `bin` folders of versions, the newest first.
fn newest_first(versions: Vec<PathBuf>) -> Vec<PathBuf> {
    let number = |folder: &PathBuf| -> Option<u32> {
        folder
            .file_name()?
            .to_str()?
            .split('.')
            .next()?
            .parse()
            .ok()
    };
    let mut versions = versions;
    versions.sort_by_key(number);
    versions
        .into_iter()
        .rev()
        .map(|folder| folder.join("bin"))
        .collect()
}

fn account() -> Result<Option<Account>, Failure> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ACCOUNTS {
        if let Some(user) = User::from_name(name).context(format!("looking for user {name}"))? {
            return Ok(Some(Account {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            }));
        }
    }
    Err(Failure::new(format!(
        "PostgreSQL's server refuses to run as root, and the machine has none of the users {}",
        ACCOUNTS.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_by_number() {
        let versions = ["/p/9.6", "/p/15", "/p/100", "/p/common"].map(PathBuf::from);
        let found = newest_first(versions.to_vec());
        let expected = ["/p/100/bin", "/p/15/bin", "/p/9.6/bin", "/p/common/bin"];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[tokio::test]
    async fn what_a_program_complained_of_is_told() {
        let mut command = plain(Path::new("/bin/sh"));
        command.args(["-c", "echo no such luck >&2; exit 3"]);
        let error = run(command, "trying").await.unwrap_err().to_string();
        assert!(
            error.contains("trying") && error.contains("no such luck"),
            "{error}"
        );
    }
}
