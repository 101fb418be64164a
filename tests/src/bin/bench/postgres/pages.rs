//! Reading pages of a feed that grows, with the plans at each size.

use std::time::Instant;

use feed_core::{PageNumber, Position, Window};
use feedway_tests::postgres::{Cluster, connect};

use super::{median, open};
use crate::{Failure, Options};

const READS: usize = 200;
/// Rows that are inserted by one statement.
const CHUNK: i64 = 500_000;

/// As many rows as are wanted, as a service in any language might insert them.
const FILL: &str = "
INSERT INTO outbox (feed, id, type, subject, version, time_us, data)
SELECT 1, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Measured', 'subject-' || n, 1, n,
    convert_to(json_build_object('number', n, 'filler', repeat('x', $3::int))::text, 'UTF8')
FROM generate_series($1::bigint, $2::bigint) AS n";

pub(super) async fn run(cluster: &Cluster, options: &Options) -> Result<(), Failure> {
    println!(
        "\n| events in the feed | first page, ms | page in the middle | newest page | tail of 10 | one event by id | append | filled and sequenced, events/s |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let (database, store) = open(cluster, "").await?;
    let client = connect(database.url()).await?;
    let admin = cluster.admin("postgres").await?;
    let log = store.log(super::FEED)?;
    let filler = options.event_bytes.saturating_sub(40).max(1) as i32;
    let mut filled = 0_i64;
    let mut plans = Vec::new();
    let sizes = [10_000_i64, 100_000, 1_000_000, 10_000_000];
    for size in sizes
        .into_iter()
        .filter(|size| *size <= i64::from(options.page_events))
    {
        let began = Instant::now();
        let before = filled;
        while filled < size {
            let upto = (filled + CHUNK).min(size);
            eprintln!("filling: {upto} of {size}");
            client
                .execute(FILL, &[&(filled + 1), &upto, &filler])
                .await?;
            store.sequenced().await?;
            filled = upto;
        }
        let rate = (size - before) as f64 / began.elapsed().as_secs_f64();
        // What such a fill leaves to be done in the background would be measured otherwise.
        client.batch_execute("VACUUM (ANALYZE) outbox").await?;
        client.batch_execute("VACUUM (ANALYZE) positions").await?;
        admin.batch_execute("CHECKPOINT").await?;
        let head = log.state().await?.head.position.get();
        if (head as i64) < size {
            return Err(format!("the feed ends at {head}, not {size}").into());
        }
        let page = |number: u64| Ok::<_, Failure>(Window::Page(PageNumber::new(number)?));
        let capacity = u64::from(log.state().await?.identity.capacity.get());
        let windows = [
            page(1)?,
            page((head / capacity / 2).max(1))?,
            Window::NewestPage,
            Window::After {
                after: Position::new(head - 10)?,
                limit: 100,
            },
        ];
        let mut cells = Vec::new();
        for window in windows {
            let mut took = Vec::new();
            for _ in 0..READS {
                let began = Instant::now();
                let (_, events) = log.read(window).await?;
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
                if events.is_empty() {
                    return Err(format!("{window:?} is empty").into());
                }
            }
            cells.push(format!("{:.2}", median(took)));
        }
        let (_, newest) = log.read(Window::Newest { limit: 1 }).await?;
        let id = newest.first().ok_or("the feed is empty")?.id;
        let (mut by_id, mut appends) = (Vec::new(), Vec::new());
        for number in 0..READS as u32 {
            let began = Instant::now();
            log.event(id).await?.ok_or("an event is not there")?;
            by_id.push(began.elapsed().as_secs_f64() * 1_000.0);
            let began = Instant::now();
            let first = 80_000_000 + size as u32 % 70_000_000 + number;
            crate::append::append_one(&store, first, 1, options.event_bytes).await?;
            appends.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        cells.push(format!("{:.2}", median(by_id)));
        cells.push(format!("{:.2}", median(appends)));
        println!("| {size} | {} | {rate:.0} |", cells.join(" | "));
        plans.push((size, plan(&client, head as i64 / 2).await?));
    }
    for (size, plan) in plans {
        println!("\nThe page's plan at {size} events, as prepared:\n\n```\n{plan}\n```");
    }
    drop(client);
    store.close().await;
    Ok(())
}

/// The generic plan of the join that reads a page, from position `first` on.
async fn plan(client: &tokio_postgres::Client, first: i64) -> Result<String, Failure> {
    client
        .batch_execute(
            "SET plan_cache_mode = force_generic_plan; SET jit = off;
             PREPARE page(bigint, bigint, bigint) AS
                 SELECT p.position, o.* FROM positions p CROSS JOIN LATERAL (
                     SELECT * FROM outbox WHERE feed = $1 AND xid = p.xid AND event_no = p.event_no OFFSET 0
                 ) o
                 WHERE p.feed = $1 AND p.position <= $3 AND p.position >= $2 ORDER BY p.position",
        )
        .await?;
    let explain = format!(
        "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE page(1, {first}, {})",
        first + 99
    );
    let lines = client.simple_query(&explain).await?;
    client.batch_execute("DEALLOCATE page").await?;
    let text = lines.iter().filter_map(|line| match line {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(text.collect::<Vec<_>>().join("\n"))
}
