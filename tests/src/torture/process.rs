//! A service as a process that is hurt from outside, and started again when it has ended by itself.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::{Context, Failure};

/// How a process is started.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) binary: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(String, OsString)>,
    pub(super) log: PathBuf,
}

/// A process, or the place of one that is away. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    spec: Spec,
    child: Option<Child>,
    /// When it is to be started again, or let go on.
    pub(super) back_at: Option<Instant>,
    stopped: bool,
    starved: bool,
}

impl Process {
    pub(super) fn new(spec: Spec) -> Self {
        Process {
            spec,
            child: None,
            back_at: None,
            stopped: false,
            starved: false,
        }
    }

    /// Starts it. `harm` is what it is to do to itself.
    pub(super) fn start(&mut self, harm: Option<&str>) -> Result<(), Failure> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.spec.log);
        let log = log.context(self.spec.log.display())?;
        // What a shell ignores its programs ignore too: a file that may not grow is then an error and not a signal.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(&self.spec.binary)
            .args(&self.spec.args)
            .envs(self.spec.env.iter().map(|(name, value)| (name, value)))
            .env_remove("FEEDWAY_FAULT_AT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(harm) = harm {
            command.env("FEEDWAY_FAULT_AT", harm);
        }
        self.child = Some(command.spawn().context(&self.spec.name)?);
        self.back_at = None;
        self.stopped = false;
        self.starved = false;
        Ok(())
    }

    fn pid(&self) -> Option<Pid> {
        let id = self.child.as_ref()?.id();
        i32::try_from(id).ok().map(Pid::from_raw)
    }

    pub(super) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Whether it has ended by itself since the last look; then its place is empty.
    pub(super) fn has_ended(&mut self) -> bool {
        let Some(child) = &mut self.child else {
            return false;
        };
        match child.try_wait() {
            Ok(None) => false,
            Ok(Some(_)) | Err(_) => {
                self.child = None;
                true
            }
        }
    }

    /// Whether it stopped itself.
    pub(super) fn has_stopped_itself(&self) -> bool {
        let Some(pid) = self.pid().filter(|_| !self.stopped) else {
            return false;
        };
        // The third field of proc_pid_stat(5), behind a name that may hold anything but a closing bracket at its end.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Failing means that it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, signal);
        }
    }

    pub(super) fn stop(&mut self, until: Instant) {
        self.signal(Signal::SIGSTOP);
        self.noticed_stop(until);
    }

    pub(super) fn noticed_stop(&mut self, until: Instant) {
        self.stopped = true;
        self.back_at = Some(until);
    }

    /// No file of it may grow beyond `bytes`.
    pub(super) fn starve(&mut self, bytes: u64, until: Instant) {
        if let Some(pid) = self.pid() {
            let _ = rlimit::prlimit(
                pid.as_raw(),
                rlimit::Resource::FSIZE,
                Some((bytes, rlimit::INFINITY)),
                None,
            );
            self.starved = true;
            self.back_at = Some(until);
        }
    }

    /// It goes on as if nothing had been.
    pub(super) fn relieve(&mut self) {
        self.back_at = None;
        if let Some(pid) = self.pid() {
            if self.starved {
                let free = (rlimit::INFINITY, rlimit::INFINITY);
                let _ = rlimit::prlimit(pid.as_raw(), rlimit::Resource::FSIZE, Some(free), None);
            }
            if self.stopped {
                let _ = kill(pid, Signal::SIGCONT);
            }
        }
        self.starved = false;
        self.stopped = false;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
