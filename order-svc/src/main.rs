//! The order service; see `order-svc --help`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use order_svc::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(std::io::stderr(), "order-svc: {error}");
            ExitCode::FAILURE
        }
    }
}
