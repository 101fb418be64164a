//! Bodies that come compressed: read as they were before, and bounded by what they become (invariant I12).

use std::io::{Read, Write};
use std::time::Duration;

use feed_core::client::{
    ClientError, ClientOptions, Compression, FeedClient, FetchOptions, Fetched, Page,
};
use feed_core::limits::DOCUMENT_BYTES_MAX;
use feed_core::{After, ConsumerError, Format, json};

use super::raw::{Answer, RawServer};
use super::reader::{Reader, catch_up, failure};
use super::scripted::{ScriptedFeed, ScriptedServer, header};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

fn encode(coding: &str, body: impl Read) -> Vec<u8> {
    let mut body = body;
    let mut encoded = Vec::new();
    match coding {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(&mut encoded, flate2::Compression::fast());
            std::io::copy(&mut body, &mut gzip).unwrap();
            gzip.finish().unwrap();
        }
        "br" => {
            let mut br = brotli::CompressorWriter::new(&mut encoded, 1 << 16, 1, 22);
            std::io::copy(&mut body, &mut br).unwrap();
            br.flush().unwrap();
            drop(br);
        }
        "zstd" => zstd::stream::copy_encode(body, &mut encoded, 1).unwrap(),
        _ => panic!("{coding}"),
    }
    encoded
}

/// The bytes of a whole answer.
fn answer(coding: &str, body: &[u8]) -> Answer {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\
         Link: <lamps?after=x>; rel=\"next\"\r\nConnection: close\r\n\r\n",
        Format::Json.media_type(),
        body.len()
    );
    Answer::Bytes([head.as_bytes(), body].concat())
}

async fn fetch(feed_url: &str, options: FetchOptions<'_>) -> Result<Page, ClientError> {
    let client = FeedClient::new(feed_url, ClientOptions::default())?;
    match client.fetch(&client.tail(&After::Start), options).await? {
        Fetched::Page(page) => Ok(*page),
        Fetched::NotModified => panic!("nothing was asked for by a tag"),
    }
}

#[tokio::test]
async fn each_coding_is_asked_for_and_read() {
    let feed = ScriptedFeed::new(1, 3);
    let body = json::write_batch(&feed.events(1..=3));
    for coding in CODINGS {
        let server = RawServer::start(vec![answer(coding, &encode(coding, &*body))]).await;
        let page = fetch(&server.feed_url(), FetchOptions::default())
            .await
            .unwrap();
        assert_eq!(page.document.events, feed.events(1..=3), "{coding}");
    }
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on(
        "/feeds/lamps?after=start",
        [feed.nothing_after(Format::Json, 0)],
    );
    let options = ClientOptions {
        compression: Compression::Always,
        ..ClientOptions::default()
    };
    let consumer = reader.consumer(&server.feed_url());
    catch_up(&mut consumer.client_options(options)).await;
    let asked = server.requests().await;
    let accepted = header(&asked[0], "accept-encoding").unwrap();
    for coding in CODINGS {
        assert!(accepted.contains(coding), "{accepted}");
    }
}

#[tokio::test]
async fn none_is_asked_of_this_machine() {
    let feed = ScriptedFeed::new(1, 3);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    let nothing = feed.nothing_after(Format::Json, 0);
    server.on("/feeds/lamps?after=start", [nothing]);
    catch_up(&mut reader.consumer(&server.feed_url())).await;
    let asked = server.requests().await;
    assert_eq!(header(&asked[0], "accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn i12_a_small_body_that_becomes_a_large_one_is_left_at_the_limit() {
    let feed = ScriptedFeed::new(1, 3);
    for coding in CODINGS {
        let large = std::io::repeat(b' ').take(2 * DOCUMENT_BYTES_MAX as u64);
        let bomb = encode(coding, large);
        assert!(
            bomb.len() < DOCUMENT_BYTES_MAX / 100,
            "{coding}: {}",
            bomb.len()
        );
        // The end never comes: whoever decodes all of it before he looks at the limit waits for the timeout.
        let Answer::Bytes(mut bytes) = answer(coding, &bomb) else {
            unreachable!("that is what `answer` gives");
        };
        bytes.truncate(bytes.len() - bomb.len() / 10);
        let reader = Reader::at(&feed, 3).await;
        let server = RawServer::start(vec![Answer::Silence(bytes)]).await;
        let error = failure(&mut reader.consumer(&server.feed_url())).await;
        let is_limit = matches!(
            &error,
            ConsumerError::Client(ClientError::Limit { what: "bytes", .. })
        );
        assert!(is_limit && error.is_transient(), "{coding}: {error:?}");
        reader.assert_applied(&feed, 3).await;
    }
}

#[tokio::test]
async fn a_wrong_coding_is_worth_another_try() {
    let feed = ScriptedFeed::new(1, 5);
    let body = json::write_batch(&feed.events(4..=5));
    let gzip = encode("gzip", &*body);
    let twice = encode("br", &*gzip);
    for (coding, body) in [
        // Not coded as it says, cut off, coded in a way that nobody asked for, and more than once.
        ("gzip", &body[..]),
        ("br", &body),
        ("zstd", &body),
        ("gzip", &gzip[..gzip.len() - 9]),
        ("compress", &body),
        ("gzip, br", &twice),
    ] {
        let reader = Reader::at(&feed, 3).await;
        let server = RawServer::start(vec![answer(coding, body)]).await;
        let error = failure(&mut reader.consumer(&server.feed_url())).await;
        assert!(error.is_transient(), "{coding}: {error:?}");
        reader.assert_applied(&feed, 3).await;
    }
}

#[tokio::test]
async fn a_wait_is_asked_for_and_what_was_applied_is_told() {
    let feed = ScriptedFeed::new(1, 3);
    let wait = |seconds| FetchOptions {
        wait: Some(Duration::from_secs(seconds)),
        ..FetchOptions::default()
    };
    let start = "/feeds/lamps?after=start";
    for (applied, waited) in [
        (None, None),
        (Some("wait=7"), Some(7)),
        (Some("respond-async, Wait = \"5\"; x=1"), Some(5)),
        (Some("respond-async"), None),
        (Some("wait"), None),
        (Some("wait=-1, wait=many"), None),
    ] {
        let server = ScriptedServer::start().await;
        let mut answer = feed.nothing_after(Format::Json, 0);
        if let Some(applied) = applied {
            answer = answer.insert_header("preference-applied", applied);
        }
        server.on(start, [answer]);
        let page = fetch(&server.feed_url(), wait(20)).await.unwrap();
        assert_eq!(page.waited, waited.map(Duration::from_secs), "{applied:?}");
        assert_eq!(
            header(&server.requests().await[0], "prefer"),
            Some("wait=20")
        );
    }
    // No longer than a server may hold it; and not at all unless asked to.
    let server = ScriptedServer::start().await;
    server.on(start, [feed.nothing_after(Format::Json, 0)]);
    fetch(&server.feed_url(), wait(3_600)).await.unwrap();
    fetch(&server.feed_url(), FetchOptions::default())
        .await
        .unwrap();
    let requests = server.requests().await;
    assert_eq!(header(&requests[0], "prefer"), Some("wait=25"));
    assert_eq!(header(&requests[1], "prefer"), None);
}

#[tokio::test]
async fn a_wait_comes_on_top_of_the_time_for_a_request() {
    let feed = ScriptedFeed::new(1, 3);
    let options = ClientOptions {
        timeout: Duration::from_millis(500),
        ..ClientOptions::default()
    };
    let server = ScriptedServer::start().await;
    let late = feed
        .nothing_after(Format::Json, 0)
        .set_delay(Duration::from_millis(1_000));
    server.on("/feeds/lamps?after=start", [late]);
    let client = FeedClient::new(&server.feed_url(), options).unwrap();
    let url = client.tail(&After::Start);
    let error = client.fetch(&url, FetchOptions::default()).await;
    assert!(matches!(
        error,
        Err(ClientError::Timeout { limit_ms: 500, .. })
    ));
    let waiting = FetchOptions {
        wait: Some(Duration::from_secs(5)),
        ..FetchOptions::default()
    };
    client.fetch(&url, waiting).await.unwrap();
}
