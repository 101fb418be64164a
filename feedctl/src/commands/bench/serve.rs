//! A process of its own that serves the feed which is measured, so that what it costs can be told from what reading costs.
//!
//! It says its URL on stdout. `append RATE EVENTS BYTES` on stdin makes it append, and it says `appended` when that is done.

use std::io::Write;
use std::time::Duration;

use feed_core::Store;
use feed_core::server::{bind, router, serve};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::scratch::{self, Scratch};
use crate::cli::CliError;

/// Variable of the environment that names the database.
pub(super) const DATABASE_VARIABLE: &str = "FEEDCTL_BENCH_DATABASE";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    feed: String,
    #[arg(long, env = DATABASE_VARIABLE, hide_env_values = true)]
    database: String,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let store = scratch::open_as_service(&args.database).await?;
    let usage = |text: String| CliError::Usage(text);
    let listener = bind(([127, 0, 0, 1], 0).into())
        .await
        .map_err(|error| usage(error.to_string()))?;
    let address = listener
        .local_addr()
        .map_err(|error| usage(error.to_string()))?;
    let router = router(&store, [args.feed.as_str()]).map_err(|error| usage(error.to_string()))?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, router, stop.clone()));
    say(&format!("http://{address}/feeds/{}", args.feed))?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut ended = Ok(());
    while let Ok(Some(line)) = lines.next_line().await {
        ended = obey(&store, &line).await;
        if ended.is_err() {
            break;
        }
    }
    stop.cancel();
    // It was served to the end, or the reader knows already that it was not.
    let _ = serving.await;
    store.close().await;
    ended
}

async fn obey(store: &Store, line: &str) -> Result<(), CliError> {
    let words: Vec<u32> = line
        .split(' ')
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let (Some("append"), &[rate, events, bytes]) = (line.split(' ').next(), words.as_slice())
    else {
        return Err(CliError::Usage(format!(
            "{line:?} is nothing that this server does"
        )));
    };
    append_at(store, rate, events, &Scratch::of(bytes)).await?;
    say("appended")
}

/// Appends at an even rate, whatever time each append takes.
async fn append_at(
    store: &Store,
    rate: u32,
    events: u32,
    scratch: &Scratch,
) -> Result<(), CliError> {
    let began = Instant::now();
    let mut appends = JoinSet::new();
    for number in 0..events {
        sleep_until(began + Duration::from_secs_f64(f64::from(number) / f64::from(rate))).await;
        let (store, scratch) = (store.clone(), scratch.clone());
        appends.spawn(async move { scratch::append(&store, &scratch, number..number + 1).await });
        while let Some(done) = appends.try_join_next() {
            done.map_err(|error| CliError::Usage(error.to_string()))??;
        }
    }
    while let Some(done) = appends.join_next().await {
        done.map_err(|error| CliError::Usage(error.to_string()))??;
    }
    Ok(())
}

fn say(line: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    written.map_err(|error| CliError::Usage(format!("stdout: {error}")))
}
