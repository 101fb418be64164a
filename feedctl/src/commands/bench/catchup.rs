//! `feedctl bench catchup`: what a reader gets that has the whole feed before it.

use std::time::Instant;

use feed_core::After;
use feed_core::client::{ClientOptions, Seen, verify};

use super::figures::{Figures, Rounds};
use super::target::{Served, Target, fetch};
use crate::cli::CliError;
use crate::progress::Steps;

const AFTER_HELP: &str = "\
One reader follows the feed from its start, document by document, over HTTP: each event is parsed, its running check computed,
and then forgotten. In the first round the server may still have to make the pages.

Exit codes: 0 measured; 1 the feed said no, or its checks are wrong; 2 wrong usage, or it cannot be reached.

Examples:
  feedctl bench catchup http://127.0.0.1:8081/feeds/orders
  feedctl bench catchup --database order.db --at-most 100000
  feedctl bench catchup --events 1000000 -o json";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Most events that are read
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    at_most: u64,
    #[command(flatten)]
    rounds: Rounds,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let served = args.target.serve().await?;
    let mut figures = Figures::of(served.name.clone());
    for _ in 0..args.rounds.rounds {
        round(&served, args.at_most, &mut figures).await?;
    }
    figures.print(args.rounds).await
}

async fn round(served: &Served, at_most: u64, figures: &mut Figures) -> Result<(), CliError> {
    let client = served.client(ClientOptions::default())?;
    let steps = Steps::new("reading", 0);
    let (mut seen, mut events, mut took) = (Seen::Nothing, 0, Vec::new());
    let mut url = client.tail(&After::Start);
    let began = Instant::now();
    while events < at_most {
        let asked = Instant::now();
        let page = fetch(&client, &url, None).await?;
        let fresh = verify(seen, page.document.events)
            .map_err(|error| CliError::Refused(format!("{url}: {error}")))?;
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
        events += fresh.len() as u64;
        steps.done_to(events);
        seen = fresh
            .last()
            .map_or(seen, |last| Seen::Cursor(last.cursor()));
        match page.next {
            Some(next) if !fresh.is_empty() && page.document.caught_up != Some(true) => url = next,
            _ => break,
        }
    }
    if events == 0 {
        return Err(CliError::Refused("the feed has no event to be read".into()));
    }
    let seconds = began.elapsed().as_secs_f64();
    figures.add("read and verified", "events/s", events as f64 / seconds);
    figures.add("documents", "documents/s", took.len() as f64 / seconds);
    figures.add_times("one document", took);
    Ok(())
}
