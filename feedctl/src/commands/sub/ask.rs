//! Asking whoever sits at the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::cli::CliError;

/// Leave to do what cannot be undone.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::commands) struct Leave {
    /// Do it without asking; needed where stdin is no terminal
    #[arg(short, long)]
    yes: bool,
}

impl Leave {
    /// Whether it has to be asked for.
    ///
    /// # Errors
    /// When it has to be, and nobody is there.
    pub(in crate::commands) fn is_to_be_asked_for(self) -> Result<bool, CliError> {
        if self.yes {
            return Ok(false);
        }
        if !io::stdin().is_terminal() {
            return Err(CliError::Usage(
                "this cannot be undone, and nobody can be asked, since stdin is no terminal: look at it with --dry-run, \
                 then give --yes"
                    .to_owned(),
            ));
        }
        Ok(true)
    }
}

/// Asks, and waits for the answer.
///
/// # Errors
/// When it was no yes.
pub(in crate::commands) async fn ask() -> Result<(), CliError> {
    let answered = tokio::task::spawn_blocking(|| {
        let mut stderr = io::stderr();
        stderr.write_all(b"Do it? [y/N] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok::<_, io::Error>(answer)
    });
    let answer = answered.await.map_err(io::Error::other).flatten();
    let answer = answer.map_err(|error| CliError::Usage(format!("stdin: {error}")))?;
    if is_yes(&answer) {
        Ok(())
    } else {
        Err(CliError::Refused("nothing was changed".to_owned()))
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes("YES\r\n"));
        for answer in ["", "\n", "n\n", "yep\n", "yes please\n"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }
}
