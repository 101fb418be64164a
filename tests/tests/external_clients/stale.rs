//! A cache in between that gives old answers, answers to other questions, and the other representation, except where it
//! is told to look at the service again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use feed_core::client::ClientOptions;
use feed_core::{Consumer, Event, Format, Handlers, StepOutcome, Window};
use feedway_tests::service::free_address;
use http::request::Parts;
use http::{StatusCode, header};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use url::Url;

use super::between::{Between, Copy};
use super::feeds::{Odd, append, lit};
use super::reader::{self, Reader};
use super::running::{Running, Setup};
use super::scripted::LIT;
use super::tools::say;

/// Histories that are read through a cache of its own each.
const CACHES: u64 = 20;
/// Times that something is appended to a history.
const APPENDS: usize = 12;
/// Steps of each reader in one go, at most.
const STEPS: usize = 30;
/// Polls after which every reader has everything, once the cache is healed.
const POLLS: usize = 30;
/// Orders that are placed in one go, while the services read each other through such caches.
const ORDERS_IN_ONE_GO: usize = 5;
/// Goes, at most.
const GOES_MAX: usize = 200;
/// Orders under way at once.
const CONNECTIONS: usize = 4;
/// Wrong answers that each cache gives at least.
const WRONG: usize = 25;
/// How long a go waits for one more of each. Who has caught up waits at the service for news: more orders are news.
const WRONG_WITHIN: Duration = Duration::from_millis(300);
/// Time between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// The cache. What it says is wrong until it is healed.
#[derive(Clone)]
struct Stale {
    copies: Arc<Mutex<Copies>>,
    healed: Arc<AtomicBool>,
    wrong: Arc<AtomicUsize>,
}

/// All that was ever answered, by path and query; both representations stand under the same.
struct Copies {
    kept: HashMap<String, Vec<Copy>>,
    random: SmallRng,
}

impl Stale {
    fn new(seed: u64) -> Self {
        let copies = Copies {
            kept: HashMap::new(),
            random: SmallRng::seed_from_u64(seed),
        };
        Stale {
            copies: Arc::new(Mutex::new(copies)),
            healed: Arc::default(),
            wrong: Arc::default(),
        }
    }

    async fn before(&self, upstream: &str) -> Between {
        let stale = self.clone();
        Between::start(upstream, move |asked, fresh| stale.answer(asked, fresh)).await
    }

    fn answer(&self, asked: &Parts, fresh: Copy) -> Copy {
        let mut copies = self.copies.lock().unwrap();
        // Refusals and failures are kept by no cache, however bad: they say so.
        if fresh.status == StatusCode::OK || fresh.status.is_redirection() {
            let kept = copies.kept.entry(asked.uri.to_string()).or_default();
            kept.push(fresh.clone());
        }
        let directive = asked.headers.get(header::CACHE_CONTROL);
        let told = directive.is_some_and(|directive| directive == "no-cache");
        if told || self.healed.load(Ordering::SeqCst) {
            return fresh;
        }
        match copies.wrong_one(&asked.uri.to_string()) {
            Some(wrong) => {
                self.wrong.fetch_add(1, Ordering::SeqCst);
                wrong
            }
            None => fresh,
        }
    }
}

impl Copies {
    /// In one case of two: an old answer to this, or an answer to something else.
    fn wrong_one(&mut self, uri: &str) -> Option<Copy> {
        let mut uris: Vec<&String> = self.kept.keys().collect();
        // The order of a map differs from run to run; the seed is to tell it all.
        uris.sort();
        let other = uris[self.random.random_range(0..uris.len())].clone();
        let from = match self.random.random_range(0..4) {
            0 => uri,
            1 => &other,
            _ => return None,
        };
        let kept = self.kept.get(from)?;
        Some(kept[self.random.random_range(0..kept.len())].clone())
    }
}

/// A consumer that asks for this representation.
fn consumer(reader: &Reader, url: &str, format: Format) -> Consumer {
    let options = ClientOptions {
        format,
        ..ClientOptions::default()
    };
    reader
        .consumer_with(url, Handlers::new().on(LIT, reader::note))
        .client_options(options)
}

/// Some steps. No answer of a cache is a reason to halt.
async fn step(consumer: &mut Consumer) {
    for _ in 0..STEPS {
        match consumer.step().await {
            Ok(StepOutcome::CaughtUp) => return,
            Ok(_) => {}
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
}

/// Polls until everything is applied. It takes more than one: an old link may lead to what was read long ago.
async fn catch_up(consumer: &mut Consumer, reader: &Reader, length: usize) {
    for _ in 0..POLLS {
        step(consumer).await;
        if reader.applied_positions().await.len() >= length {
            return;
        }
    }
    panic!("the lag does not return to zero");
}

async fn events(odd: &Odd) -> Vec<Event> {
    let log = odd.store.log(Odd::GROWING).unwrap();
    log.read(Window::Newest { limit: 100_000 }).await.unwrap().1
}

/// A reader that believes what it gets: the events that it would apply, by position.
async fn believe(url: &str) -> Vec<u64> {
    let http = feedway_tests::http::client(1).unwrap();
    let (mut at, mut positions) = (
        Url::parse(&format!("{url}?after=start")).unwrap(),
        Vec::new(),
    );
    for _ in 0..STEPS {
        let request = http
            .get(at.clone())
            .header("accept", Format::Json.media_type());
        let reply = request.send().await.unwrap();
        let text = |name: &str| Some(reply.headers().get(name)?.to_str().unwrap().to_owned());
        if let Some(location) = text("location") {
            at = at.join(&location).unwrap();
            continue;
        }
        let links = text("link").unwrap_or_default();
        let next = links
            .split(", ")
            .find_map(|link| link.strip_suffix(">; rel=\"next\""));
        at = next.map_or(at.clone(), |next| at.join(&next[1..]).unwrap());
        let read = serde_json::from_slice::<Vec<serde_json::Value>>(&reply.bytes().await.unwrap());
        let read = read.unwrap_or_default();
        positions.extend(
            read.iter()
                .map(|e| e["sequence"].as_str().unwrap().parse::<u64>().unwrap()),
        );
    }
    positions
}

#[tokio::test]
async fn i07_i08_i13_a_stale_and_reordering_cache_makes_nobody_skip_or_repeat() {
    let seed = std::env::var("FEEDWAY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("FEEDWAY_SEED={seed}");
    let (mut wrong, mut misled, mut applied) = (0, 0, 0);
    for cache in 0..CACHES {
        let odd = Odd::growing().await;
        let stale = Stale::new(seed.wrapping_add(cache));
        let between = stale.before(odd.served.origin()).await;
        let url = between.through(&odd.url(Odd::GROWING));
        let readers = [Reader::new().await, Reader::new().await];
        let mut consumers = [
            consumer(&readers[0], &url, Format::Json),
            consumer(&readers[1], &url, Format::Atom),
        ];
        for _ in 0..APPENDS {
            append(&odd.store, Odd::GROWING, || lit(3)).await;
            for consumer in &mut consumers {
                step(consumer).await;
            }
        }
        let all = events(&odd).await;
        let truth: Vec<u64> = (1..=all.len() as u64).collect();
        if believe(&url).await != truth {
            misled += 1;
        }
        stale.healed.store(true, Ordering::SeqCst);
        for (consumer, reader) in consumers.iter_mut().zip(&readers) {
            catch_up(consumer, reader, all.len()).await;
            reader::assert_applied(&reader.store, &all, std::panic::Location::caller()).await;
            applied += all.len();
        }
        wrong += stale.wrong.load(Ordering::SeqCst);
    }
    assert!(
        misled > 0,
        "no cache misled even a reader that believes everything"
    );
    say(&format!(
        "stale caches: {CACHES} of them gave {wrong} wrong answers; {applied} events were applied, each once and in order; \
         {misled} readers that believe what they get were misled"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i07_i08_i13_the_services_settle_all_orders_through_a_stale_cache() {
    let seed = std::env::var("FEEDWAY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("FEEDWAY_SEED={seed}");
    let (order_at, customer_at) = (free_address().unwrap(), free_address().unwrap());
    let stale = [Stale::new(seed), Stale::new(seed.wrapping_add(1))];
    let origins = [order_at, customer_at].map(|at| format!("http://{at}"));
    let orders = stale[0].before(&origins[0]).await;
    let customers = stale[1].before(&origins[1]).await;
    let mut running = Running::start(Setup {
        addresses: Some((order_at, customer_at)),
        feeds: Some((
            orders.through(&format!("{}/feeds/orders", origins[0])),
            customers.through(&format!("{}/feeds/customers", origins[1])),
        )),
        ..Setup::default()
    })
    .await;
    let count = || {
        stale
            .each_ref()
            .map(|stale| stale.wrong.load(Ordering::SeqCst))
    };
    let mut placed = Vec::new();
    for _ in 0..GOES_MAX {
        let before = count();
        let orders = running.orders.place_next(ORDERS_IN_ONE_GO, CONNECTIONS);
        placed.extend(orders.await);
        let begun = Instant::now();
        while (0..2).any(|at| count()[at] == before[at]) && begun.elapsed() < WRONG_WITHIN {
            tokio::time::sleep(LOOK).await;
        }
        if count().iter().all(|wrong| *wrong >= WRONG) {
            break;
        }
    }
    assert!(
        count().iter().all(|wrong| *wrong >= WRONG),
        "{:?} wrong",
        count()
    );
    for stale in &stale {
        stale.healed.store(true, Ordering::SeqCst);
    }
    let verdict = running.settle_and_check(&placed).await;
    assert_eq!(verdict.differences, [], "what the services say");
    say(&format!(
        "stale caches: {} orders are settled over {:?} wrong answers, and the books are right",
        verdict.orders,
        count()
    ));
}
