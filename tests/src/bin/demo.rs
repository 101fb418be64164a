//! `scripts/demo`: the order flow, end to end, from one command.

use std::process::ExitCode;

use clap::Parser;
use feedway_tests::demo;

#[tokio::main]
async fn main() -> ExitCode {
    demo::run(demo::Args::parse()).await
}
