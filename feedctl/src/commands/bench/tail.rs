//! `feedctl bench tail`: how long an event takes to a reader who waits for it.

use std::time::{Duration, Instant};

use chrono::Utc;
use feed_core::client::{ClientOptions, FeedClient};
use feed_core::{After, Event};
use url::Url;

use super::figures::{Figures, Rounds};
use super::scratch::{EVENT_TYPE, Payload};
use super::target::{Served, Target, fetch};
use crate::cli::CliError;
use crate::progress::Steps;

/// How long the server is asked to wait.
const WAIT: Duration = Duration::from_secs(20);
/// Longest time until all that was appended has come.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

const AFTER_HELP: &str = "\
One reader waits by long poll. With FEED-URL it takes what the service publishes by itself meanwhile, and the time runs from
`recorded`, when the event got its position, to the reader; both clocks have to agree. Otherwise events are appended at an even
rate by the process that serves them, and the time runs from before the append: its sync to the disk is in it.

Exit codes: 0 measured; 1 the feed said no, or nothing came; 2 wrong usage, or it cannot be reached.

Examples:
  feedctl bench tail --rate 1000
  feedctl bench tail --database postgres://order@127.0.0.1/order
  feedctl bench tail http://127.0.0.1:8081/feeds/orders --seconds 60";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Events a second that are appended
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How long a round takes, in seconds
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    #[command(flatten)]
    rounds: Rounds,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let steps = Steps::new("measuring", u64::from(args.rounds.rounds));
    let mut served = if args.target.is_a_services() {
        args.target.serve().await?
    } else {
        args.target.serve_to_write().await?
    };
    let mut figures = Figures::of(served.name.clone());
    for _ in 0..args.rounds.rounds {
        if args.target.is_a_services() {
            watched(&served, &args, &mut figures).await?;
        } else {
            appended(&mut served, &args, &mut figures).await?;
        }
        steps.one_more();
    }
    drop(steps);
    figures.print(args.rounds).await
}

/// Follows a feed from its head on.
struct Follower {
    client: FeedClient,
    url: Url,
}

impl Follower {
    async fn new(served: &Served) -> Result<Self, CliError> {
        let client = served.client(ClientOptions::default())?;
        let url = client.tail(&After::Now);
        let mut follower = Follower { client, url };
        follower.next(None).await?;
        Ok(follower)
    }

    async fn next(&mut self, wait: Option<Duration>) -> Result<Vec<Event>, CliError> {
        let page = fetch(&self.client, &self.url, wait).await?;
        if let Some(next) = page.next {
            self.url = next;
        }
        Ok(page.document.events)
    }
}

async fn appended(served: &mut Served, args: &Args, figures: &mut Figures) -> Result<(), CliError> {
    let mut follower = Follower::new(served).await?;
    let events = args.rate * args.seconds;
    if let Some(server) = &mut served.server {
        let bytes = args.target.scratch.bytes;
        server
            .tell(&format!("append {} {events} {bytes}", args.rate))
            .await?;
    }
    let (mut ms, began) = (Vec::new(), Instant::now());
    let arrival_max = ARRIVAL_MAX + Duration::from_secs(u64::from(args.seconds));
    while ms.len() < events as usize {
        if began.elapsed() > arrival_max {
            let came = ms.len();
            return Err(CliError::Refused(format!(
                "{came} of {events} events came in {arrival_max:?}"
            )));
        }
        let came = follower.next(Some(WAIT)).await?;
        let now_us = Utc::now().timestamp_micros();
        for event in came
            .iter()
            .filter(|event| event.event_type.as_str() == EVENT_TYPE)
        {
            let payload: Payload = event
                .decode()
                .map_err(|error| CliError::Refused(error.to_string()))?;
            ms.push((now_us - payload.appended_us) as f64 / 1_000.0);
        }
    }
    if let Some(server) = &mut served.server {
        server.line().await?;
    }
    figures.add(
        "arrived",
        "events/s",
        ms.len() as f64 / began.elapsed().as_secs_f64(),
    );
    figures.add_times("append to reader", ms);
    Ok(())
}

async fn watched(served: &Served, args: &Args, figures: &mut Figures) -> Result<(), CliError> {
    let mut follower = Follower::new(served).await?;
    let (mut ms, began) = (Vec::new(), Instant::now());
    let until = began + Duration::from_secs(u64::from(args.seconds));
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(came) = tokio::time::timeout(left, follower.next(Some(WAIT))).await else {
            break;
        };
        let now = Utc::now();
        let late = |event: &Event| (now - event.recorded).as_seconds_f64() * 1_000.0;
        ms.extend(came?.iter().map(late));
    }
    if ms.is_empty() {
        return Err(CliError::Refused(format!(
            "nothing was published in {} s; --seconds waits longer, and without FEED-URL events are made",
            args.seconds
        )));
    }
    figures.add(
        "arrived",
        "events/s",
        ms.len() as f64 / began.elapsed().as_secs_f64(),
    );
    figures.add_times("recorded to reader", ms);
    Ok(())
}
