//! One seed, from the start of the services to the verdict.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;

use super::anomaly::{Anomaly, Kind};
use super::checker::Sides;
use super::cluster::{Cluster, Template};
use super::ledger::Books;
use super::mischief::{CUSTOMERS_ORDERS, Mischief, ORDERS_CUSTOMERS};
use super::scenario::{Scenario, Who};
use crate::check::{self, Verdict};
use crate::driver::{self, DriverOptions, PlacedOrder, Placement};
use crate::failure::Failure;
use crate::history::History;
use crate::sample::SampleOrder;
use crate::settling::Feeds;

/// How long nothing may happen after all was healed, until a run counts as stalled.
const STILL_MAX: Duration = Duration::from_secs(15);
/// Longest time from the healing to the end of a run.
const SETTLE_MAX: Duration = Duration::from_secs(40);
/// How long an order's request is sent again.
const RETRY_FOR: Duration = Duration::from_secs(25);
/// Time between two looks while orders settle, in milliseconds.
const LOOK_MS: u64 = 10;
/// Longest time of one look, in milliseconds.
const LOOK_MS_MAX: u64 = 250;

/// What came of a seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What is wrong.
    pub anomalies: Vec<Anomaly>,
    /// Events that both consumers applied.
    pub applied: usize,
    /// How long it took.
    pub took: Duration,
}

/// Runs a seed in `folder`, with a planted bug or none. What cannot be run is an anomaly too.
pub async fn run(template: &Template, seed: u64, folder: &Path, bug: Option<&str>) -> Outcome {
    let began = Instant::now();
    let scenario = Scenario::draw(seed);
    let mut anomalies = Vec::new();
    let mut applied = 0;
    match Cluster::start(template, &scenario, folder, bug).await {
        Err(failure) => anomalies.push(Anomaly::new(Kind::Broken, failure.to_string())),
        Ok(mut cluster) => {
            let ran = play(template, &scenario, &mut cluster, &mut anomalies).await;
            if let Err(failure) = ran {
                anomalies.push(Anomaly::new(Kind::Broken, failure.to_string()));
            }
            drop(cluster);
            applied = judge_books(folder, &mut anomalies);
        }
    }
    anomalies.sort_by_key(|anomaly| anomaly.kind);
    anomalies.dedup();
    Outcome {
        seed,
        anomalies,
        applied,
        took: began.elapsed(),
    }
}

/// The run itself, up to the moment at which all is settled.
async fn play(
    template: &Template,
    scenario: &Scenario,
    cluster: &mut Cluster,
    anomalies: &mut Vec<Anomaly>,
) -> Result<(), Failure> {
    let (order_url, customer_url) = (cluster.order_url.clone(), cluster.customer_url.clone());
    let placing = place(template, scenario, &order_url);
    let witness = witness(&order_url, &customer_url);
    let mut mischief = Mischief::new(cluster, scenario).await?;
    mischief.work(scenario.damage_for).await?;
    mischief.heal().await?;

    let settled = tokio::time::timeout(
        SETTLE_MAX,
        settle(&mut mischief, placing, &order_url, &customer_url),
    )
    .await;
    anomalies.append(&mut mischief.anomalies);
    anomalies.extend(witness.ended().await);
    let placed = match settled {
        Ok(Ok(placed)) => placed,
        Ok(Err(failure)) => {
            anomalies.push(Anomaly::new(Kind::Stalled, failure.to_string()));
            return Ok(());
        }
        Err(_) => {
            anomalies.push(Anomaly::new(
                Kind::Stalled,
                format!("after {} s", SETTLE_MAX.as_secs()),
            ));
            return Ok(());
        }
    };
    // Where events were parked, they were decided on in another order than the feed's.
    if !scenario.parks() {
        let verdict = checked(&mut mischief, template, &placed, &order_url, &customer_url).await?;
        let wrong = verdict.differences.iter();
        anomalies.extend(wrong.map(|one| Anomaly::new(Kind::WrongState, one.to_string())));
    }
    acknowledged(cluster, &placed, anomalies)
}

/// Compares what the services say with the calculation. They may still crash or stop by themselves meanwhile.
async fn checked(
    mischief: &mut Mischief<'_>,
    template: &Template,
    placed: &[PlacedOrder],
    order_url: &str,
    customer_url: &str,
) -> Result<Verdict, Failure> {
    let began = Instant::now();
    loop {
        let checking = check::check(&template.sample, placed, order_url, customer_url);
        let mut checking = std::pin::pin!(checking);
        let checked = loop {
            tokio::select! {
                checked = &mut checking => break checked,
                () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => mischief.look_after().await?,
            }
        };
        match checked {
            Err(_) if began.elapsed() < STILL_MAX => mischief.look_after().await?,
            checked => return checked,
        }
    }
}

/// Places the orders while damage is done.
fn place(
    template: &Template,
    scenario: &Scenario,
    order_url: &str,
) -> JoinHandle<Result<Placement, Failure>> {
    let mut random = SmallRng::seed_from_u64(scenario.seed.rotate_left(17));
    let mut orders: Vec<SampleOrder> = template.sample.orders.clone();
    orders.shuffle(&mut random);
    orders.truncate(scenario.orders);
    for (index, order) in orders.iter_mut().enumerate() {
        order.idempotency_key = Some(format!("torture-{}-{index}", scenario.seed));
        order.cancel = random.random_bool(0.3);
    }
    let options = DriverOptions {
        base_url: order_url.to_owned(),
        connections: 4,
        retry_for: Some(RETRY_FOR),
    };
    let runtime = tokio::runtime::Handle::current();
    // On a thread of its own: the driver's future borrows in a way that keeps it from being moved between threads.
    tokio::task::spawn_blocking(move || {
        runtime.block_on(driver::place(&orders, &options, &ProgressBar::hidden()))
    })
}

/// Waits until all orders are settled on both sides and nothing is parked any more.
async fn settle(
    mischief: &mut Mischief<'_>,
    placing: JoinHandle<Result<Placement, Failure>>,
    order_url: &str,
    customer_url: &str,
) -> Result<Vec<PlacedOrder>, Failure> {
    let mut feeds = Feeds::new(order_url, customer_url)?;
    let (mut placing, mut placed) = (Some(placing), None);
    let mut last_news = Instant::now();
    let mut last_retry: Option<Instant> = None;
    loop {
        mischief.look_after().await?;
        if last_retry.is_none_or(|last| last.elapsed() > Duration::from_millis(100)) {
            mischief.retry_all();
            last_retry = Some(Instant::now());
        }
        if placing.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(done) = placing.take()
        {
            placed = Some(
                done.await
                    .map_err(|error| Failure::new(error.to_string()))??
                    .orders,
            );
        }
        // A service may be on its way up, or have stopped itself.
        let looked = tokio::time::timeout(Duration::from_millis(LOOK_MS_MAX), feeds.read_on());
        if looked
            .await
            .is_ok_and(|read| read.is_ok_and(|news| news > 0))
        {
            last_news = Instant::now();
        }
        let standing = feeds.standing();
        if let Some(placed) = &placed
            && standing.created >= placed.len()
            && standing.settled == standing.created
            && mischief.is_quiet(&feeds)
        {
            return Ok(placed.clone());
        }
        if last_news.elapsed() > STILL_MAX {
            return Err(Failure::new(format!(
                "nothing happens any more: {standing}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
}

/// Every order that was acknowledged is in the orders feed.
fn acknowledged(
    cluster: &Cluster,
    placed: &[PlacedOrder],
    anomalies: &mut Vec<Anomaly>,
) -> Result<(), Failure> {
    let books = Books::read(&cluster.database(Who::Order))?;
    let subjects: HashSet<&str> = books
        .published
        .iter()
        .map(|one| one.subject.as_str())
        .collect();
    for order in placed {
        if !subjects.contains(format!("order-{}", order.order_id).as_str()) {
            let what = format!(
                "order {} was accepted and is not in the feed",
                order.order_id
            );
            anomalies.push(Anomaly::new(Kind::LostAcknowledged, what));
        }
    }
    Ok(())
}

/// Compares the two databases. Returns how many events were applied.
fn judge_books(folder: &Path, anomalies: &mut Vec<Anomaly>) -> usize {
    let books = (
        Books::read(&folder.join("order.db")),
        Books::read(&folder.join("customer.db")),
    );
    let (order, customer) = match books {
        (Ok(order), Ok(customer)) => (order, customer),
        (Err(failure), _) | (_, Err(failure)) => {
            anomalies.push(Anomaly::new(Kind::Broken, failure.to_string()));
            return 0;
        }
    };
    for (subscription, consumer, producer) in [
        (ORDERS_CUSTOMERS, &order, &customer),
        (CUSTOMERS_ORDERS, &customer, &order),
    ] {
        anomalies.extend(
            Sides {
                subscription,
                consumer,
                producer,
            }
            .at_the_end(),
        );
    }
    order.applied.len() + customer.applied.len()
}

/// Reads both feeds all the time, beside the proxies: what they have shown must stay true.
struct Witness {
    stop: tokio_util::sync::CancellationToken,
    task: JoinHandle<Vec<Anomaly>>,
}

fn witness(order_url: &str, customer_url: &str) -> Witness {
    let stop = tokio_util::sync::CancellationToken::new();
    let feeds = [
        (order_url.to_owned(), "orders"),
        (customer_url.to_owned(), "customers"),
    ];
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let mut anomalies = Vec::new();
        let mut histories: Vec<History> = feeds
            .iter()
            .filter_map(|(url, feed)| History::new(url, feed).ok())
            .collect();
        while !stopped.is_cancelled() {
            for history in &mut histories {
                while let Ok(more) = look(history, &mut anomalies).await {
                    if !more {
                        break;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS * 3)).await;
        }
        anomalies
    });
    Witness { stop, task }
}

/// One document. What is not reached is no breach; what does not follow on is.
async fn look(history: &mut History, anomalies: &mut Vec<Anomaly>) -> Result<bool, ()> {
    let looked = tokio::time::timeout(Duration::from_secs(2), history.read_on()).await;
    match looked {
        Ok(Ok(more)) => Ok(more),
        Ok(Err(failure)) => {
            let text = failure.to_string();
            if text.contains("cursor-")
                || text.contains("not the history")
                || text.contains("was expected")
            {
                anomalies.push(Anomaly::new(
                    Kind::DivergedPosition,
                    format!("{}: {text}", history.url()),
                ));
            }
            Err(())
        }
        Err(_) => Err(()),
    }
}

impl Witness {
    async fn ended(self) -> Vec<Anomaly> {
        self.stop.cancel();
        self.task.await.unwrap_or_default()
    }
}
