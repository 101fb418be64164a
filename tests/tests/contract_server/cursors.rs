//! `?after=`: where it is redirected, and what each wrong cursor is told (invariants I4, I11).

use feed_core::{Check, Cursor, Epoch, Format, Position};

use super::lamps::{Scene, append};
use super::problems::assert_problem;
use super::served::FORMATS;

#[tokio::test]
async fn i04_only_the_start_and_the_ends_of_pages_are_redirected_to_the_archive() {
    let scene = Scene::new(3, 7).await;
    let events = scene.events().await;
    let cursor = |position: usize| events[position - 1].cursor().to_string();
    let start = Cursor::start(events[0].epoch).to_string();
    let redirected = [
        ("start".to_owned(), 1),
        (start, 1),
        // Its page is over and the next one is sealed.
        (cursor(3), 2),
    ];
    for format in FORMATS {
        for (after, page) in &redirected {
            let url = scene.served.url(&format!("/feeds/lamps?after={after}"));
            let accept = [("accept", format.media_type())];
            let reply = scene.served.get(&url, &accept).await;
            assert_eq!(reply.status, 307, "{after}");
            let extension = format.extension();
            let path = format!(
                "/feeds/lamps/archive/{}/{page}.r1.{extension}",
                events[0].epoch
            );
            assert_eq!(reply.location(), scene.served.url(&path));
            assert!(!reply.header("location").starts_with(['/', 'h']));
            assert_eq!(reply.header("cache-control"), "no-store");
            assert_eq!(reply.header("vary"), "Accept");
        }
        let stays: [(String, Vec<u64>); 10] = [
            (cursor(1), vec![2, 3]),
            (cursor(2), vec![3]),
            (cursor(4), vec![5, 6]),
            // The next page is not sealed.
            (cursor(6), vec![7]),
            (cursor(7), vec![]),
            ("now".to_owned(), vec![]),
            // Bare positions and event ids are for people: never redirected.
            ("0".to_owned(), vec![1, 2, 3]),
            ("3".to_owned(), vec![4, 5, 6]),
            (events[2].id.to_string(), vec![4, 5, 6]),
            (events[4].id.to_string(), vec![6]),
        ];
        for (after, positions) in stays {
            let url = scene.served.url(&format!("/feeds/lamps?after={after}"));
            let accept = [("accept", format.media_type())];
            let reply = scene.served.get(&url, &accept).await;
            assert_eq!(reply.status, 200, "{after}");
            assert_eq!(reply.positions(), positions, "{after}");
            let reached = positions.last().map_or(7, |last| *last);
            assert_eq!(reply.header("feed-caught-up"), (reached == 7).to_string());
        }
    }
}

#[tokio::test]
async fn i04_a_page_that_is_not_sealed_leads_to_the_tail() {
    let scene = Scene::new(3, 7).await;
    let events = scene.events().await;
    let (epoch, head) = (events[0].epoch, events[5].cursor());
    for format in FORMATS {
        let extension = format.extension();
        let path = format!("/feeds/lamps/archive/{epoch}/3.r1.{extension}");
        let reply = scene.served.get(&scene.served.url(&path), &[]).await;
        assert_eq!(reply.status, 307);
        let tail = format!("/feeds/lamps?after={head}&format={extension}");
        assert_eq!(reply.location(), scene.served.url(&tail));
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    let young = Scene::new(3, 2).await;
    let epoch = young.events().await[0].epoch;
    let path = format!("/feeds/lamps/archive/{epoch}/1.r1.json");
    let reply = young.served.get(&young.served.url(&path), &[]).await;
    assert_eq!(reply.status, 307);
    let location = reply.location();
    let tail = young.served.get(&location, &[]).await;
    assert_eq!((tail.status, tail.positions()), (200, vec![1, 2]));
}

#[tokio::test]
async fn i11_what_is_no_cursor_is_malformed() {
    let scene = Scene::new(3, 7).await;
    let good = scene.events().await[3].cursor().to_string();
    let malformed = [
        String::new(),
        "abc".to_owned(),
        "START".to_owned(),
        "-1".to_owned(),
        "%2B1".to_owned(),
        "007".to_owned(),
        "1.5".to_owned(),
        // 2^40: one beyond the last position.
        "1099511627776".to_owned(),
        "99999999999999999999999".to_owned(),
        "%20start".to_owned(),
        good.to_uppercase(),
        format!("{good}.0"),
        good.rsplit_once('.').unwrap().0.to_owned(),
        good.replacen('.', ".0", 1),
        good.replace('.', ".."),
        format!("{}.0.000000000000", good.split('.').next().unwrap()),
        "0190b6e2-1111-7000-8000-00000000000".to_owned(),
        "0190b6e2-1111-7000-8000-00000000000g".to_owned(),
        "%FF%FE".to_owned(),
        "x".repeat(1_500),
    ];
    for after in malformed {
        assert_ne!(after, good);
        for format in FORMATS {
            let url = scene.served.url(&format!("/feeds/lamps?after={after}"));
            let accept = [("accept", format.media_type())];
            let reply = scene.served.get(&url, &accept).await;
            assert_problem(&reply, 400, "cursor-malformed");
            // It never repeats a huge input.
            assert!(reply.body.len() < 1_000, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn i11_a_cursor_of_another_history_is_told_which_way_it_differs() {
    let scene = Scene::new(3, 7).await;
    let events = scene.events().await;
    let (third, head) = (events[2].cursor(), events[6].cursor().to_string());
    let strange = Epoch::from_bytes([7; 8]);
    let beyond = |position: u64| Cursor {
        position: Position::new(position).unwrap(),
        ..third
    };
    let wrong = [
        (
            Cursor {
                epoch: strange,
                ..third
            },
            "epoch-unknown",
        ),
        (Cursor::start(strange), "epoch-unknown"),
        (
            Cursor {
                epoch: strange,
                ..beyond(99)
            },
            "epoch-unknown",
        ),
        (
            Cursor {
                check: events[3].check,
                ..third
            },
            "cursor-diverged",
        ),
        (
            Cursor {
                check: Check::START,
                ..third
            },
            "cursor-diverged",
        ),
        (beyond(4), "cursor-diverged"),
        (beyond(7), "cursor-diverged"),
        (beyond(8), "cursor-beyond-head"),
        (beyond(9), "cursor-beyond-head"),
        (beyond((1 << 40) - 1), "cursor-beyond-head"),
    ];
    for (cursor, slug) in wrong {
        for format in FORMATS {
            let url = scene.served.url(&format!("/feeds/lamps?after={cursor}"));
            let accept = [("accept", format.media_type())];
            let reply = scene.served.get(&url, &accept).await;
            let problem = assert_problem(&reply, 409, slug);
            // So that an operator can see where the feed is now.
            assert_eq!(problem["head"], head.as_str(), "{problem}");
        }
    }
    for position in ["8", "1099511627775"] {
        let url = scene.served.url(&format!("/feeds/lamps?after={position}"));
        let reply = scene.served.get(&url, &[]).await;
        assert_problem(&reply, 409, "cursor-beyond-head");
    }
}

#[tokio::test]
async fn i11_what_was_asked_and_what_was_found_is_told() {
    let scene = Scene::new(3, 7).await;
    let events = scene.events().await;
    let third = events[2].cursor();
    let ask = async |cursor: Cursor, slug: &str| {
        let url = scene.served.url(&format!("/feeds/lamps?after={cursor}"));
        assert_problem(&scene.served.get(&url, &[]).await, 409, slug)
    };
    let diverged = Cursor {
        check: events[3].check,
        ..third
    };
    let problem = ask(diverged, "cursor-diverged").await;
    assert_eq!(problem["asked"], diverged.to_string().as_str());
    assert_eq!(problem["found"], third.to_string().as_str());
    let beyond = Cursor {
        position: Position::new(99).unwrap(),
        ..third
    };
    let problem = ask(beyond, "cursor-beyond-head").await;
    assert_eq!(problem["asked_position"], 99);
    let strange = Cursor {
        epoch: Epoch::from_bytes([7; 8]),
        ..third
    };
    let problem = ask(strange, "epoch-unknown").await;
    let ours = third.epoch.to_string();
    assert_eq!(problem["epochs"], serde_json::json!([ours]));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("0707070707070707"), "{detail}");
}

#[tokio::test]
async fn redirects_are_relative_whichever_way_they_lead() {
    let scene = Scene::new(3, 7).await;
    let epoch = scene.events().await[0].epoch;
    for path in [
        "/feeds/lamps?after=start".to_owned(),
        format!("/feeds/lamps/archive/{epoch}/3.r1.atom"),
        format!("/feeds/lamps/archive/{epoch}/3.r1.json"),
    ] {
        let reply = scene.served.get(&scene.served.url(&path), &[]).await;
        assert_eq!(reply.status, 307, "{path}");
        let location = reply.header("location");
        assert!(!location.starts_with('/') && !location.contains("://"));
        let led = scene.served.get(&reply.location(), &[]).await;
        assert_eq!(led.status, 200, "{path}: {location}");
    }
}

#[tokio::test]
async fn i11_every_cursor_beyond_an_empty_feed_is_refused() {
    let scene = Scene::new(3, 0).await;
    let state = scene.store.log("lamps").unwrap().state().await.unwrap();
    let seen = Cursor {
        position: Position::new(1).unwrap(),
        ..state.head
    };
    for after in ["1".to_owned(), seen.to_string()] {
        let url = scene.served.url(&format!("/feeds/lamps?after={after}"));
        let accept = [("accept", Format::Json.media_type())];
        let reply = scene.served.get(&url, &accept).await;
        assert_problem(&reply, 409, "cursor-beyond-head");
    }
}

#[tokio::test]
async fn i04_every_cursor_that_the_feed_gave_names_the_same_event_later() {
    for capacity in [1, 2, 3, 7] {
        let scene = Scene::new(capacity, 9).await;
        let given = scene.events().await;
        // Pages are sealed meanwhile, so that other documents answer.
        for head in [9, 10, 14] {
            let missing = head - scene.events().await.len() as u64;
            append(&scene.store, missing).await;
            for event in &given {
                let path = format!("/feeds/lamps?after={}", event.cursor());
                let url = scene.served.url(&path);
                let reply = scene.served.document(&url, Format::Json).await;
                let position = event.position.get();
                let follows = (position < head).then_some(position + 1);
                assert_eq!(reply.positions().first().copied(), follows, "{capacity}");
            }
        }
    }
}
