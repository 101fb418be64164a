//! What went wrong, in words for the person who started the run.

use std::error::Error;
use std::fmt::{self, Display};

/// A failure with its causes, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure that has no other one as its cause.
    pub fn new(what: impl Into<String>) -> Self {
        Failure(what.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

/// Says what was being done when something failed.
pub trait Context<T> {
    /// Puts `what` before the error and its causes.
    ///
    /// # Errors
    /// When `self` is one.
    fn context(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Error> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let mut text = format!("{what}: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            Failure(text)
        })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl Display) -> Result<T, Failure> {
        self.ok_or_else(|| Failure(what.to_string()))
    }
}
