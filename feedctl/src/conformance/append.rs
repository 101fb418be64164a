//! Making new events appear, by whatever the server's owner offers.

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

/// Longest time that one run of the command may take, in milliseconds.
const RUN_MS_MAX: u64 = 30_000;

/// Longest part of what a failing command says that is told, in characters.
const SAID_CHARS_MAX: usize = 300;

/// Makes an event appear; the error says why it did not.
pub type AppendFn = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How new events are made.
#[derive(Clone)]
pub enum Append {
    /// A command for the shell; each run makes one event or more, and ends.
    Command(String),
    /// A function, for tests in the same process.
    Function(AppendFn),
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Append::Command(command) => f.debug_tuple("Command").field(command).finish(),
            Append::Function(_) => f.write_str("Function"),
        }
    }
}

impl Append {
    /// Once.
    ///
    /// # Errors
    /// Says why it could not be done.
    pub(super) async fn run(&self) -> Result<(), String> {
        let within = Duration::from_millis(RUN_MS_MAX);
        let ran = match self {
            Append::Command(command) => tokio::time::timeout(within, run_command(command)).await,
            Append::Function(function) => tokio::time::timeout(within, function()).await,
        };
        ran.unwrap_or_else(|_| Err(format!("it did not end within {} s", within.as_secs())))
    }
}

async fn run_command(command: &str) -> Result<(), String> {
    let mut shell = if cfg!(windows) {
        let mut shell = tokio::process::Command::new("cmd");
        shell.arg("/C");
        shell
    } else {
        let mut shell = tokio::process::Command::new("sh");
        shell.arg("-c");
        shell
    };
    let output = shell
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = crate::text::cut(said.trim(), SAID_CHARS_MAX);
    Err(format!("it ended with {}: {said}", output.status))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_fails_is_told_with_what_it_said() {
        let run = async |command: &str| Append::Command(command.into()).run().await;
        assert_eq!(run("true").await, Ok(()));
        let error = run("echo no pen >&2; exit 3").await.unwrap_err();
        assert!(error.contains("no pen") && error.contains('3'), "{error}");
    }
}
