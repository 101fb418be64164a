//! How long an event takes from its acknowledgement to its place in the feed, as a waiting reader sees it.

use std::time::{Duration, Instant};

use feed_core::{EventId, Expected, Migrations, Store, Subject, Tx};
use feedway_tests::postgres::Cluster;

use super::{open, percentile};
use crate::{Failure, Options};

const PER_SECOND: [u32; 2] = [100, 1_000];

pub(super) async fn run(cluster: &Cluster, options: &Options) -> Result<(), Failure> {
    println!(
        "\n| appends a second | from commit to visible, p50 ms | p99 ms | seen by another process, p50 ms | p99 ms |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for rate in PER_SECOND {
        eprintln!("delay at {rate} a second");
        let (database, store) = open(cluster, "").await?;
        // Another process, as far as the store is concerned: it learns of commits by being notified.
        let other = Store::open(database.url(), Migrations::NONE).await?;
        let count = (options.appends / 2).min(rate * 10);
        let (mut here, mut there) = (Vec::new(), Vec::new());
        let mut tasks = Vec::new();
        let began = Instant::now();
        for number in 0..count {
            let due = began + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
            tokio::time::sleep_until(due.into()).await;
            let id = EventId::now();
            let event = crate::append::data(number, options.event_bytes)?.with_id(id);
            let subject = Subject::new(format!("subject-{number:08}"))?;
            let (store, other) = (store.clone(), other.clone());
            tasks.push(tokio::spawn(async move {
                let work = async move |tx: &mut Tx<'_>| {
                    tx.append(
                        super::FEED,
                        &subject,
                        Expected::New,
                        std::slice::from_ref(&event),
                    )
                    .await
                };
                store.write(work).await?;
                let acknowledged = Instant::now();
                let wait = Duration::from_secs(30);
                let seen = async |store: &Store| {
                    let seen = store.log(super::FEED)?.cursor_of(id, wait).await?;
                    seen.ok_or("an event was not visible within 30 s")?;
                    Ok::<_, Failure>(acknowledged.elapsed().as_secs_f64() * 1_000.0)
                };
                let (here, there) = tokio::join!(seen(&store), seen(&other));
                Ok::<_, Failure>((here?, there?))
            }));
        }
        for task in tasks {
            let (ms_here, ms_there) = task.await??;
            here.push(ms_here);
            there.push(ms_there);
        }
        here.sort_by(f64::total_cmp);
        there.sort_by(f64::total_cmp);
        println!(
            "| {rate} | {:.2} | {:.2} | {:.2} | {:.2} |",
            percentile(&here, 0.5),
            percentile(&here, 0.99),
            percentile(&there, 0.5),
            percentile(&there, 0.99)
        );
        other.close().await;
        store.close().await;
    }
    Ok(())
}
