//! From the append to its reader: an event is appended in one process, and read in another one that waits for it.

use std::time::{Duration, Instant};

use clap::Args;
use feed_core::client::{ClientOptions, FeedClient, FetchOptions, Fetched, Seen, verify};
use feed_core::{After, Consumer, Event, Handlers, Migrations, StartAt, Store, Tx};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::served::{FEED, ServeOptions, Server};

/// How long nothing is counted at the beginning.
const WARMING: Duration = Duration::from_secs(1);
/// How long an empty poll waits.
const WAIT: Duration = Duration::from_secs(20);

/// Measure the time from an append to its reader by long poll: a reader that verifies, and a consumer with a handler.
#[derive(Args)]
pub(crate) struct LatencyOptions {
    /// Events a second.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// How long it is measured, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Rounds; each is told.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Bytes of data in an event.
    #[arg(long, default_value_t = 512)]
    event_bytes: usize,
}

pub(crate) fn run(runtime: &Runtime, options: &LatencyOptions) -> Result<(), Failure> {
    println!(
        "From before the append to the reader, {} events a second, milliseconds.\n",
        options.rate
    );
    println!("| reader | events | p50 | p90 | p99 | p99.9 |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for _ in 0..options.rounds {
        let serve = ServeOptions::pages(100, options.event_bytes).rate(options.rate);
        let server = Server::start(&serve)?;
        let time = Duration::from_secs(options.seconds);
        tell(
            "long poll, verified",
            runtime.block_on(read(&server, time))?,
        );
        let server = Server::start(&serve)?;
        tell(
            "consumer's handler",
            runtime.block_on(consume(&server, time))?,
        );
    }
    Ok(())
}

/// How long ago the event was made, in milliseconds.
fn age_ms(event: &Event) -> f64 {
    let age = chrono::Utc::now() - event.time;
    age.num_microseconds().unwrap_or(i64::MAX) as f64 / 1_000.0
}

async fn read(server: &Server, time: Duration) -> Result<Vec<f64>, Failure> {
    let client = FeedClient::new(
        &server.url(&format!("/feeds/{FEED}")),
        ClientOptions::default(),
    )?;
    let began = Instant::now();
    let (mut url, mut seen) = (client.tail(&After::Now), Seen::Nothing);
    let mut ages = Vec::new();
    while began.elapsed() < WARMING + time {
        let waiting = FetchOptions {
            wait: Some(WAIT),
            ..FetchOptions::default()
        };
        let Fetched::Page(page) = client.fetch(&url, waiting).await? else {
            return Err("the feed answered 304 to a request without a tag".into());
        };
        if let (Seen::Nothing, Some(head)) = (seen, page.document.head) {
            // The first answer is the one behind the newest event.
            seen = Seen::Cursor(head);
        }
        let fresh = verify(seen, page.document.events)?;
        if began.elapsed() > WARMING {
            ages.extend(fresh.iter().map(age_ms));
        }
        seen = fresh
            .last()
            .map_or(seen, |last| Seen::Cursor(last.cursor()));
        url = page.next.ok_or("a document without next")?;
    }
    Ok(ages)
}

async fn consume(server: &Server, time: Duration) -> Result<Vec<f64>, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("reader.db");
    let store = Store::open(&path.to_string_lossy(), Migrations::NONE).await?;
    let (told, mut ages) = tokio::sync::mpsc::unbounded_channel();
    let handlers = Handlers::new().on("Measured", async move |_: &mut Tx<'_>, event: &Event| {
        // A batch that is run again tells twice; it is not, when nothing fails.
        let _ = told.send(age_ms(event));
        Ok(())
    });
    let consumer = Consumer::new(
        &store,
        "bench/bench",
        &server.url(&format!("/feeds/{FEED}")),
    )?
    .start_at(StartAt::NOW)
    .handlers(handlers);
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    tokio::time::sleep(WARMING).await;
    while ages.try_recv().is_ok() {}
    tokio::time::sleep(time).await;
    stop.cancel();
    let _ = running.await;
    let mut all = Vec::new();
    while let Ok(age) = ages.try_recv() {
        all.push(age);
    }
    store.close().await;
    Ok(all)
}

fn tell(reader: &str, mut ages: Vec<f64>) {
    ages.sort_by(f64::total_cmp);
    let at = |share| crate::postgres::percentile(&ages, share);
    println!(
        "| {reader} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
        ages.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999)
    );
}
