//! As whom a command asks a server.

use std::path::PathBuf;

use clap::Args;
use feed_core::client::bearer_token_from_file;

use crate::cli::CliError;

/// The token that a server may ask for.
#[derive(Debug, Clone, Args)]
pub(crate) struct Token {
    /// File that holds the bearer token; without it, the token itself is taken from FEEDCTL_TOKEN if that is set
    #[arg(long, env = "FEEDCTL_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Token {
    /// The token, if one is given.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub(crate) fn load(&self) -> Result<Option<String>, CliError> {
        if let Some(path) = &self.token_file {
            let token = bearer_token_from_file(path);
            return token
                .map(Some)
                .map_err(|error| CliError::Usage(format!("--token-file: {error}")));
        }
        match std::env::var("FEEDCTL_TOKEN") {
            Ok(token) if token.is_empty() => Ok(None),
            Ok(token) if token.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(token)),
            Ok(_) => Err(CliError::Usage(
                "FEEDCTL_TOKEN: one token of visible ASCII characters is expected".into(),
            )),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(error) => Err(CliError::Usage(format!("FEEDCTL_TOKEN: {error}"))),
        }
    }
}
