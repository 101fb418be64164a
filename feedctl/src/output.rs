//! stdout, for data: written in whole pieces, without waiting for readers that are gone.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::CliError;

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// When stdout is a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorWhen {
    /// Whether stdout gets colours.
    pub(crate) fn is_on(self) -> bool {
        match self {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !no_color && io::stdout().is_terminal()
            }
        }
    }
}

/// The colours that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Color {
    /// What is well.
    Green,
    /// What is not.
    Red,
    /// What could not be said.
    Yellow,
    /// What an event is.
    Cyan,
    /// What is of little interest.
    Dim,
}

/// A text in a colour (ECMA-48, SGR).
pub(crate) struct Painted<T>(pub(crate) T, pub(crate) Option<Color>);

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(color) = self.1 else {
            return self.0.fmt(f);
        };
        let code = match color {
            Color::Green => 32,
            Color::Red => 31,
            Color::Yellow => 33,
            Color::Cyan => 36,
            Color::Dim => 2,
        };
        write!(f, "\u{1b}[{code}m")?;
        // The width is that of the text alone.
        self.0.fmt(f)?;
        f.write_str("\u{1b}[0m")
    }
}

/// Nobody reads stdout any more: the command is done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Writes a piece to stdout and flushes it, off the runtime's threads: it blocks as long as the reader is slow.
///
/// # Errors
/// [`Gone`] when nobody reads; other failures are an I/O error.
pub(crate) async fn write(piece: Vec<u8>) -> Result<Result<(), Gone>, io::Error> {
    let written = tokio::task::spawn_blocking(move || {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&piece)?;
        stdout.flush()
    });
    match written.await {
        Ok(Ok(())) => Ok(Ok(())),
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Err(Gone)),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Writes all that a command has to say. That nobody reads it is no failure.
///
/// # Errors
/// When stdout fails.
pub(crate) async fn print(text: String) -> Result<(), CliError> {
    match write(text.into_bytes()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(CliError::Usage(format!("stdout: {error}"))),
    }
}

/// Writes one JSON document.
///
/// # Errors
/// As [`print`].
pub(crate) async fn print_json(document: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(document);
    let text = text.map_err(|error| CliError::Usage(error.to_string()))?;
    print(text + "\n").await
}

/// A token that is cancelled when the reader of the pipe at stdout goes, even while nothing is written.
pub(crate) fn reader_gone() -> CancellationToken {
    let gone = CancellationToken::new();
    #[cfg(unix)]
    {
        let cancelled = gone.clone();
        // It ends with the process.
        std::thread::spawn(move || {
            if wait_for_reader_to_go() {
                cancelled.cancel();
            }
        });
    }
    gone
}

/// Returns when the other end of stdout is closed; false when that cannot be told.
#[cfg(unix)]
fn wait_for_reader_to_go() -> bool {
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let stdout = io::stdout();
    loop {
        // No event is asked for: errors and hang-ups are told all the same.
        let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => {
                let told = watched[0].revents().unwrap_or(PollFlags::empty());
                return told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
            }
            Err(_) => return false,
        }
    }
}

/// Says something to the person at the terminal.
pub(crate) fn tell(text: &str) {
    // Nobody is left to be told when stderr is gone.
    let _ = writeln!(io::stderr(), "feedctl: {}", crate::text::printable(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_do_not_change_the_width() {
        assert_eq!(format!("{:<4}|", Painted("ab", None)), "ab  |");
        assert_eq!(
            format!("{:<4}|", Painted("ab", Some(Color::Green))),
            "\u{1b}[32mab  \u{1b}[0m|"
        );
    }

    #[test]
    fn what_is_said_goes_before_the_environment() {
        assert!(ColorWhen::Always.is_on());
        assert!(!ColorWhen::Never.is_on());
    }
}
