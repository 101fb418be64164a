//! Walks along the links: whichever way a reader goes, it meets every event.

use feed_core::client::{ClientOptions, Seen, verify};
use feed_core::{Consumer, Event, Format, StepOutcome};

use super::lamps::{Scene, append};
use super::served::{FORMATS, Reply};

const CAPACITIES: [u32; 4] = [1, 2, 3, 7];
const LENGTHS: [u64; 7] = [0, 1, 2, 3, 6, 7, 15];

/// Follows `next` from the start until the feed says that nothing comes behind.
async fn walk_forward(scene: &Scene, format: Format) -> (Vec<Event>, Reply) {
    let mut url = scene.served.url("/feeds/lamps?after=start");
    let mut events = Vec::new();
    for _ in 0..100 {
        let reply = scene.served.document(&url, format).await;
        assert_eq!(reply.format(), format);
        events.extend(reply.events());
        let caught_up = reply.headers.get("feed-caught-up");
        if caught_up.is_some_and(|value| value == "true") {
            return (events, reply);
        }
        url = reply.link("next").expect("next is always there");
        assert!(url.path().starts_with(super::served::PREFIX), "{url}");
    }
    panic!("no end after 100 documents");
}

/// Follows `prev-archive` from the head until there is none, and returns the events oldest first.
async fn walk_back(scene: &Scene, format: Format) -> Vec<Event> {
    let head = scene.served.url("/feeds/lamps");
    let mut reply = scene.served.document(&head, format).await;
    let mut events = reply.events();
    events.reverse();
    for _ in 0..100 {
        let Some(url) = reply.link("prev-archive") else {
            return events;
        };
        reply = scene.served.document(&url, format).await;
        assert_eq!(reply.url, url, "a sealed page is found without a redirect");
        let first = events.first().map(|event| event.position);
        let mut page = reply.events();
        // The head is padded from the newest sealed page.
        page.retain(|event| Some(event.position) < first);
        page.append(&mut events);
        events = page;
    }
    panic!("no end after 100 documents");
}

#[tokio::test]
async fn i03_next_leads_from_the_start_over_every_event() {
    for capacity in CAPACITIES {
        for length in LENGTHS {
            let scene = Scene::new(capacity, length).await;
            let stored = scene.events().await;
            assert_eq!(stored.len() as u64, length);
            for format in FORMATS {
                let (events, last) = walk_forward(&scene, format).await;
                assert_eq!(events, stored, "capacity {capacity}");
                assert_eq!(verify(Seen::Nothing, events).unwrap(), stored);
                // From the end on, new events are found by the same link.
                let next = last.link("next").expect("next is always there");
                let nothing = scene.served.document(&next, format).await;
                assert_eq!(nothing.positions(), [0_u64; 0]);
                assert_eq!(nothing.link("next"), Some(nothing.url.clone()));
            }
        }
    }
}

#[tokio::test]
async fn i03_next_of_the_last_document_finds_what_came_later() {
    for capacity in CAPACITIES {
        for format in FORMATS {
            let scene = Scene::new(capacity, 4).await;
            let (_, last) = walk_forward(&scene, format).await;
            let mut url = last.link("next").unwrap();
            append(&scene.store, 5).await;
            let mut found = Vec::new();
            while found.len() < 5 {
                let reply = scene.served.document(&url, format).await;
                assert_ne!(reply.positions(), [0_u64; 0], "{url}");
                found.extend(reply.positions());
                url = reply.link("next").unwrap();
            }
            assert_eq!(found, [5, 6, 7, 8, 9], "capacity {capacity}");
        }
    }
}

#[tokio::test]
async fn i04_prev_archive_leads_from_the_head_back_to_the_first_page() {
    for capacity in CAPACITIES {
        for length in LENGTHS {
            let scene = Scene::new(capacity, length).await;
            let stored = scene.events().await;
            for format in FORMATS {
                assert_eq!(
                    walk_back(&scene, format).await,
                    stored,
                    "{capacity} {length}"
                );
            }
        }
    }
}

#[tokio::test]
async fn i04_sealed_json_pages_are_followed_without_headers() {
    for capacity in CAPACITIES {
        let scene = Scene::new(capacity, 15).await;
        let first = scene.served.url("/feeds/lamps?after=start");
        let mut reply = scene.served.document(&first, Format::Json).await;
        let mut events = reply.events();
        loop {
            // Page + 1, then the tail.
            let (folder, file) = reply.url.path().rsplit_once('/').unwrap();
            let page: u64 = file.strip_suffix(".r1.json").unwrap().parse().unwrap();
            let mut url = reply.url.clone();
            url.set_path(&format!("{folder}/{}.r1.json", page + 1));
            assert_eq!(reply.link("next"), Some(url.clone()));
            reply = scene.served.document(&url, Format::Json).await;
            events.extend(reply.events());
            if reply.url.query().is_some() {
                break;
            }
        }
        assert_eq!(events, scene.events().await, "capacity {capacity}");
        assert_eq!(reply.header("feed-caught-up"), "true");
    }
}

#[tokio::test]
async fn i08_a_consumer_reads_the_feed_in_both_representations() {
    for capacity in CAPACITIES {
        for format in FORMATS {
            let scene = Scene::new(capacity, 15).await;
            let options = ClientOptions {
                format,
                ..ClientOptions::default()
            };
            let url = scene.served.url("/feeds/lamps");
            let mut consumer = Consumer::new(&scene.store, "reader", url.as_str())
                .unwrap()
                .client_options(options);
            for more in [0, 1, 4] {
                append(&scene.store, more).await;
                catch_up(&mut consumer).await;
                let row = &scene.store.subscriptions().await.unwrap()[0];
                let events = scene.events().await;
                let last = events.last().unwrap().cursor();
                assert_eq!(row.cursor, Some(last), "capacity {capacity}");
                assert_eq!(row.events as usize, events.len());
            }
        }
    }
}

async fn catch_up(consumer: &mut Consumer) {
    for _ in 0..200 {
        if consumer.step().await.unwrap() == StepOutcome::CaughtUp {
            return;
        }
    }
    panic!("not caught up after 200 steps");
}
