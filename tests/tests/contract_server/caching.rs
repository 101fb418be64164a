//! What caches rely on: tags, lifetimes, and bytes that never change.

use feed_core::{FeedConfig, Format, Migrations, Store};

use super::lamps::{LAMPS, Scene, all_events, append, config};
use super::served::{FORMATS, Served};

const IMMUTABLE: &str = "max-age=31536000, immutable";

/// Every kind of document there is, by path.
async fn paths(scene: &Scene, format: Format) -> Vec<String> {
    let events = scene.events().await;
    let epoch = events[0].epoch;
    vec![
        "/feeds/lamps".into(),
        format!("/feeds/lamps?after={}", events[0].cursor()),
        format!("/feeds/lamps?after={}", events[7].cursor()),
        "/feeds/lamps?after=now".into(),
        "/feeds/lamps?after=4".into(),
        format!("/feeds/lamps/archive/{epoch}/2.r1.{}", format.extension()),
        format!("/feeds/lamps/events/{}", events[3].id),
    ]
}

/// What to ask for to get this representation at `path`.
fn accept(path: &str, format: Format) -> (&'static str, &'static str) {
    let is_event = path.contains("/events/");
    let media_type = match (is_event, format) {
        (true, Format::Json) => "application/cloudevents+json",
        _ => format.media_type(),
    };
    ("accept", media_type)
}

#[tokio::test]
async fn what_the_reader_has_is_answered_without_a_body() {
    let scene = Scene::new(3, 8).await;
    for format in FORMATS {
        for path in paths(&scene, format).await {
            let (url, accept) = (scene.served.url(&path), accept(&path, format));
            let full = scene.served.get(&url, &[accept]).await;
            assert_eq!(full.status, 200, "{path}");
            let tag = full.header("etag").to_owned();
            assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
            let known = [
                tag.clone(),
                format!("W/{tag}"),
                format!("\"other\", {tag}"),
                format!("\"a,b\" , W/\"c\",{tag},\"d\""),
                "*".to_owned(),
            ];
            for value in known {
                let asked = [accept, ("if-none-match", value.as_str())];
                let reply = scene.served.get(&url, &asked).await;
                assert_eq!(reply.status, 304, "{path} {value}");
                assert_eq!(reply.body, b"");
                // RFC 9110, section 15.4.5: what a 200 would have said of these.
                for name in [
                    "etag",
                    "cache-control",
                    "vary",
                    "link",
                    "feed-head",
                    "feed-caught-up",
                ] {
                    let both = (reply.headers.get(name), full.headers.get(name));
                    assert_eq!(both.0, both.1, "{path} {name}");
                }
            }
            let unquoted = tag.trim_matches('"').to_owned();
            for value in ["\"other\"", "W/\"other\", \"x\"", "", unquoted.as_str()] {
                let asked = [accept, ("if-none-match", value)];
                let reply = scene.served.get(&url, &asked).await;
                assert_eq!(reply.status, 200, "{path} {value}");
                assert_eq!(reply.body, full.body);
            }
        }
    }
}

#[tokio::test]
async fn a_star_inside_of_a_tag_is_no_star() {
    // RFC 9110, section 8.8.3: an opaque tag may have commas and stars in it.
    let scene = Scene::new(3, 8).await;
    let url = scene.served.url("/feeds/lamps");
    let asked = [("if-none-match", "\"a,*,b\"")];
    assert_eq!(scene.served.get(&url, &asked).await.status, 200);
}

#[tokio::test]
async fn representations_and_documents_have_different_tags() {
    let scene = Scene::new(3, 8).await;
    let mut tags = Vec::new();
    for format in FORMATS {
        let mut paths = paths(&scene, format).await;
        // The same document as that after the newest event.
        paths.retain(|path| !path.ends_with("now"));
        for path in paths {
            let url = scene.served.url(&path);
            let reply = scene.served.get(&url, &[accept(&path, format)]).await;
            tags.push(reply.header("etag").to_owned());
        }
    }
    let count = tags.len();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count, "{tags:?}");
}

#[tokio::test]
async fn a_changed_feed_has_other_tags_but_for_what_never_changes() {
    let scene = Scene::new(3, 8).await;
    for format in FORMATS {
        let paths = paths(&scene, format).await;
        let mut before = Vec::new();
        for path in &paths {
            let url = scene.served.url(path);
            before.push(scene.served.get(&url, &[accept(path, format)]).await);
        }
        append(&scene.store, 1).await;
        for (path, before) in paths.iter().zip(before) {
            let tag = before.header("etag");
            let asked = [accept(path, format), ("if-none-match", tag)];
            let after = scene.served.get(&scene.served.url(path), &asked).await;
            let is_fixed = path.contains("/archive/") || path.contains("/events/");
            assert_eq!(after.status, if is_fixed { 304 } else { 200 }, "{path}");
            assert_eq!(after.header("etag") == tag, is_fixed, "{path}");
        }
    }
}

#[tokio::test]
async fn lifetimes_are_those_of_the_protocol() {
    let scene = Scene::new(3, 8).await;
    for format in FORMATS {
        for path in paths(&scene, format).await {
            let url = scene.served.url(&path);
            let reply = scene.served.get(&url, &[accept(&path, format)]).await;
            if path.contains("/archive/") {
                let lifetime = format!("public, {IMMUTABLE}");
                assert_eq!(reply.header("cache-control"), lifetime);
                // Its URL says the representation; only the coding is negotiated.
                assert_eq!(reply.header("vary"), "Accept-Encoding");
            } else {
                assert_eq!(reply.header("cache-control"), "no-cache", "{path}");
                assert_eq!(reply.header("vary"), "Accept", "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_private_feed_is_for_private_caches_only() {
    let store = feed_core::testing::TempStore::new(Migrations::NONE).await;
    store.create_feed(config(3).private()).await.unwrap();
    append(&store, 8).await;
    let served = Served::start(&store, &[LAMPS]).await;
    let scene = Scene { store, served };
    for format in FORMATS {
        for path in paths(&scene, format).await {
            let url = scene.served.url(&path);
            let reply = scene.served.get(&url, &[accept(&path, format)]).await;
            let lifetime = reply.header("cache-control");
            let expected = if path.contains("/archive/") {
                format!("private, {IMMUTABLE}")
            } else {
                "private, no-cache".to_owned()
            };
            assert_eq!(lifetime, expected, "{path}");
        }
    }
}

#[tokio::test]
async fn i04_sealed_bytes_are_the_same_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let path = path.to_str().unwrap();
    let mut first: Option<Vec<(String, Vec<u8>)>> = None;
    for round in 0..3 {
        let store = Store::open(path, Migrations::NONE).await.unwrap();
        if round == 0 {
            store.create_feed(config(3)).await.unwrap();
            append(&store, 6).await;
        }
        let epoch = all_events(&store).await[0].epoch;
        let served = Served::start(&store, &[LAMPS]).await;
        let second = Served::start(&store, &[LAMPS]).await;
        for length in 0..4 {
            for (instance, headers) in [
                (&served, vec![]),
                (&second, vec![]),
                (&served, vec![("host", "feeds.example.org")]),
                (
                    &served,
                    vec![("accept", "text/html"), ("accept-language", "de")],
                ),
                (
                    &served,
                    vec![("x-forwarded-proto", "https"), ("user-agent", "x")],
                ),
            ] {
                let mut now = Vec::new();
                for file in ["1.r1.atom", "1.r1.json", "2.r1.atom", "2.r1.json"] {
                    let at = instance.url(&format!("/feeds/lamps/archive/{epoch}/{file}"));
                    let reply = instance.get(&at, &headers).await;
                    assert_eq!(reply.status, 200, "{file}");
                    now.push((reply.header("etag").to_owned(), reply.body));
                }
                let first = first.get_or_insert_with(|| now.clone());
                assert_eq!(first, &now, "round {round}, {length} more, {headers:?}");
            }
            append(&store, 1).await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn i04_the_configuration_does_not_enter_the_bytes() {
    let scene = Scene::new(3, 6).await;
    let epoch = scene.events().await[0].epoch;
    let path = format!("/feeds/lamps/archive/{epoch}/1.r1.atom");
    let before = scene.served.get(&scene.served.url(&path), &[]).await;
    // Found as it was created, whatever a later version of the service calls it.
    let renamed = FeedConfig::new(LAMPS, "another-svc").unwrap();
    let renamed = renamed.title("Another title").unwrap();
    let renamed = renamed.page_capacity(3).unwrap();
    scene.store.create_feed(renamed).await.unwrap();
    let served = Served::start(&scene.store, &[LAMPS]).await;
    let after = served.get(&served.url(&path), &[]).await;
    assert_eq!((before.status, after.status), (200, 200));
    assert_eq!(before.body, after.body);
}

#[tokio::test]
async fn i04_the_tags_of_two_instances_are_equal() {
    let scene = Scene::new(3, 8).await;
    let path = scene.store.path();
    let second_store = Store::open(path.to_str().unwrap(), Migrations::NONE)
        .await
        .unwrap();
    let second = Served::start(&second_store, &[LAMPS]).await;
    for format in FORMATS {
        for path in paths(&scene, format).await {
            let accept = accept(&path, format);
            let ours = scene.served.get(&scene.served.url(&path), &[accept]).await;
            let theirs = second.get(&second.url(&path), &[accept]).await;
            assert_eq!(ours.header("etag"), theirs.header("etag"), "{path}");
            assert_eq!(ours.body, theirs.body, "{path}");
        }
    }
    second_store.close().await;
}

#[tokio::test]
async fn head_requests_get_the_headers_alone() {
    let scene = Scene::new(3, 8).await;
    for format in FORMATS {
        for path in paths(&scene, format).await {
            let (url, accept) = (scene.served.url(&path), accept(&path, format));
            let get = scene.served.get(&url, &[accept]).await;
            let head = scene.served.request("HEAD", &url, &[accept]).await;
            assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
            for name in [
                "etag",
                "cache-control",
                "vary",
                "link",
                "content-type",
                "feed-head",
                "feed-caught-up",
            ] {
                let both = (head.headers.get(name), get.headers.get(name));
                assert_eq!(both.0, both.1, "{path} {name}");
            }
        }
    }
}

#[tokio::test]
async fn head_requests_are_redirected_and_refused_as_get_is() {
    let scene = Scene::new(3, 7).await;
    let epoch = scene.events().await[0].epoch;
    let paths = [
        ("/feeds".to_owned(), 200),
        ("/feeds/lamps?after=start".to_owned(), 307),
        (format!("/feeds/lamps/archive/{epoch}/3.r1.json"), 307),
        (format!("/feeds/lamps/archive/{epoch}/9.r1.json"), 404),
        ("/feeds/switches".to_owned(), 404),
        ("/feeds/lamps?after=x".to_owned(), 400),
        ("/feeds/lamps?after=8".to_owned(), 409),
        ("/feeds/lamps?limit=0".to_owned(), 400),
        ("/feeds/lamps?type=Lit".to_owned(), 400),
        ("/feeds/lamps?after=0&limit=1".to_owned(), 200),
        ("/feeds/lamps/events/1".to_owned(), 404),
        ("/feeds/lamps/nothing".to_owned(), 404),
    ];
    for (path, status) in paths {
        let url = scene.served.url(&path);
        let get = scene.served.get(&url, &[]).await;
        let head = scene.served.request("HEAD", &url, &[]).await;
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert_eq!(head.body, b"", "{path}");
        for name in ["cache-control", "vary", "content-type", "location"] {
            let both = (head.headers.get(name), get.headers.get(name));
            assert_eq!(both.0, both.1, "{path} {name}");
        }
    }
}
