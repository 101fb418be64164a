//! Sealed pages in content codings: the same bytes when decoded, with a tag for each.

use std::collections::BTreeSet;
use std::io::Read;

use feed_core::Format;
use feed_core::server::RouterOptions;

use super::lamps::{LAMPS, Scene};
use super::served::{FORMATS, Reply, Served};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

fn decoded(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    let body = reply.body.as_slice();
    match reply.header("content-encoding") {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut bytes),
        "br" => brotli::Decompressor::new(body, 4_096).read_to_end(&mut bytes),
        "zstd" => zstd::Decoder::new(body).unwrap().read_to_end(&mut bytes),
        other => panic!("{other}"),
    }
    .unwrap();
    bytes
}

async fn page(scene: &Scene, format: Format) -> String {
    let epoch = scene.events().await[0].epoch;
    format!("/feeds/{LAMPS}/archive/{epoch}/2.r1.{}", format.extension())
}

#[tokio::test]
async fn a_sealed_page_comes_in_the_coding_that_is_asked_for() {
    let scene = Scene::new(50, 120).await;
    for format in FORMATS {
        let url = scene.served.url(&page(&scene, format).await);
        let plain = scene.served.get(&url, &[]).await;
        assert_eq!(plain.status, 200);
        assert!(plain.headers.get("content-encoding").is_none());
        let mut tags = BTreeSet::from([plain.header("etag").to_owned()]);
        for coding in CODINGS {
            let asked = ("accept-encoding", coding);
            let reply = scene.served.get(&url, &[asked]).await;
            assert_eq!(reply.header("content-encoding"), coding);
            assert_eq!(decoded(&reply), plain.body);
            assert!(
                reply.body.len() < plain.body.len() / 3,
                "{coding}: {}",
                reply.body.len()
            );
            let again = scene.served.get(&url, &[asked]).await;
            assert_eq!(again.body, reply.body);
            for name in ["content-type", "cache-control", "link", "vary"] {
                assert_eq!(reply.header(name), plain.header(name), "{coding} {name}");
            }
            assert_eq!(reply.header("vary"), "Accept-Encoding");
            let tag = reply.header("etag").to_owned();
            let known = scene
                .served
                .get(&url, &[asked, ("if-none-match", &tag)])
                .await;
            assert_eq!((known.status, known.body.len()), (304, 0));
            assert_eq!(known.header("vary"), "Accept-Encoding");
            let other = scene.served.get(&url, &[("if-none-match", &tag)]).await;
            assert_eq!(
                other.status, 200,
                "the tag of one coding is not that of another"
            );
            let head = scene.served.request("HEAD", &url, &[asked]).await;
            assert_eq!(head.header("etag"), tag);
            assert_eq!(head.header("content-length"), reply.body.len().to_string());
            assert!(tags.insert(tag), "{coding}");
        }
    }
}

#[tokio::test]
async fn what_is_not_sealed_is_not_compressed() {
    let scene = Scene::new(50, 60).await;
    for path in ["/feeds/lamps", "/feeds/lamps?after=50", "/feeds"] {
        let asked = [("accept-encoding", "gzip, br, zstd")];
        let reply = scene.served.get(&scene.served.url(path), &asked).await;
        assert_eq!(reply.status, 200);
        assert!(reply.headers.get("content-encoding").is_none(), "{path}");
    }
    let epoch = scene.events().await[0].epoch;
    let open = format!("/feeds/{LAMPS}/archive/{epoch}/2.r1.json");
    let reply = scene
        .served
        .get(&scene.served.url(&open), &[("accept-encoding", "gzip")])
        .await;
    assert_eq!(reply.status, 307);
}

#[tokio::test]
async fn i04_the_tags_of_codings_are_equal_on_every_instance() {
    let scene = Scene::new(50, 120).await;
    let other = Served::start(&scene.store, &[LAMPS]).await;
    let path = page(&scene, Format::Json).await;
    for coding in CODINGS {
        let asked = [("accept-encoding", coding)];
        let one = scene.served.get(&scene.served.url(&path), &asked).await;
        let two = other.get(&other.url(&path), &asked).await;
        assert_eq!(
            (one.header("etag"), &one.body),
            (two.header("etag"), &two.body)
        );
    }
}

/// A page that was rendered once is sent from memory: nobody asks the database again.
#[tokio::test]
async fn a_page_is_rendered_once_while_there_is_room_for_it() {
    let scene = Scene::new(50, 120).await;
    let mut options = RouterOptions::default();
    options.page_cache_bytes = 0;
    let forgetful = Served::start_with(&scene.store, &[LAMPS], &options).await;
    let path = page(&scene, Format::Atom).await;
    let gzip = [("accept-encoding", "gzip")];
    let first = scene.served.get(&scene.served.url(&path), &gzip).await;
    let plain = scene.served.get(&scene.served.url(&path), &[]).await;
    assert_eq!(
        forgetful.get(&forgetful.url(&path), &[]).await.body,
        plain.body
    );
    let conn = rusqlite::Connection::open(scene.store.path()).unwrap();
    conn.execute("UPDATE outbox SET type = 'Changed'", [])
        .unwrap();
    drop(conn);
    for (headers, known) in [(&gzip[..], &first), (&[][..], &plain)] {
        let reply = scene.served.get(&scene.served.url(&path), headers).await;
        assert_eq!(reply.body, known.body);
    }
    assert_ne!(
        forgetful.get(&forgetful.url(&path), &[]).await.body,
        plain.body
    );
}
