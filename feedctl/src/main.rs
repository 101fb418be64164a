//! The operator's command line; see `feedctl --help`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use feedctl::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "feedctl: {error}");
            return ExitCode::from(2);
        }
    };
    let ended = runtime.block_on(cli.run());
    // A write to a pipe that nobody empties may be under way: it is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(text) = error.text() {
                // Nobody is left to be told when stderr is gone.
                let _ = writeln!(std::io::stderr(), "feedctl: {text}");
            }
            ExitCode::from(error.code())
        }
    }
}
