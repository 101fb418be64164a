//! Each document: what is in it, in the body and in the headers.

use feed_core::{Format, Links, atom, json};

use super::lamps::{LAMPS, Scene};
use super::served::{FORMATS, PREFIX, Reply, Served};

/// The links that an Atom feed has in its body, as they were written.
fn links_in_body(reply: &Reply) -> Vec<(String, String)> {
    let feed = atom_syndication::Feed::read_from(&reply.body[..]).unwrap();
    let links = feed.links().iter();
    links
        .map(|link| (link.rel().to_owned(), link.href().to_owned()))
        .collect()
}

/// Whether every link is a relative reference and leads below the prefix.
fn assert_relative(reply: &Reply) {
    for (relation, target) in reply.links() {
        assert!(
            !target.starts_with('/') && !target.contains("://"),
            "{relation}: {target}"
        );
        let url = reply.url.join(&target).unwrap();
        assert!(url.path().starts_with(PREFIX), "{relation}: {url}");
    }
}

#[tokio::test]
async fn the_head_has_the_whole_open_page_newest_first() {
    // Of capacity 3: what the head shows, and which page is before it.
    let expected: [(u64, Vec<u64>, Option<u64>); 6] = [
        (0, vec![], None),
        (2, vec![2, 1], None),
        (3, vec![3, 2, 1], Some(1)),
        (4, vec![4, 3, 2], Some(1)),
        (6, vec![6, 5, 4], Some(2)),
        (8, vec![8, 7, 6], Some(2)),
    ];
    for (length, positions, previous) in expected {
        let scene = Scene::new(3, length).await;
        let events = scene.events().await;
        let state = scene.store.log(LAMPS).unwrap().state().await.unwrap();
        for format in FORMATS {
            let url = scene.served.url("/feeds/lamps");
            let reply = scene.served.document(&url, format).await;
            assert_eq!(reply.positions(), positions);
            for event in reply.events() {
                assert_eq!(event, events[event.position.get() as usize - 1]);
            }
            assert_eq!(reply.header("feed-head"), state.head.to_string());
            assert_eq!(reply.header("feed-caught-up"), "true");
            assert_relative(&reply);
            let page = previous.map(|page| {
                let path = format!(
                    "/feeds/lamps/archive/{}/{page}.r1.{}",
                    state.head.epoch,
                    format.extension()
                );
                scene.served.url(&path)
            });
            assert_eq!(reply.link("prev-archive"), page);
            // `next` stands in oldest-first documents only.
            assert_eq!(reply.link("next"), None);
            assert_eq!(reply.link("self"), Some(url.clone()));
            assert_eq!(reply.link("current"), Some(url.clone()));
            let tail = scene
                .served
                .url(&format!("/feeds/lamps?after={}", state.head));
            assert_eq!(reply.link(Links::TAIL_RELATION), Some(tail));
        }
    }
}

#[tokio::test]
async fn the_head_without_accept_is_atom() {
    let scene = Scene::new(3, 4).await;
    for accept in [
        None,
        Some("*/*"),
        Some("application/*"),
        Some("text/html, */*;q=0.1"),
    ] {
        let headers: Vec<_> = accept
            .map(|accept| ("accept", accept))
            .into_iter()
            .collect();
        let reply = scene
            .served
            .get(&scene.served.url("/feeds/lamps"), &headers)
            .await;
        assert_eq!(reply.format(), Format::Atom, "{accept:?}");
    }
}

#[tokio::test]
async fn the_better_representation_is_chosen_by_quality() {
    let scene = Scene::new(3, 4).await;
    let (atom, json) = (Format::Atom.media_type(), Format::Json.media_type());
    let wishes = [
        (json.to_owned(), Format::Json),
        (format!("{atom};q=0.5, {json}"), Format::Json),
        (format!("{json};q=0.9, {atom};q=0.8"), Format::Json),
        (format!("{json};q=0.2, */*;q=0.9"), Format::Atom),
        (format!("*/*, {atom};q=0"), Format::Json),
        (format!("{json};Q=0.3, {atom} ; q=0.4"), Format::Atom),
        (json.to_uppercase(), Format::Json),
    ];
    for (accept, format) in wishes {
        let url = scene.served.url("/feeds/lamps?after=3");
        let reply = scene.served.get(&url, &[("accept", &accept)]).await;
        assert_eq!(reply.format(), format, "{accept}");
    }
}

#[tokio::test]
async fn the_tail_goes_up_to_the_end_of_the_page() {
    let scene = Scene::new(3, 8).await;
    let events = scene.events().await;
    let expected: [(usize, Vec<u64>, bool); 5] = [
        (1, vec![2, 3], false),
        (4, vec![5, 6], false),
        (6, vec![7, 8], true),
        (7, vec![8], true),
        (8, vec![], true),
    ];
    for (after, positions, caught_up) in expected {
        let cursor = events[after - 1].cursor();
        for format in FORMATS {
            let url = scene.served.url(&format!("/feeds/lamps?after={cursor}"));
            let reply = scene.served.document(&url, format).await;
            assert_eq!(reply.url, url, "no redirect");
            assert_eq!(reply.positions(), positions, "after {after}");
            assert_eq!(reply.header("feed-caught-up"), caught_up.to_string());
            assert_eq!(reply.header("feed-head"), events[7].cursor().to_string());
            assert_relative(&reply);
            let last = positions.last().map_or(after, |last| *last as usize);
            // Behind the end of a page whose successor is sealed, that one is named directly.
            let next = if last == 3 {
                let epoch = cursor.epoch;
                format!("/feeds/lamps/archive/{epoch}/2.r1.{}", format.extension())
            } else {
                format!("/feeds/lamps?after={}", events[last - 1].cursor())
            };
            assert_eq!(reply.link("next"), Some(scene.served.url(&next)));
            assert_eq!(reply.link("self"), Some(url.clone()));
            let current = scene.served.url("/feeds/lamps");
            assert_eq!(reply.link("current"), Some(current));
        }
    }
}

#[tokio::test]
async fn next_is_there_after_zero_events() {
    let scene = Scene::new(3, 0).await;
    let state = scene.store.log(LAMPS).unwrap().state().await.unwrap();
    for format in FORMATS {
        for after in ["start", "now", "0", &state.head.to_string()] {
            let url = scene.served.url(&format!("/feeds/lamps?after={after}"));
            let reply = scene.served.document(&url, format).await;
            assert_eq!(reply.positions(), [0_u64; 0]);
            let next = format!("/feeds/lamps?after={}", state.history.start());
            assert_eq!(reply.link("next"), Some(scene.served.url(&next)), "{after}");
            assert_eq!(reply.header("feed-caught-up"), "true");
        }
    }
}

#[tokio::test]
async fn a_sealed_page_has_its_events_and_nothing_of_the_present() {
    let scene = Scene::new(3, 8).await;
    let events = scene.events().await;
    let epoch = events[0].epoch;
    for format in FORMATS {
        let extension = format.extension();
        let at = |page: u64| {
            let path = format!("/feeds/lamps/archive/{epoch}/{page}.r1.{extension}");
            scene.served.url(&path)
        };
        for page in [1, 2] {
            // Whatever the request would rather have: the URL says what it is.
            let accept = [("accept", "text/html")];
            let reply = scene.served.get(&at(page), &accept).await;
            assert_eq!((reply.status, reply.format()), (200, format));
            let first = (page as usize - 1) * 3;
            assert_eq!(reply.events(), events[first..first + 3]);
            assert_relative(&reply);
            assert_eq!(reply.link("next"), Some(at(page + 1)));
            let previous = (page > 1).then(|| at(page - 1));
            assert_eq!(reply.link("prev-archive"), previous);
            let current = scene.served.url("/feeds/lamps");
            assert_eq!(reply.link("current"), Some(current));
            assert_eq!(reply.link("self"), Some(at(page)));
            // It would change when the next page is sealed (RFC 5005 allows to leave it out).
            assert_eq!(reply.link("next-archive"), None);
            for present in ["feed-head", "feed-caught-up"] {
                assert_eq!(reply.headers.get(present), None);
            }
            let read = reply.read();
            assert_eq!((read.head, read.caught_up), (None, None));
            let text = String::from_utf8(reply.body.clone()).unwrap();
            let is_archive = text.contains("<fh:archive/>");
            assert_eq!(is_archive, format == Format::Atom);
        }
    }
}

#[tokio::test]
async fn links_in_the_body_are_those_of_the_header() {
    let scene = Scene::new(3, 8).await;
    let events = scene.events().await;
    let paths = [
        "/feeds/lamps".to_owned(),
        format!("/feeds/lamps?after={}", events[0].cursor()),
        format!("/feeds/lamps?after={}", events[7].cursor()),
        format!("/feeds/lamps/archive/{}/2.r1.atom", events[0].epoch),
    ];
    for path in paths {
        let url = scene.served.url(&path);
        let reply = scene.served.document(&url, Format::Atom).await;
        assert!(reply.links().len() >= 3, "{path}");
        assert_eq!(links_in_body(&reply), reply.links(), "{path}");
        let read = reply.read();
        let written = |relation: &str| {
            let links = reply.links();
            let link = links.iter().find(|(found, _)| found == relation);
            link.map(|(_, target)| target.clone())
        };
        assert_eq!(read.next, written("next"));
        assert_eq!(read.prev_archive, written("prev-archive"));
        if let Some(head) = read.head {
            assert_eq!(reply.header("feed-head"), head.to_string());
            let caught_up = read.caught_up.expect("beside the head");
            assert_eq!(reply.header("feed-caught-up"), caught_up.to_string());
        }
    }
}

#[tokio::test]
async fn both_representations_say_the_same() {
    let scene = Scene::new(3, 8).await;
    let epoch = scene.events().await[0].epoch;
    for path in ["?after=3", "?after=1", "?after=now", ""] {
        let url = scene.served.url(&format!("/feeds/lamps{path}"));
        let atom = scene.served.document(&url, Format::Atom).await;
        let json = scene.served.document(&url, Format::Json).await;
        assert_eq!(atom.events(), json.events());
        for name in ["feed-head", "feed-caught-up", "cache-control", "vary"] {
            assert_eq!(atom.header(name), json.header(name));
        }
    }
    let page = |extension: &str| {
        let path = format!("/feeds/lamps/archive/{epoch}/1.r1.{extension}");
        scene.served.url(&path)
    };
    let atom = scene.served.get(&page("atom"), &[]).await;
    let json = scene.served.get(&page("json"), &[]).await;
    assert_eq!(atom.events(), json.events());
}

#[tokio::test]
async fn a_single_event_is_found_by_its_id() {
    let scene = Scene::new(3, 5).await;
    for event in scene.events().await {
        let url = scene
            .served
            .url(&format!("/feeds/lamps/events/{}", event.id));
        let atom = scene.served.get(&url, &[]).await;
        assert_eq!(atom.status, 200);
        assert_eq!(
            atom.header("content-type"),
            "application/atom+xml;type=entry"
        );
        assert_eq!(atom::read_entry(&atom.body).unwrap(), event);
        let accept = [("accept", "application/cloudevents+json")];
        let json = scene.served.get(&url, &accept).await;
        assert_eq!(json.header("content-type"), "application/cloudevents+json");
        assert_eq!(json::read_event(&json.body).unwrap(), event);
        for reply in [&atom, &json] {
            assert_eq!(reply.header("vary"), "Accept");
            assert_eq!(reply.header("cache-control"), "no-cache");
            assert!(reply.header("etag").starts_with('"'));
        }
        assert_ne!(atom.header("etag"), json.header("etag"));
        // The link to itself, from the entry and from the feed.
        let entry = atom_syndication::Entry::read_from(&atom.body[..]).unwrap();
        assert_eq!(alternate(&url, entry.links()), url);
    }
    let head_url = scene.served.url("/feeds/lamps");
    let head = scene.served.document(&head_url, Format::Atom).await;
    let page_url = scene.served.url("/feeds/lamps?after=start");
    let page = scene.served.document(&page_url, Format::Atom).await;
    assert!(page.url.path().contains("/archive/"));
    for reply in [head, page] {
        let feed = atom_syndication::Feed::read_from(&reply.body[..]).unwrap();
        for entry in feed.entries() {
            let id = entry.id().strip_prefix("urn:uuid:").unwrap();
            let own = scene.served.url(&format!("/feeds/lamps/events/{id}"));
            assert_eq!(alternate(&reply.url, entry.links()), own);
        }
    }
}

#[tokio::test]
async fn prev_archive_of_a_tail_is_the_sealed_page_before_it() {
    let scene = Scene::new(3, 8).await;
    let events = scene.events().await;
    // Where it begins, not where it ends: the page that it is on is not before it.
    let expected: [(usize, Option<u64>); 6] = [
        (1, None),
        (2, None),
        (4, Some(1)),
        (5, Some(1)),
        (6, Some(2)),
        (8, Some(2)),
    ];
    for (after, page) in expected {
        for format in FORMATS {
            let cursor = events[after - 1].cursor();
            let url = scene.served.url(&format!("/feeds/lamps?after={cursor}"));
            let reply = scene.served.document(&url, format).await;
            assert_eq!(reply.url, url, "no redirect");
            let page = page.map(|page| {
                let extension = format.extension();
                let path = format!(
                    "/feeds/lamps/archive/{}/{page}.r1.{extension}",
                    cursor.epoch
                );
                scene.served.url(&path)
            });
            assert_eq!(reply.link("prev-archive"), page, "after {after}");
        }
    }
}

#[tokio::test]
async fn only_a_sealed_page_says_that_it_is_an_archive() {
    let scene = Scene::new(3, 8).await;
    for (path, is_archive) in [
        ("/feeds/lamps", false),
        ("/feeds/lamps?after=0", false),
        ("/feeds/lamps?after=7", false),
        ("/feeds/lamps?after=now", false),
        ("/feeds/lamps?after=start", true),
    ] {
        let url = scene.served.url(path);
        let reply = scene.served.document(&url, Format::Atom).await;
        let text = String::from_utf8(reply.body).unwrap();
        assert_eq!(text.contains("fh:archive/"), is_archive, "{path}");
    }
}

#[tokio::test]
async fn an_atom_feed_is_updated_by_its_newest_event() {
    let scene = Scene::new(3, 0).await;
    let updated = async |path: &str| {
        let url = scene.served.url(path);
        let reply = scene.served.document(&url, Format::Atom).await;
        let feed = atom_syndication::Feed::read_from(&reply.body[..]).unwrap();
        feed.updated().to_utc()
    };
    let state = scene.store.log(LAMPS).unwrap().state().await.unwrap();
    for path in ["/feeds/lamps", "/feeds/lamps?after=start"] {
        assert_eq!(updated(path).await, state.identity.created);
    }
    super::lamps::append(&scene.store, 4).await;
    // So that no two of them are recorded at the same time.
    let conn = rusqlite::Connection::open(scene.store.path()).unwrap();
    let spread = "UPDATE outbox SET recorded_us = 1770000000000000 + position";
    assert_eq!(conn.execute(spread, []).unwrap(), 4);
    let recorded: Vec<_> = scene.events().await.iter().map(|e| e.recorded).collect();
    for path in ["/feeds/lamps", "/feeds/lamps?after=1"] {
        assert_eq!(updated(path).await, recorded[3]);
    }
    assert_eq!(updated("/feeds/lamps?after=start").await, recorded[2]);
}

fn alternate(base: &url::Url, links: &[atom_syndication::Link]) -> url::Url {
    let link = links.iter().find(|link| link.rel() == "alternate");
    base.join(link.expect("a link to itself").href()).unwrap()
}

#[tokio::test]
async fn the_list_names_every_feed_that_is_served() {
    let scene = Scene::new(3, 8).await;
    let other = feed_core::FeedConfig::new("switches", "lamp-svc").unwrap();
    scene.store.create_feed(other.private()).await.unwrap();
    let served = Served::start(&scene.store, &[LAMPS, "switches"]).await;
    let reply = served.get(&served.url("/feeds"), &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-cache");
    let list: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let feeds = list["feeds"].as_array().unwrap();
    assert_eq!(feeds.len(), 2);
    assert_eq!(feeds[0]["name"], LAMPS);
    assert_eq!(feeds[0]["events"], 8);
    assert_eq!(feeds[0]["sealed_pages"], 2);
    assert_eq!(feeds[0]["page_capacity"], 3);
    let state = scene.store.log(LAMPS).unwrap().state().await.unwrap();
    assert_eq!(feeds[0]["title"], state.identity.title.as_str());
    let bytes_max = state.identity.event_bytes_max;
    assert_eq!(feeds[0]["event_bytes_max"], bytes_max);
    let updated = feeds[0]["updated"].as_str().unwrap();
    let updated = chrono::DateTime::parse_from_rfc3339(updated).unwrap();
    assert_eq!(updated.to_utc(), state.updated);
    let head = scene.events().await[7].cursor().to_string();
    assert_eq!(feeds[0]["head"], head.as_str());
    for feed in feeds {
        let url = reply.url.join(feed["href"].as_str().unwrap()).unwrap();
        assert_eq!(served.get(&url, &[]).await.status, 200, "{url}");
    }
    // A feed that is not served by this router is not there.
    let only = Served::start(&scene.store, &["switches"]).await;
    let reply = only.get(&only.url("/feeds"), &[]).await;
    assert!(!String::from_utf8(reply.body).unwrap().contains(LAMPS));
    assert_eq!(only.get(&only.url("/feeds/lamps"), &[]).await.status, 404);
}
