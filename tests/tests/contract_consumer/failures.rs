//! Servers and networks that fail: nothing is applied, it is tried again, and then it goes on.

use std::time::{Duration, Instant};

use feed_core::client::{ClientError, ClientOptions};
use feed_core::{ConsumerError, Format};
use tokio_util::sync::CancellationToken;
use wiremock::ResponseTemplate;

use super::documents::body_of;
use super::raw::{Answer, RawServer};
use super::reader::{Reader, catch_up, failure};
use super::scripted::{FORMATS, ScriptedFeed, ScriptedServer};

/// The answer fails with a transient error that `is` recognises; nothing is applied, before and after another try;
/// when the server has healed, all is applied.
async fn fails_then_heals(bad: ResponseTemplate, is: impl Fn(&ClientError) -> bool) {
    let feed = ScriptedFeed::new(1, 5);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    server.on(&feed.after(3), [bad]);
    let mut consumer = reader.consumer(&server.feed_url());
    for _ in 0..2 {
        let error = failure(&mut consumer).await;
        assert!(error.is_transient(), "{error}");
        match &error {
            ConsumerError::Client(client) => assert!(is(client), "{client:?}"),
            other => panic!("{other:?}"),
        }
        reader.assert_applied(&feed, 3).await;
        assert_eq!(reader.halted().await, None);
    }
    server.on(&feed.after(3), [feed.tail(Format::Json, 4..=5)]);
    server.on(&feed.after(5), [feed.nothing_after(Format::Json, 5)]);
    catch_up(&mut consumer).await;
    reader.assert_applied(&feed, 5).await;
}

#[tokio::test]
async fn i13_every_failing_status_is_tried_again_until_it_heals() {
    for status in [400, 401, 403, 404, 410, 429, 500, 502, 503, 504] {
        fails_then_heals(
            ResponseTemplate::new(status).set_body_string("<html>no</html>"),
            |error| matches!(error, ClientError::Status { status: found, retry_after: None, .. } if found.as_u16() == status),
        )
        .await;
    }
}

#[tokio::test]
async fn i13_the_wait_that_the_server_asks_for_is_told() {
    let date = (chrono::Utc::now() + Duration::from_secs(40)).format("%a, %d %b %Y %H:%M:%S GMT");
    let date = date.to_string();
    let asked: [(u16, &str, std::ops::RangeInclusive<u64>); 4] = [
        (503, "7", 7..=7),
        (429, "3", 3..=3),
        (503, &date, 30..=40),
        // Bounded (invariant I12).
        (503, "86400", 60..=60),
    ];
    for (status, value, seconds) in asked {
        fails_then_heals(
            ResponseTemplate::new(status).insert_header("retry-after", value),
            |error| {
                let wait = error.retry_after().map(|wait| wait.as_secs());
                wait.is_some_and(|wait| seconds.contains(&wait))
            },
        )
        .await;
    }
}

#[tokio::test]
async fn i13_the_running_consumer_waits_as_long_as_the_server_asks_and_goes_on() {
    let feed = ScriptedFeed::new(1, 5);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    server.on(
        &feed.after(3),
        [
            ResponseTemplate::new(503).insert_header("retry-after", "1"),
            feed.tail(Format::Json, 4..=5),
        ],
    );
    server.on(&feed.after(5), [feed.nothing_after(Format::Json, 5)]);
    let stop = CancellationToken::new();
    let began = Instant::now();
    let running = reader.consumer(&server.feed_url()).spawn(stop.clone());
    let mut commits = reader.store.commits();
    let appended = async {
        while reader.follow_ups().await.len() < 5 {
            commits.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), appended)
        .await
        .expect("it goes on by itself");
    assert!(began.elapsed() >= Duration::from_secs(1), "it did not wait");
    stop.cancel();
    running.await.unwrap().unwrap();
    reader.assert_applied(&feed, 5).await;
}

#[tokio::test]
async fn i12_an_error_body_without_end_is_not_read_to_its_end() {
    let huge = format!("{{\"detail\":\"{}\"}}", "x".repeat(1 << 20));
    fails_then_heals(
        ResponseTemplate::new(500).set_body_raw(huge, "application/problem+json"),
        |error| matches!(error, ClientError::Status { .. }) && error.to_string().len() < 2_000,
    )
    .await;
}

#[tokio::test]
async fn i13_a_server_that_is_not_there_is_tried_again() {
    let feed = ScriptedFeed::new(1, 3);
    let reader = Reader::at(&feed, 3).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/feeds/lamps", free.local_addr().unwrap());
    drop(free);
    let mut consumer = reader.consumer(&url);
    for _ in 0..3 {
        let error = failure(&mut consumer).await;
        assert!(error.is_transient(), "{error}");
        let is_connection = matches!(
            &error,
            ConsumerError::Client(ClientError::Connection { url: at, .. }) if at.starts_with(&url)
        );
        assert!(is_connection, "{error:?}");
        reader.assert_applied(&feed, 3).await;
    }
    assert_eq!(reader.halted().await, None);
}

#[tokio::test]
async fn i12_garbage_is_refused_whole() {
    let feed = ScriptedFeed::new(1, 5);
    let batch = feed_core::json::write_batch(&feed.events(4..=5));
    let text = String::from_utf8(batch.clone()).unwrap();
    let (before, behind) = text.rsplit_once("\"version\":1").unwrap();
    let json: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"garbage".to_vec(),
        b"{}".to_vec(),
        b"null".to_vec(),
        b"[{}]".to_vec(),
        b"[1]".to_vec(),
        b"\xff\xfe\x00[".to_vec(),
        b"\xef\xbb\xbf[]".to_vec(),
        batch[..batch.len() - 3].to_vec(),
        // The second event is broken: the first may not be taken either.
        format!("{before}\"version\":\"one\"{behind}").into_bytes(),
        [batch.clone(), b"[]".to_vec()].concat(),
        vec![b'['; 100_000],
    ];
    let atom: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"<html><body>Bad gateway</body></html>".to_vec(),
        b"<feed xmlns=\"http://www.w3.org/2005/Atom\"><entry/></feed>".to_vec(),
        b"<feed xmlns=\"http://www.w3.org/2005/Atom\">".to_vec(),
        b"<!DOCTYPE feed [<!ENTITY a \"b\">]><feed xmlns=\"http://www.w3.org/2005/Atom\"/>"
            .to_vec(),
        batch,
    ];
    for (bodies, format) in [(json, Format::Json), (atom, Format::Atom)] {
        for body in bodies {
            fails_then_heals(
                ResponseTemplate::new(200).set_body_raw(body, format.media_type()),
                |error| matches!(error, ClientError::Document { .. }),
            )
            .await;
        }
    }
}

#[tokio::test]
async fn i12_a_body_of_another_type_or_charset_is_not_read() {
    let feed = ScriptedFeed::new(1, 5);
    let types = [
        (Format::Json, "application/json"),
        (Format::Json, "text/plain"),
        (Format::Json, "application/cloudevents+json"),
        (
            Format::Json,
            "application/cloudevents-batch+json; charset=utf-16",
        ),
        (Format::Atom, "text/html; charset=utf-8"),
        (Format::Atom, "application/xml"),
        (Format::Atom, "application/atom+xml; charset=iso-8859-1"),
        (Format::Atom, ""),
    ];
    for (format, media_type) in types {
        let body = body_of(feed.tail(format, 4..=5), media_type).await;
        fails_then_heals(
            body,
            |error| matches!(error, ClientError::ContentType { found, .. } if found == media_type),
        )
        .await;
    }
}

#[tokio::test]
async fn i08_a_truncated_body_is_not_applied_in_part() {
    for format in FORMATS {
        let feed = ScriptedFeed::new(1, 5);
        let reader = Reader::at(&feed, 3).await;
        let batch = feed_core::json::write_batch(&feed.events(4..=5));
        let head = |announced: usize| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {announced}\r\nLink: <lamps?after={}>; rel=next\r\nConnection: close\r\n\r\n",
                Format::Json.media_type(),
                feed.cursor(5)
            )
            .into_bytes()
        };
        let chunked = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n",
            Format::Json.media_type(),
            batch.len()
        );
        let whole = [head(batch.len()), batch.clone()].concat();
        let server = RawServer::start(vec![
            // More is announced than comes, though what comes is a whole document.
            Answer::Bytes([head(batch.len() + 100), batch.clone()].concat()),
            // Cut off inside of the document.
            Answer::Bytes([head(batch.len()), batch[..batch.len() / 2].to_vec()].concat()),
            // Whole, but the last chunk, which says so, is missing.
            Answer::Bytes([chunked.into_bytes(), batch.clone(), b"\r\n".to_vec()].concat()),
            // Nothing at all.
            Answer::Bytes(Vec::new()),
            Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Ty".to_vec()),
            Answer::Bytes(whole),
        ])
        .await;
        let options = ClientOptions {
            format,
            ..ClientOptions::default()
        };
        let mut consumer = reader.consumer(&server.feed_url()).client_options(options);
        for _ in 0..5 {
            let error = failure(&mut consumer).await;
            let is_connection = matches!(
                &error,
                ConsumerError::Client(ClientError::Connection { .. })
            );
            assert!(is_connection && error.is_transient(), "{error:?}");
            reader.assert_applied(&feed, 3).await;
        }
        while !matches!(
            consumer.step().await.unwrap(),
            feed_core::StepOutcome::Applied { .. }
        ) {}
        reader.assert_applied(&feed, 5).await;
        // What comes behind it may have been asked for by then.
        assert!((6..=7).contains(&server.connections()));
    }
}
