//! A service as a process of its own: started, asked whether it is ready, killed, stopped, started again.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure};
use crate::http;

/// Longest time that a service may take until it is ready.
pub const READY_MS_MAX: u64 = 20_000;
/// Longest time that a service may take to stop when it is asked to.
pub const STOP_MS_MAX: u64 = 15_000;
/// Time between two looks at a process that is waited for.
const LOOK_MS: u64 = 10;
/// Beginnings of the environment variables that the services take for flags. Those of whoever starts the run are not
/// handed on: a run is the same for everybody.
const SETTINGS: [&str; 3] = ["ORDER_", "CUSTOMER_", "DATABASE_URL"];
/// Lines of a log that an error shows.
const LOG_LINES_SHOWN: usize = 8;

/// How a service is started.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Its name, which names its log too.
    pub name: &'static str,
    /// Its binary.
    pub binary: PathBuf,
    /// The arguments.
    pub args: Vec<OsString>,
    /// Environment variables beside those of this process, of which the services' own settings are left out.
    pub env: Vec<(String, String)>,
    /// Where its log goes; made when it is not there.
    pub folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it outlives a Ctrl-C in the terminal.
    pub detached: bool,
}

/// A running service. It is killed when this is dropped.
#[derive(Debug)]
pub struct Service {
    spec: ServiceSpec,
    /// None while it is stopped.
    child: Option<Child>,
    http: reqwest::Client,
}

/// An address on this machine that nobody listened on a moment ago.
///
/// # Errors
/// When the system has none.
pub fn free_address() -> Result<SocketAddr, Failure> {
    free_address_on(Ipv4Addr::LOCALHOST)
}

/// As [`free_address`], on an address of this machine.
///
/// # Errors
/// When the system has none.
pub fn free_address_on(host: Ipv4Addr) -> Result<SocketAddr, Failure> {
    TcpListener::bind((host, 0))
        .and_then(|listener| listener.local_addr())
        .context("looking for a free port")
}

impl ServiceSpec {
    /// The file that the service's output is appended to.
    pub fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// A command with the service's binary, environment and log, and without arguments.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn command(&self) -> Result<Command, Failure> {
        let log = self.log();
        let opened = fs::create_dir_all(&self.folder)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&log))
            .and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = opened.context(format!("opening {}", log.display()))?;
        let mut command = Command::new(&self.binary);
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| is_setting(name)) {
            command.env_remove(name);
        }
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        Ok(command)
    }

    fn log_tail(&self) -> String {
        log_tail(&self.log())
    }
}

/// The end of a log, for an error.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
    format!(
        "the end of {}:\n  {}",
        log.display(),
        lines[from..].join("\n  ")
    )
}

fn is_setting(variable: &OsStr) -> bool {
    SETTINGS
        .iter()
        .any(|start| variable.as_encoded_bytes().starts_with(start.as_bytes()))
}

impl Service {
    /// Starts the service and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, ends, or is not ready within [`READY_MS_MAX`].
    pub async fn start(spec: ServiceSpec) -> Result<Self, Failure> {
        let mut service = Service {
            spec,
            child: None,
            http: http::client(1)?,
        };
        service.restart().await?;
        Ok(service)
    }

    /// How it was started.
    pub fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    /// `http://` and its address.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.spec.address)
    }

    /// The process id while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the service again as it was started before, after killing it if it runs, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, ends, or is not ready within [`READY_MS_MAX`].
    pub async fn restart(&mut self) -> Result<(), Failure> {
        self.kill9()?;
        let mut command = self.spec.command()?;
        command.args(&self.spec.args);
        #[cfg(unix)]
        if self.spec.detached {
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        let child = command
            .spawn()
            .context(format!("starting {}", self.spec.binary.display()))?;
        self.child = Some(child);
        self.ready(Duration::from_millis(READY_MS_MAX)).await
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Errors
    /// When the process ends before, or the time is over.
    pub async fn ready(&mut self, within: Duration) -> Result<(), Failure> {
        let url = format!("{}/readyz", self.base_url());
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                return Err(Failure::new(format!(
                    "{} ended with {status}; {}",
                    self.spec.name,
                    self.spec.log_tail()
                )));
            }
            if let Ok(response) = self.http.get(&url).send().await
                && response.status().is_success()
            {
                return Ok(());
            }
            if started.elapsed() > within {
                return Err(Failure::new(format!(
                    "{} was not ready after {} s; {}",
                    self.spec.name,
                    within.as_secs(),
                    self.spec.log_tail()
                )));
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }

    /// Ends the process at once, with no chance to finish anything (`kill -9`).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill9(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        child
            .kill()
            .and_then(|()| child.wait())
            .context(format!("killing {}", self.spec.name))
            .map(drop)
    }

    /// Asks the service to stop and waits for its end; kills it after [`STOP_MS_MAX`].
    ///
    /// # Errors
    /// When it did not run, or did not stop in time.
    pub async fn terminate(&mut self) -> Result<ExitStatus, Failure> {
        let name = self.spec.name;
        let child = self
            .child
            .as_mut()
            .context(format!("{name} does not run"))?;
        ask_to_stop(child).context(format!("asking {name} to stop"))?;
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_millis(STOP_MS_MAX) {
            if let Some(status) = self.exited()? {
                self.child = None;
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
        self.kill9()?;
        Err(Failure::new(format!(
            "{name} did not stop within {} s and was killed; {}",
            STOP_MS_MAX / 1_000,
            self.spec.log_tail()
        )))
    }

    /// Lets the process run on without us.
    pub fn leave(mut self) {
        // Dropping a child neither kills it nor waits for it.
        drop(self.child.take());
    }

    fn exited(&mut self) -> Result<Option<ExitStatus>, Failure> {
        match &mut self.child {
            Some(child) => child
                .try_wait()
                .context(format!("looking at {}", self.spec.name)),
            None => Err(Failure::new(format!("{} does not run", self.spec.name))),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nobody is left to tell, and it has most likely ended by itself.
        let _ = self.kill9();
    }
}

#[cfg(unix)]
fn ask_to_stop(child: &mut Child) -> std::io::Result<()> {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    // The process is not waited for yet, so the id is still its own.
    let id = i32::try_from(child.id()).map_err(std::io::Error::other)?;
    Ok(kill(Pid::from_raw(id), Signal::SIGTERM)?)
}

#[cfg(not(unix))]
fn ask_to_stop(child: &mut Child) -> std::io::Result<()> {
    child.kill()
}
