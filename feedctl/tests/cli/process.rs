//! The binary as a process.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Longest time that anything here may take, in milliseconds.
const MS_MAX: u64 = 60_000;

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feedctl"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("FEEDCTL_") || name == "NO_COLOR")
    {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn feedctl(arguments: &[&str]) -> Ran {
    feedctl_with(arguments, &[]).await
}

/// Runs it to its end, with these variables.
pub(crate) async fn feedctl_with(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let output = command(arguments).envs(variables.iter().copied()).output();
    let output = bounded(output).await.unwrap();
    Ran {
        code: output.status.code().expect("no signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn bounded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_millis(MS_MAX), work)
        .await
        .expect("it takes too long")
}

/// Waits until `holds`.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_millis(MS_MAX),
            "it takes too long"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One that runs on.
pub(crate) struct Running {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        Running {
            child,
            lines: Some(BufReader::new(stdout).lines()),
        }
    }

    /// The next line of stdout; none at its end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        bounded(self.lines.as_mut().unwrap().next_line())
            .await
            .unwrap()
    }

    /// Closes the reading end of its stdout.
    pub(crate) fn stop_reading(&mut self) {
        self.lines = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().expect("it runs")).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Its exit code, none when a signal ended it, and what it said.
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let status = bounded(self.child.wait()).await.unwrap();
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        bounded(stderr.read_to_string(&mut said)).await.unwrap();
        (status.code(), said)
    }
}
