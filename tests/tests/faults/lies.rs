//! Damage that a reader knows by the checks alone: valid documents that say something false.

use feed_core::Format;
use feed_core::client::{Seen, verify};
use feedway_tests::faults::{Damage, FaultPlan};

use super::scene::{SEED, Scene, append};
use super::scripted::FORMATS;

const REQUESTS: usize = 12;

#[tokio::test]
async fn i08_events_are_doubled_left_out_swapped_and_reversed() {
    let scene = Scene::new(4, SEED, FaultPlan::healed()).await;
    for format in FORMATS {
        for damage in [
            Damage::Doubled,
            Damage::Gap,
            Damage::Swapped,
            Damage::Reversed,
        ] {
            scene.proxy.set(FaultPlan::only(damage));
            for _ in 0..REQUESTS {
                let page = scene.fetch(0, format).await.unwrap();
                let events = page.document.events;
                let positions: Vec<u64> = events.iter().map(|e| e.position.get()).collect();
                let as_said = match damage {
                    Damage::Doubled => positions.len() == 5,
                    Damage::Gap => positions.len() == 3 && positions.ends_with(&[4]),
                    Damage::Swapped => positions.len() == 4 && !positions.is_sorted(),
                    _ => positions == [4, 3, 2, 1],
                };
                assert!(as_said, "{damage}: {positions:?}");
                assert!(verify(Seen::Nothing, events).is_err(), "{damage}");
            }
        }
    }
}

#[tokio::test]
async fn the_last_event_is_left_out_and_the_link_leads_behind_it() {
    let scene = Scene::new(4, SEED, FaultPlan::healed()).await;
    for format in FORMATS {
        scene.proxy.heal();
        let right = scene.fetch(0, format).await.unwrap();
        scene.proxy.set(FaultPlan::only(Damage::Short));
        let short = scene.fetch(0, format).await.unwrap();
        assert_eq!(short.document.events, right.document.events[..3]);
        assert_eq!(short.next, right.next);
        // What is there follows on.
        assert!(verify(Seen::Nothing, short.document.events).is_ok());
    }
}

#[tokio::test]
async fn older_answers_are_given_to_the_same_and_to_other_questions() {
    let scene = Scene::new(2, SEED, FaultPlan::healed()).await;
    assert_eq!(scene.positions(0, Format::Json).await, [1, 2]);
    append(&scene.store, 1).await;
    for (damage, asked, got) in [
        (Damage::Stale, 0, vec![1, 2]),
        // Nothing else was asked for before: it passes, and is what was got last.
        (Damage::OtherPage, 0, vec![1, 2, 3]),
        // Nor was this.
        (Damage::Stale, 2, vec![3]),
        (Damage::Again, 0, vec![3]),
        (Damage::Again, 1, vec![3]),
    ] {
        scene.proxy.set(FaultPlan::only(damage));
        let positions = scene.positions(asked, Format::Json).await;
        assert_eq!(positions, got, "{damage} {asked}");
    }
    scene.proxy.set(FaultPlan::only(Damage::OtherPage));
    // An empty document is not given instead of another.
    let instead = scene.positions(3, Format::Json).await;
    assert!(!instead.is_empty(), "{instead:?}");
    let counts = scene.proxy.counts();
    let done = [Damage::Stale, Damage::Again, Damage::OtherPage].map(|kind| counts.of(kind));
    assert_eq!(done, [1, 2, 1]);
}

#[tokio::test]
async fn past_caches_nothing_false_is_said_unless_it_is_wished() {
    let scene = Scene::new(4, SEED, FaultPlan::healed()).await;
    let url = scene.tail(0, Format::Json);
    let right = scene.get(&url).await.unwrap().body;
    let told = [("cache-control", "max-age=0, No-Cache")];
    for damage in Damage::ALL.into_iter().filter(|damage| damage.is_lie()) {
        scene.proxy.set(FaultPlan::only(damage));
        let got = scene.get_with(&url, &told).await.unwrap();
        assert_eq!(got.body, right, "{damage}");
    }
    assert_eq!(scene.proxy.counts().lies(), 0);
    for honest_past_caches in [true, false] {
        scene.proxy.set(FaultPlan {
            honest_past_caches,
            ..FaultPlan::only(Damage::Reversed)
        });
        let got = scene.get_with(&url, &told).await.unwrap();
        assert_eq!(got.body == right, honest_past_caches);
    }
    // What fails does so past caches too.
    scene.proxy.set(FaultPlan::only(Damage::InternalError));
    assert_eq!(scene.get_with(&url, &told).await.unwrap().status, 500);
}
