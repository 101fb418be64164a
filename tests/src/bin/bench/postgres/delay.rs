//! How long an event takes from its acknowledgement to its place in the feed, as a reader sees it who looks whenever the
//! store says that there is something new.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use feed_core::{EventId, Expected, Migrations, Position, Store, Subject, Tx, Window};
use feedway_tests::postgres::Cluster;
use tokio::task::JoinHandle;

use super::{open, percentile};
use crate::{Failure, Options};

const PER_SECOND: [u32; 2] = [100, 1_000];
/// Longest time until all events were seen.
const SEEN_MAX: Duration = Duration::from_secs(60);

/// When each event was acknowledged, or seen.
type Moments = HashMap<EventId, Instant>;

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
        let count = (options.appends * 2).min(rate * 10);
        let (here, there) = (watch(&store, count), watch(&other, count));
        let acknowledged = appends(&store, rate, count, options.event_bytes).await?;
        let mut cells = Vec::new();
        for seen in [here, there] {
            let seen = tokio::time::timeout(SEEN_MAX, seen).await???;
            let late = |(id, at): (&EventId, &Instant)| {
                let acknowledged = acknowledged.get(id)?;
                // One that was seen before its writer heard of it was not late at all.
                let late = at.saturating_duration_since(*acknowledged);
                Some(late.as_secs_f64() * 1_000.0)
            };
            let mut ms: Vec<f64> = seen.iter().filter_map(late).collect();
            if ms.len() < count as usize {
                return Err(format!("{} of {count} events were seen", ms.len()).into());
            }
            ms.sort_by(f64::total_cmp);
            let (p50, p99) = (percentile(&ms, 0.5), percentile(&ms, 0.99));
            cells.push(format!("{p50:.2} | {p99:.2}"));
        }
        println!("| {rate} | {} |", cells.join(" | "));
        other.close().await;
        store.close().await;
    }
    Ok(())
}

/// Sees `count` events come.
fn watch(store: &Store, count: u32) -> JoinHandle<Result<Moments, Failure>> {
    let store = store.clone();
    tokio::spawn(async move {
        let log = store.log(super::FEED)?;
        let (mut seen, mut after) = (Moments::new(), Position::START);
        let mut commits = store.commits();
        while seen.len() < count as usize {
            commits.mark_unchanged();
            let window = Window::After {
                after,
                limit: 1_000,
            };
            let (_, events) = log.read(window).await?;
            let now = Instant::now();
            after = events.last().map_or(after, |event| event.position);
            seen.extend(events.iter().map(|event| (event.id, now)));
            if events.is_empty() {
                commits.changed().await?;
            }
        }
        Ok(seen)
    })
}

/// Appends at an even rate, whatever time each append takes.
async fn appends(store: &Store, rate: u32, count: u32, bytes: usize) -> Result<Moments, Failure> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..count {
        let due = began + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
        tokio::time::sleep_until(due.into()).await;
        let id = EventId::now();
        let event = crate::append::data(number, bytes)?.with_id(id);
        let subject = Subject::new(format!("subject-{number:08}"))?;
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let work = async move |tx: &mut Tx<'_>| {
                let events = std::slice::from_ref(&event);
                tx.append(super::FEED, &subject, Expected::New, events)
                    .await
            };
            store.write(work).await?;
            Ok::<_, Failure>((id, Instant::now()))
        }));
    }
    let mut acknowledged = Moments::new();
    for task in tasks {
        let (id, at) = task.await??;
        acknowledged.insert(id, at);
    }
    Ok(acknowledged)
}
