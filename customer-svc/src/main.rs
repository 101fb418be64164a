//! The customer service; see `customer-svc --help`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use customer_svc::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(std::io::stderr(), "customer-svc: {error}");
            ExitCode::FAILURE
        }
    }
}
