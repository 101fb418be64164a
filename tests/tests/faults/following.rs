//! Consumers that follow a feed through the proxy.

use std::panic::Location;
use std::time::{Duration, Instant};

use feed_core::client::ClientOptions;
use feed_core::{Format, Handlers};
use feedway_tests::faults::{Counts, Damage, FaultPlan, FaultProxy};
use tokio_util::sync::CancellationToken;

use super::reader::{self, Reader};
use super::scene::{Scene, append};
use super::scripted::LIT;

/// Proxies, with a seed each.
const PROXIES: u64 = 20;
/// Times that something is appended to each feed.
const APPENDS: u32 = 15;
/// Time between two polls.
const POLL: Duration = Duration::from_millis(5);
/// Longest time until a consumer has what was appended. Failures in a row make it wait longer and longer.
const APPLIED_WITHIN: Duration = Duration::from_secs(60);

/// Waits until so many events are applied.
async fn until_applied(reader: &Reader, count: usize, proxy: &FaultProxy) {
    let begun = Instant::now();
    while reader.applied_positions().await.len() < count {
        assert_eq!(reader.halted().await, None);
        assert!(
            begun.elapsed() < APPLIED_WITHIN,
            "seed {}: {count} events are not applied; {}",
            proxy.seed(),
            proxy.counts()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Follows a feed that grows through the damage and on after it. Returns what was done.
async fn follow(seed: u64) -> Counts {
    let plan = FaultPlan {
        delay_ms_max: 20,
        drip_ms_max: 20,
        ..FaultPlan::default()
    };
    let scene = Scene::new(0, seed, plan).await;
    let reader = Reader::new().await;
    let options = ClientOptions {
        format: [Format::Json, Format::Atom][seed as usize % 2],
        ..ClientOptions::default()
    };
    let stop = CancellationToken::new();
    let following = reader
        .consumer_with(&scene.url(""), Handlers::new().on(LIT, reader::note))
        .client_options(options)
        .poll_interval(POLL)
        .spawn(stop.clone());
    for appends in 1..=APPENDS {
        append(&scene.store, 1 + appends % 3).await;
        let there = scene.events().await.len();
        until_applied(&reader, there, &scene.proxy).await;
    }
    let counts = scene.proxy.counts();
    scene.proxy.heal();
    append(&scene.store, 3).await;
    let all = scene.events().await;
    until_applied(&reader, all.len(), &scene.proxy).await;
    stop.cancel();
    following.await.unwrap().unwrap();
    reader::assert_applied(&reader.store, &all, Location::caller()).await;
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i07_i08_i13_a_consumer_applies_each_event_once_through_any_damage() {
    let seed = std::env::var("FEEDWAY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("FEEDWAY_SEED={seed}");
    let proxies = (0..PROXIES).map(|proxy| tokio::spawn(follow(seed.wrapping_add(proxy))));
    let mut done = Vec::new();
    for proxy in proxies.collect::<Vec<_>>() {
        done.push(proxy.await.unwrap());
    }
    let harmed: u64 = done.iter().map(Counts::harmed).sum();
    let passed: u64 = done.iter().map(Counts::passed).sum();
    println!("{harmed} of {} requests harmed", harmed + passed);
    let kinds = Damage::ALL.into_iter();
    let kinds = kinds.filter(|damage| done.iter().any(|counts| counts.of(*damage) > 0));
    // Some need a document of several events at the right time.
    assert!(kinds.count() > Damage::ALL.len() / 2, "{done:?}");
}
