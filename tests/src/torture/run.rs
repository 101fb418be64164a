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
use super::cluster::{Cluster, Places};
use super::ledger::Books;
use super::mischief::{CUSTOMERS_ORDERS, Mischief, ORDERS_CUSTOMERS};
use super::place::Place;
use super::scenario::{Choice, Scenario, Side, Stores, Who};
use super::template::Template;
use super::witness::{Listener, Witness};
use crate::check::{self, Verdict};
use crate::driver::{self, DriverOptions, PlacedOrder};
use crate::failure::Failure;
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
    /// On which stores the services were.
    pub stores: Stores,
    /// What is wrong.
    pub anomalies: Vec<Anomaly>,
    /// Events that both consumers applied.
    pub applied: usize,
    /// How long it took.
    pub took: Duration,
}

/// What a run is given beside its seed.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// What all runs share.
    pub template: &'a Template,
    /// The stores that it may choose from.
    pub choice: Choice,
    /// A planted bug.
    pub bug: Option<&'a str>,
}

/// Runs a seed in `folder`. What cannot be run is an anomaly too.
pub async fn run(given: Given<'_>, seed: u64, folder: &Path) -> Outcome {
    let began = Instant::now();
    let scenario = Scenario::draw(seed, given.choice);
    let mut anomalies = Vec::new();
    let mut applied = 0;
    let played = match Places::make(given.template, scenario.stores, folder).await {
        Ok(places) => {
            let played = play_on(given, &scenario, folder, &places, &mut anomalies).await;
            if played.is_ok() {
                applied = judge_books(&places, &mut anomalies).await;
            }
            if !anomalies.is_empty() && given.bug.is_none() {
                // What cannot be kept is missed by whoever looks for the cause, and by nothing else.
                let _ = places.dump(given.template, folder).await;
            }
            played
        }
        Err(failure) => Err(failure),
    };
    if let Err(failure) = played {
        anomalies.push(Anomaly::new(Kind::Broken, failure.to_string()));
    }
    anomalies.sort_by_key(|anomaly| anomaly.kind);
    anomalies.dedup();
    Outcome {
        seed,
        stores: scenario.stores,
        anomalies,
        applied,
        took: began.elapsed(),
    }
}

/// Starts the services, lets them go through it, and kills them.
async fn play_on(
    given: Given<'_>,
    scenario: &Scenario,
    folder: &Path,
    places: &Places,
    anomalies: &mut Vec<Anomaly>,
) -> Result<(), Failure> {
    let mut listeners = Vec::new();
    for place in [&places.order, &places.customer] {
        if let Place::Postgres(url) = place {
            listeners.push(Listener::start(url).await?);
        }
    }
    let started = Cluster::start(given.template, scenario, folder, places, given.bug).await;
    let mut cluster = started?;
    let played = play(given.template, scenario, &mut cluster, places, anomalies).await;
    drop(cluster);
    if let Err(failure) = played {
        anomalies.push(Anomaly::new(Kind::Broken, failure.to_string()));
    }
    for listener in listeners {
        anomalies.extend(listener.ended().await);
    }
    Ok(())
}

/// The run itself, up to the moment at which all is settled.
async fn play(
    template: &Template,
    scenario: &Scenario,
    cluster: &mut Cluster,
    places: &Places,
    anomalies: &mut Vec<Anomaly>,
) -> Result<(), Failure> {
    let (order_url, customer_url) = (cluster.order_url.clone(), cluster.customer_url.clone());
    let seconds = &cluster.second_urls;
    let placing = place(
        template,
        scenario,
        &order_url,
        seconds.get(&Who::SecondOrder),
    );
    let mut witnessed = vec![
        (order_url.clone(), Side::Order),
        (customer_url.clone(), Side::Customer),
    ];
    witnessed.extend(seconds.iter().map(|(who, url)| (url.clone(), who.side())));
    let witness = Witness::start(witnessed);
    let mut mischief = Mischief::new(cluster, places, template, scenario).await?;
    mischief.work(scenario.damage_for).await?;
    mischief.heal().await?;

    let settled = tokio::time::timeout(
        SETTLE_MAX,
        settle(&mut mischief, template, placing, &order_url, &customer_url),
    )
    .await;
    anomalies.append(&mut mischief.anomalies);
    anomalies.extend(witness.ended().await);
    let committed = std::mem::take(&mut mischief.meddler.committed);
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
    let orders = placed
        .iter()
        .map(|order| format!("order-{}", order.order_id));
    acknowledged(&places.order, orders, anomalies).await?;
    acknowledged(&places.customer, committed, anomalies).await
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

/// Places the orders while damage is done: half of them at the second instance, where there is one.
fn place(
    template: &Template,
    scenario: &Scenario,
    order_url: &str,
    second_url: Option<&String>,
) -> JoinHandle<Result<Vec<PlacedOrder>, Failure>> {
    let mut random = SmallRng::seed_from_u64(scenario.seed.rotate_left(17));
    let mut orders: Vec<SampleOrder> = template.sample.orders.clone();
    orders.shuffle(&mut random);
    orders.truncate(scenario.orders);
    for (index, order) in orders.iter_mut().enumerate() {
        order.idempotency_key = Some(format!("torture-{}-{index}", scenario.seed));
        order.cancel = random.random_bool(0.3);
    }
    let mut parts = vec![(order_url.to_owned(), orders)];
    if let Some(second) = second_url {
        let half = parts[0].1.len() / 2;
        let others = parts[0].1.split_off(half);
        parts.push((second.clone(), others));
    }
    let runtime = tokio::runtime::Handle::current();
    // On a thread of its own: the driver's future borrows in a way that keeps it from being moved between threads.
    tokio::task::spawn_blocking(move || {
        let placed = parts.iter().map(|(base_url, orders)| async move {
            let options = DriverOptions {
                base_url: base_url.clone(),
                connections: 4,
                retry_for: Some(RETRY_FOR),
            };
            let placed = driver::place(orders, &options, &ProgressBar::hidden()).await;
            placed.map(|placed| placed.orders)
        });
        let placed = runtime.block_on(futures_util::future::try_join_all(placed))?;
        Ok(placed.concat())
    })
}

/// Waits until all orders are settled on both sides and nothing is parked any more.
async fn settle(
    mischief: &mut Mischief<'_>,
    template: &Template,
    placing: JoinHandle<Result<Vec<PlacedOrder>, Failure>>,
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
                    .map_err(|error| Failure::new(error.to_string()))??,
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
            && mischief.is_quiet(&feeds).await
        {
            return Ok(placed.clone());
        }
        // Another run may have let the server crash that all share: nothing can happen until it is back.
        if template
            .server
            .as_ref()
            .is_some_and(|server| server.is_down())
        {
            last_news = Instant::now();
        }
        if last_news.elapsed() > STILL_MAX {
            return Err(Failure::new(format!(
                "nothing happens any more: {standing}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
}

/// Every subject about which an event was acknowledged is in the feed.
async fn acknowledged(
    place: &Place,
    subjects: impl IntoIterator<Item = String>,
    anomalies: &mut Vec<Anomaly>,
) -> Result<(), Failure> {
    let books = Books::read(place).await?;
    let published: HashSet<&str> = books
        .published
        .iter()
        .map(|one| one.subject.as_str())
        .collect();
    for subject in subjects {
        if !published.contains(subject.as_str()) {
            let what = format!("{subject} was accepted and is not in the feed");
            anomalies.push(Anomaly::new(Kind::LostAcknowledged, what));
        }
    }
    Ok(())
}

/// Compares the two databases. Returns how many events were applied.
async fn judge_books(places: &Places, anomalies: &mut Vec<Anomaly>) -> usize {
    let books = (
        Books::read(&places.order).await,
        Books::read(&places.customer).await,
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
