//! Servers of others: started so that none outlives this program, looked at, stopped.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Failure;

/// Longest time until a server takes connections.
const READY_MAX: Duration = Duration::from_secs(60);
/// Longest time that it may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(20);
/// Lines of a server's log that a failure shows.
const LINES_SHOWN: usize = 5;

/// A running server. It is stopped when this is dropped, and killed when this program dies.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it; its output goes to `log`. It dies with the thread that calls this, which therefore has to be the main one.
    pub(crate) fn start(command: &Command, log: &Path) -> Result<Self, Failure> {
        let file = File::create(log)?;
        let mut bound = bound_to_us(command);
        bound
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = bound
            .spawn()
            .map_err(|error| format!("starting {}: {error}", command.get_program().display()))?;
        Ok(Server {
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it takes connections at `address`.
    pub(crate) fn listens(&mut self, address: SocketAddr) -> Result<(), Failure> {
        let began = Instant::now();
        while TcpStream::connect_timeout(&address, LOOK).is_err() {
            if let Some(status) = self.ended()? {
                return Err(format!("it ended with {status}: {}", self.said()).into());
            }
            if began.elapsed() > READY_MAX {
                return Err(format!("it took no connections: {}", self.said()).into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// How it ended; none while it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        Ok(self.child.try_wait()?)
    }

    fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join(" / ")
    }

    fn ends(&mut self) -> bool {
        let asked = Instant::now();
        while asked.elapsed() < STOP_MAX {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(LOOK);
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It was not seen to have ended, so the id is still its own.
        if matches!(self.child.try_wait(), Ok(None)) {
            if let Ok(id) = i32::try_from(self.child.id()) {
                let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            }
            if !self.ends() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// The same command by way of `setpriv`, which lets the system kill it when we die, however that comes.
pub(crate) fn bound_to_us(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "KILL", "--"]);
    bound.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        bound.current_dir(folder);
    }
    bound
}

/// An address that nobody listens at.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// What a program says about itself, in one line; fails when it is not there.
pub(crate) fn says(program: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Megabytes (of 2^20 bytes) that a server keeps in memory: resident ones, or, when it has several processes, their
/// shares of what they have together.
pub(crate) fn memory_mb(process: u32) -> Option<f64> {
    let others = descendants(process);
    let kb = if others.is_empty() {
        field_kb(&format!("/proc/{process}/status"), "VmRSS:")?
    } else {
        let all = others.into_iter().chain([process]);
        all.filter_map(|id| field_kb(&format!("/proc/{id}/smaps_rollup"), "Pss:"))
            .sum()
    };
    Some(kb / 1_024.0)
}

/// The share of one core that a server uses while nothing is asked of it, over `time`.
pub(crate) fn cpu_share(process: u32, time: Duration) -> Option<f64> {
    let before = cpu_ticks(process)?;
    std::thread::sleep(time);
    // Linux tells ticks of 1/100 s to everybody.
    Some((cpu_ticks(process)? - before) / 100.0 / time.as_secs_f64())
}

fn cpu_ticks(process: u32) -> Option<f64> {
    let words = stat(process)?;
    Some(words.get(11)?.parse::<f64>().ok()? + words.get(12)?.parse::<f64>().ok()?)
}

fn field_kb(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What `/proc` says behind a process's name, which may hold anything.
fn stat(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn descendants(process: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = ids
        .filter_map(|id| Some((id, stat(id)?.get(1)?.parse().ok()?)))
        .collect();
    let mut found = vec![process];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|&&(_, of)| of == parent)
                .map(|&(id, _)| id),
        );
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_processor_time_are_found() {
        let own = std::process::id();
        assert!(memory_mb(own).is_some_and(|mb| mb > 1.0));
        assert!(cpu_share(own, Duration::from_millis(10)).is_some());
        assert_eq!(memory_mb(u32::MAX), None);
    }
}
