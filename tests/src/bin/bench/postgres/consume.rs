//! A consumer on PostgreSQL that writes a row for each event, in one partition and in several; the feed it reads is served
//! by the same process, on the same cluster.

use std::time::{Duration, Instant};

use feed_core::{Consumer, Event, Handlers, Migrations, Store, Tx};
use feedway_tests::postgres::{Cluster, Database};
use tokio_util::sync::CancellationToken;

use super::{FEED, median, open};
use crate::{Failure, Options};

const PARTITIONS: [u32; 3] = [1, 2, 4];
const MIGRATIONS: Migrations = Migrations {
    owner: "bench",
    sqlite: &[],
    postgres: &[(
        "V1__seen",
        "CREATE TABLE seen (position BIGINT PRIMARY KEY, subject TEXT NOT NULL)",
    )],
};
/// Longest time that one run may take.
const RUN_MAX: Duration = Duration::from_secs(300);

pub(super) async fn run(cluster: &Cluster, options: &Options) -> Result<(), Failure> {
    println!("\n| partitions | events/s, a row each | ratio to one |\n| ---: | ---: | ---: |");
    let (_database, store) = open(cluster, "").await?;
    let events = options.feed.min(50_000);
    for first in (0..events).step_by(500) {
        let count = 500.min(events - first);
        // Subjects of their own, so that there is something to be split by.
        let appends = (first..first + count)
            .map(|number| crate::append::append_one(&store, number, 1, options.event_bytes));
        futures_util::future::try_join_all(appends).await?;
    }
    store.sequenced().await?;
    let stop = CancellationToken::new();
    let listener = feed_core::server::bind(([127, 0, 0, 1], 0).into()).await?;
    let url = format!("http://{}/feeds/{FEED}", listener.local_addr()?);
    let router = feed_core::server::router(&store, [FEED])?;
    tokio::spawn(feed_core::server::serve(listener, router, stop.clone()));
    let mut one = None;
    for partitions in PARTITIONS {
        let mut rates = Vec::new();
        for round in 0..options.rounds {
            eprintln!(
                "{partitions} partitions, round {} of {}",
                round + 1,
                options.rounds
            );
            rates.push(consume(cluster, &url, partitions, events).await?);
        }
        let rate = median(rates);
        let one = *one.get_or_insert(rate);
        println!("| {partitions} | {rate:.0} | {:.2} |", rate / one);
    }
    stop.cancel();
    store.close().await;
    Ok(())
}

async fn consume(
    cluster: &Cluster,
    url: &str,
    partitions: u32,
    events: u32,
) -> Result<f64, Failure> {
    let database = Database::on(cluster, "consume").await?;
    let store = Store::open(database.url(), MIGRATIONS).await?;
    let handlers = Handlers::new().on("Measured", async |tx: &mut Tx<'_>, event: &Event| {
        let position = event.position.get() as i64;
        tx.execute(
            "INSERT INTO seen (position, subject) VALUES ($1, $2)",
            &[position.into(), event.subject.as_str().into()],
        )
        .await?;
        Ok(())
    });
    let stop = CancellationToken::new();
    let consumer = Consumer::new(&store, "bench/bench", url)?
        .partitions(partitions)?
        .handlers(handlers);
    let began = Instant::now();
    let running = consumer.spawn(stop.clone());
    loop {
        let seen = store
            .query::<(i64,)>("SELECT count(*) FROM seen", &[])
            .await?;
        if seen
            .first()
            .is_some_and(|(count,)| *count >= i64::from(events))
        {
            break;
        }
        if began.elapsed() > RUN_MAX {
            return Err(format!("{partitions} partitions are not done after {RUN_MAX:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed();
    stop.cancel();
    running.await??;
    store.close().await;
    Ok(f64::from(events) / took.as_secs_f64())
}
