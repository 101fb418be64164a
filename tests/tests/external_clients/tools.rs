//! The programs of others: whether they are there, and what they say.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Longest time that one program may take.
const RUN_MAX: Duration = Duration::from_secs(180);

/// The repository.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file of `tests/clients/`.
pub(crate) fn script(name: &str) -> PathBuf {
    repository().join("tests/clients").join(name)
}

/// Where `scripts/clients` installs: below the folder that cargo builds in.
fn installed() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    repository().join(target).join("clients")
}

/// A line for people, also when the test passes: the harness captures what is printed, not what is written.
pub(crate) fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "external_clients: {line}").unwrap();
}

/// Python with the packages of `requirements.txt`; see [`need`].
pub(crate) fn python() -> Option<PathBuf> {
    need(
        "the Python packages of tests/clients",
        &installed().join("venv/bin/python"),
    )
}

/// The schema of RFC 4287, appendix B; see [`need`].
pub(crate) fn grammar() -> Option<PathBuf> {
    need("the grammar of RFC 4287", &installed().join("atom.rng"))
}

/// The folder with the packages of `package.json`; see [`need`].
pub(crate) fn node_modules() -> Option<PathBuf> {
    need(
        "the npm packages of tests/clients",
        &installed().join("node_modules"),
    )
}

/// The program of this name in the path; see [`need`].
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where only root's path leads.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    need(name, &found.unwrap_or_default())
}

/// `path` if it is there. If not, the test is to be skipped, unless nothing may be.
///
/// # Panics
/// When nothing may be skipped.
fn need(what: &str, path: &Path) -> Option<PathBuf> {
    if path.exists() {
        return Some(path.to_owned());
    }
    feedway_tests::tools::missing(&format!("{what} (scripts/clients installs it)"));
    None
}

/// What a program said, and whether all was well.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) well: bool,
    pub(crate) text: String,
}

/// Runs a program to its end. It sees no proxy: what it asks stands on this machine.
///
/// # Panics
/// When it cannot be started or takes longer than [`RUN_MAX`]; it is ended then.
pub(crate) async fn run<A: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = A>,
    env: &[(&str, &Path)],
) -> Said {
    let mut command = Command::new(program);
    for proxy in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        command.env_remove(proxy);
    }
    let child = command
        .args(args)
        .envs(env.iter().copied())
        // Nothing is to be left behind in the checkout.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = tokio::time::timeout(RUN_MAX, child.wait_with_output()).await;
    let output = ended
        .unwrap_or_else(|_| panic!("{} did not end in {RUN_MAX:?}", program.display()))
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    Said {
        well: output.status.success(),
        text: String::from_utf8_lossy(&text).trim().to_owned(),
    }
}

impl Said {
    /// All was well: what was seen is told.
    #[track_caller]
    pub(crate) fn tell(&self) {
        assert!(self.well, "{}", self.text);
        assert!(!self.text.is_empty(), "it says what it saw");
        say(&self.text);
    }

    /// It noticed what was broken, and said so in these words.
    #[track_caller]
    pub(crate) fn assert_noticed(&self, words: &str) {
        assert!(!self.well, "broken unnoticed ({words}): {}", self.text);
        assert!(
            self.text.contains(words),
            "{words:?} is not in {}",
            self.text
        );
    }
}
