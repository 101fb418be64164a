//! The server's first process: started, asked to stop, killed with all that it started.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::{Context, Failure};

/// Longest time until a server takes connections; it may have to recover first.
pub(super) const READY_MAX: Duration = Duration::from_secs(60);
/// Longest time that a server may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(15);
/// Longest time for which killed processes may still be seen.
const GONE_MAX: Duration = Duration::from_secs(15);
/// Time between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Sessions are ended, and everything is written to where it belongs.
    Fast,
    /// As if it had crashed, but by itself.
    Immediate,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
    /// The file in which it says how it is.
    lock: PathBuf,
}

impl Postmaster {
    /// Starts `command`, whose output is appended to `log`, on the data in `data`.
    pub(super) fn spawn(mut command: Command, data: &Path, log: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().create(true).append(true).open(log);
        let outputs = file.and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = outputs.context(log.display())?;
        command.arg("-D").arg(data).stdout(stdout).stderr(stderr);
        let child = command.spawn().context("starting postgres")?;
        Ok(Postmaster {
            child,
            lock: data.join("postmaster.pid"),
        })
    }

    /// Its process id.
    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it takes connections: on its own port, which nobody but it can have told the file.
    ///
    /// # Errors
    /// When it ends before, or does not within [`READY_MAX`].
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        while !self.says_ready() {
            if let Some(status) = self.exited()? {
                return Err(Failure::new(format!("postgres ended with {status}")));
            }
            if started.elapsed() > READY_MAX {
                let waited = READY_MAX.as_secs();
                return Err(Failure::new(format!(
                    "postgres took no connections within {waited} s"
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Lines of the file: process id, data, start, port, folder of the socket, address, shared memory, state.
    fn says_ready(&self) -> bool {
        let text = fs::read_to_string(&self.lock).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        lines.next() == Some(self.child.id().to_string().as_str()) && lines.nth(6) == Some("ready")
    }

    fn exited(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.child.try_wait().context("looking at postgres")
    }

    /// Asks it to stop and waits for its end; kills it if it does not.
    pub(super) fn stop(mut self, how: Stop) -> Result<(), Failure> {
        let signal = match how {
            Stop::Fast => Signal::SIGINT,
            Stop::Immediate => Signal::SIGQUIT,
        };
        if self.exited()?.is_some() {
            return Ok(());
        }
        self.send(signal)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_MAX {
            if self.exited()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        self.kill()?;
        let waited = STOP_MAX.as_secs();
        Err(Failure::new(format!(
            "postgres did not stop within {waited} s and was killed"
        )))
    }

    /// Kills it and its processes, none of which can do anything more, as if the machine had lost its power.
    pub(super) fn kill(mut self) -> Result<(), Failure> {
        if self.exited()?.is_some() {
            return Ok(());
        }
        // While it is stopped it starts no further processes, and keeps the ids of those that have ended.
        self.send(Signal::SIGSTOP)?;
        let own = self.child.id();
        wait_until(|| state(own).is_none_or(|(_, state)| matches!(state, 'T' | 'Z')));
        let children = children(own);
        for &child in &children {
            // It may have ended by itself.
            let _ = send(child, Signal::SIGKILL);
        }
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.context("killing postgres")?;
        let is_gone = |&child: &u32| state(child).is_none_or(|(_, state)| state == 'Z');
        if wait_until(|| children.iter().all(is_gone)) {
            return Ok(());
        }
        Err(Failure::new("processes of postgres outlive being killed"))
    }

    /// Only for a process that was not seen to have ended: until then the id is still its own.
    fn send(&self, signal: Signal) -> Result<(), Failure> {
        send(self.child.id(), signal).context("sending a signal to postgres")
    }
}

fn send(process: u32, signal: Signal) -> std::io::Result<()> {
    let id = i32::try_from(process).map_err(std::io::Error::other)?;
    Ok(kill(Pid::from_raw(id), signal)?)
}

/// Whether the condition came to be within [`GONE_MAX`].
fn wait_until(condition: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > GONE_MAX {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// Parent and state of a process, where the system has `/proc`. Elsewhere the server's processes are not found, and end
/// soon after it by themselves.
fn state(process: u32) -> Option<(u32, char)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some((words.next()?.parse().ok()?, state))
}

fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&process| state(process).is_some_and(|(of, _)| of == parent))
        .collect()
}
