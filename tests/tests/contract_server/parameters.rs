//! The parameters of a feed's own URL: filters, times, limits, forms, and the HTTP Feeds convention.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use feed_core::{Event, Format};
use url::Url;

use super::lamps::{LAMPS, Scene, append, append_types};
use super::problems::assert_problem;
use super::served::Reply;

const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

async fn get(scene: &Scene, query: &str) -> Reply {
    let url = scene.served.url(&format!("/feeds/{LAMPS}?{query}"));
    scene.served.get(&url, &[JSON]).await
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// All that is found by `next` from this URL until the reader is caught up, and how many requests it took.
async fn walk(scene: &Scene, query: &str) -> (Vec<Event>, usize) {
    let mut url = scene.served.url(&format!("/feeds/{LAMPS}?{query}"));
    let mut events = Vec::new();
    for requests in 1..=50 {
        let reply = scene.served.get(&url, &[JSON]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        events.extend(reply.events());
        url = reply.link("next").expect("next is always there");
        if reply.header("feed-caught-up") == "true" {
            return (events, requests);
        }
    }
    panic!("it never caught up");
}

#[tokio::test]
async fn since_finds_the_first_event_recorded_at_that_time_or_later() {
    let scene = Scene::new(3, 8).await;
    let events = scene.events().await;
    for (index, event) in events.iter().enumerate() {
        let reply = get(&scene, &format!("since={}", rfc3339(event.recorded))).await;
        assert_eq!(reply.status, 200, "never redirected: {reply:?}");
        let first = events
            .iter()
            .position(|other| other.recorded == event.recorded)
            .unwrap();
        assert_eq!(reply.positions()[0], first as u64 + 1, "{index}");
        let own = reply.link("self").unwrap();
        assert!(own.query().unwrap().starts_with("after="), "{own}");
    }
    let last = events.last().unwrap().recorded;
    let later = get(
        &scene,
        &format!("since={}", rfc3339(last + Duration::microseconds(1))),
    )
    .await;
    assert_eq!(later.positions(), [0; 0]);
    assert_eq!(later.header("feed-caught-up"), "true");
    assert_eq!(get(&scene, "since=2001-01-01").await.positions(), [1, 2, 3]);
}

#[tokio::test]
async fn i08_a_filter_finds_all_that_match_and_next_passes_over_the_rest() {
    let scene = Scene::new(3, 0).await;
    append_types(&scene.store, &["Lit", "Dimmed", "Lit", "Broken"], 40).await;
    let all = scene.events().await;
    for query in [
        "type=Dimmed",
        "type=Dimmed&type=Broken",
        "type=Absent",
        "subject=lamp-1",
        "subject=lamp-1&type=Lit",
    ] {
        let url = Url::parse(&format!("http://h/?{query}")).unwrap();
        let wanted = |event: &&Event| {
            ["type", "subject"].iter().all(|name| {
                let values: Vec<_> = url
                    .query_pairs()
                    .filter(|(found, _)| found == name)
                    .map(|(_, value)| value.into_owned())
                    .collect();
                let found = if *name == "type" {
                    event.event_type.as_str()
                } else {
                    event.subject.as_str()
                };
                values.is_empty() || values.iter().any(|value| value == found)
            })
        };
        let expected: Vec<&Event> = all.iter().filter(wanted).collect();
        for limit in ["", "&limit=1", "&limit=2"] {
            let (found, _) = walk(&scene, &format!("after=start&{query}{limit}")).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}{limit}");
        }
    }
}

#[tokio::test]
async fn i08_next_comes_on_when_nothing_matches() {
    let scene = Scene::new(100, 0).await;
    append_types(&scene.store, &["Lit"], 25_000).await;
    append_types(&scene.store, &["Broken"], 1).await;
    let first = get(&scene, "after=start&type=Broken").await;
    assert_eq!((first.status, first.positions().len()), (200, 0));
    assert_eq!(first.header("feed-caught-up"), "false");
    let (found, requests) = walk(&scene, "after=start&type=Broken").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].position.get(), 25_001);
    assert_eq!(requests, 3, "10,000 events are looked at in one request");
}

#[tokio::test]
async fn links_carry_the_query_on() {
    let scene = Scene::new(3, 8).await;
    let reply = get(
        &scene,
        "after=start&type=Lit&subject=lamp-0&limit=2&format=json",
    )
    .await;
    let current = reply.link("current").unwrap();
    assert_eq!(
        current.query(),
        Some("limit=2&format=json"),
        "the head is not filtered"
    );
    for relation in ["self", "next"] {
        let link = reply.link(relation).unwrap();
        let pairs: Vec<_> = link.query_pairs().into_owned().skip(1).collect();
        let expected = [
            ("type", "Lit"),
            ("subject", "lamp-0"),
            ("limit", "2"),
            ("format", "json"),
        ];
        let expected: Vec<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(pairs, expected, "{link}");
    }
    let head = scene
        .served
        .url(&format!("/feeds/{LAMPS}?format=json&limit=2"));
    let head = scene.served.get(&head, &[]).await;
    assert_eq!(head.format(), Format::Json);
    assert_eq!(head.positions(), [8, 7]);
    assert!(head.headers.get("vary").is_none(), "nothing was negotiated");
    let tail = head.link("urn:feedway:rel:tail").unwrap();
    assert!(
        tail.query().unwrap().ends_with("&limit=2&format=json"),
        "{tail}"
    );
}

/// A person who follows the links in a browser, which accepts no representation by name.
#[tokio::test]
async fn a_walk_stays_in_the_form_that_was_asked_for() {
    let scene = Scene::new(3, 8).await;
    for format in super::served::FORMATS {
        let query = format!("after=start&format={}", format.extension());
        let mut url = scene.served.url(&format!("/feeds/{LAMPS}?{query}"));
        let mut seen = Vec::new();
        while seen.len() < 8 {
            let reply = scene.served.get(&url, &[("accept", "text/html")]).await;
            if reply.status == 307 {
                url = reply.location();
                continue;
            }
            assert_eq!(reply.format(), format, "{url}");
            seen.extend(reply.positions());
            url = reply.link("next").unwrap();
        }
        assert_eq!(seen, (1..=8).collect::<Vec<u64>>());
    }
}

#[tokio::test]
async fn a_limit_is_kept_and_never_redirected() {
    let scene = Scene::new(3, 8).await;
    let reply = get(&scene, "after=start&limit=2").await;
    assert_eq!((reply.status, reply.positions()), (200, vec![1, 2]));
    let next = scene
        .served
        .get(&reply.link("next").unwrap(), &[JSON])
        .await;
    assert_eq!(
        (next.status, next.positions()),
        (200, vec![3]),
        "a page's end ends it"
    );
    let large = get(&scene, "after=start&limit=10000").await;
    assert_eq!((large.status, large.positions()), (200, vec![1, 2, 3]));
}

#[tokio::test]
async fn documents_of_other_queries_have_other_tags() {
    let scene = Scene::new(3, 8).await;
    let mut tags = std::collections::BTreeSet::new();
    let queries = [
        "after=0",
        "after=0&limit=1",
        "after=0&limit=2",
        "after=0&type=Lit",
        "after=0&type=Other",
        "after=0&subject=Lit",
        "after=0&format=json",
        "after=0&format=atom",
        "after=1",
        "limit=1",
        "limit=2",
    ];
    for query in queries {
        let reply = get(&scene, query).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let tag = reply.header("etag").to_owned();
        let known = [JSON, ("if-none-match", tag.as_str())];
        let again = scene.served.get(&reply.url, &known).await;
        assert_eq!(again.status, 304, "{query}");
        assert!(tags.insert(tag), "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_told() {
    let scene = Scene::new(3, 5).await;
    for (query, slug) in [
        ("limit=0", "parameter-invalid"),
        ("limit=many", "parameter-invalid"),
        ("after=0&wait=soon", "parameter-invalid"),
        ("since=soon", "parameter-invalid"),
        ("format=html", "parameter-invalid"),
        ("after=0&type=", "parameter-invalid"),
        ("type=Lit", "parameter-conflict"),
        ("subject=lamp-1", "parameter-conflict"),
        ("wait=1", "parameter-conflict"),
        ("after=0&since=2001-01-01", "parameter-conflict"),
        ("after=0&format=sse&limit=1", "parameter-conflict"),
        ("lastEventId=nonsense", "cursor-malformed"),
    ] {
        assert_problem(&get(&scene, query).await, 400, slug);
    }
}

/// The convention of http-feeds.org, as its clients use it: a first request without a cursor, then the last event's id,
/// until a document is empty.
#[tokio::test]
async fn clients_of_the_http_feeds_convention_work_unchanged() {
    let scene = Scene::new(3, 8).await;
    let base = format!("/feeds/{LAMPS}");
    for (first, more) in [("?timeout=1", "&timeout=1"), ("?lastEventId=", "")] {
        let mut url = scene.served.url(&format!("{base}{first}"));
        let mut seen = Vec::new();
        for _ in 0..20 {
            let reply = scene.served.get(&url, &[]).await;
            assert_eq!(reply.status, 200, "never redirected: {reply:?}");
            assert_eq!(reply.format(), Format::Json, "also without Accept");
            let Some(last) = reply.events().last().map(|event| event.id) else {
                break;
            };
            seen.extend(reply.positions());
            url = scene
                .served
                .url(&format!("{base}?lastEventId={last}{more}"));
        }
        assert_eq!(seen, (1..=8).collect::<Vec<u64>>(), "{first}");
    }
    let unknown = "lastEventId=0190b6e2-1111-7000-8000-000000000001";
    assert_problem(&get(&scene, unknown).await, 404, "event-unknown");
}

#[tokio::test]
async fn one_event_is_had_in_binary_mode() {
    let scene = Scene::new(3, 2).await;
    let event = scene.events().await.remove(0);
    let path = format!("/feeds/{LAMPS}/events/{}", event.id);
    let binary = scene.served.url(&format!("{path}?format=binary"));
    let by_accept = scene
        .served
        .get(&scene.served.url(&path), &[("accept", "application/json")])
        .await;
    for reply in [scene.served.get(&binary, &[]).await, by_accept] {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body, event.data.as_ref().unwrap().bytes());
        for (name, value) in [
            ("content-type", "application/json".to_owned()),
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", event.id.to_string()),
            ("ce-source", event.source.to_string()),
            ("ce-type", event.event_type.to_string()),
            ("ce-subject", event.subject.to_string()),
            ("ce-sequence", format!("{:020}", event.position.get())),
            ("ce-epoch", event.epoch.to_string()),
            ("ce-check", event.check.to_string()),
            ("ce-version", "1".to_owned()),
        ] {
            assert_eq!(reply.header(name), value, "{name}");
        }
        for name in ["ce-data", "ce-datacontenttype", "ce-data_base64"] {
            assert!(reply.headers.get(name).is_none(), "{name}");
        }
    }
    let url = scene.served.url(&format!("{path}?format=html"));
    let reply = scene.served.get(&url, &[]).await;
    assert_problem(&reply, 400, "parameter-invalid");
}

#[tokio::test]
async fn options_say_what_is_allowed() {
    let scene = Scene::new(3, 5).await;
    let event = &scene.events().await[0];
    for path in [
        "/feeds".to_owned(),
        "/feeds/lamps".to_owned(),
        format!("/feeds/lamps/archive/{}/1.r1.json", event.epoch),
        format!("/feeds/lamps/events/{}", event.id),
    ] {
        let url = scene.served.url(&path);
        let reply = scene.served.request("OPTIONS", &url, &[]).await;
        assert_eq!((reply.status, reply.body.len()), (204, 0), "{path}");
        assert_eq!(reply.header("allow"), "GET,HEAD,OPTIONS", "{path}");
        let reply = scene.served.request("POST", &url, &[]).await;
        assert_problem(&reply, 405, "method-unknown");
        assert_eq!(reply.header("allow"), "GET,HEAD,OPTIONS", "{path}");
    }
}

#[tokio::test]
async fn i11_what_was_pruned_is_told_with_where_to_go_on() {
    let scene = Scene::new(3, 8).await;
    let events = scene.events().await;
    let path = scene.store.path().to_owned();
    let third = events[2].check;
    // As a later version will do it: the first page goes, and the feed remembers where it ended.
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute(
        "UPDATE feeds SET pruned_position = 3, pruned_check = ?1",
        [&third.as_bytes()[..]],
    )
    .unwrap();
    conn.execute("DELETE FROM outbox WHERE position <= 3", [])
        .unwrap();
    drop(conn);
    let earliest = events[2].cursor().to_string();
    let start = feed_core::Cursor::start(events[0].epoch);
    for after in [
        "start".to_owned(),
        start.to_string(),
        events[1].cursor().to_string(),
        "0".to_owned(),
        "2".to_owned(),
    ] {
        let reply = get(&scene, &format!("after={after}")).await;
        let problem = assert_problem(&reply, 410, "cursor-pruned");
        assert_eq!(problem["earliest"], earliest.as_str(), "{after}");
    }
    let filtered = get(&scene, "after=start&type=Lit").await;
    assert_problem(&filtered, 410, "cursor-pruned");
    let page = scene.served.url(&format!(
        "/feeds/lamps/archive/{}/1.r1.json",
        events[0].epoch
    ));
    let reply = scene.served.get(&page, &[]).await;
    assert_problem(&reply, 410, "cursor-pruned");
    // From the earliest cursor on, all is as before; so it is by time.
    let reply = scene
        .served
        .document(
            &scene.served.url(&format!("/feeds/lamps?after={earliest}")),
            Format::Json,
        )
        .await;
    assert_eq!(reply.positions(), [4, 5, 6]);
    assert_eq!(get(&scene, "after=3&limit=2").await.positions(), [4, 5]);
    assert_eq!(get(&scene, "since=2001-01-01").await.positions(), [4, 5, 6]);
    assert_eq!(get(&scene, "after=3&type=Lit").await.positions(), [4, 5, 6]);
    let tail = get(&scene, &format!("after={}", events[3].cursor())).await;
    assert!(
        tail.link("prev-archive").is_none(),
        "page 1 is gone: {tail:?}"
    );
    append(&scene.store, 1).await;
    assert_eq!(get(&scene, "after=8").await.positions(), [9]);
}
