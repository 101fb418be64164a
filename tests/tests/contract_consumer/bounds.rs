//! What comes from outside leads nowhere else and has an end (invariant I12).

use std::time::{Duration, Instant};

use feed_core::client::{ClientError, ClientOptions};
use feed_core::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_EVENTS_MAX, REDIRECTS_MAX};
use feed_core::{ConsumerError, Format, StepOutcome};

use super::raw::{Answer, RawServer};
use super::reader::{Reader, catch_up, failure};
use super::scripted::{FORMATS, Said, ScriptedFeed, ScriptedServer, header, redirect, respond};

const START: &str = "/feeds/lamps?after=start";
const TOKEN: &str = "a-token-of-ours-0123";

/// Links that lead away from `own`, to `other` where they lead to a server at all.
fn foreign_links(own: &ScriptedServer, other: &ScriptedServer) -> Vec<String> {
    let own_port = own.origin().rsplit(':').next().unwrap().to_owned();
    let other_host = other.origin().replace("http:", "");
    vec![
        format!("{}/feeds/lamps?after=start", other.origin()),
        format!("{other_host}/feeds/lamps?after=start"),
        format!("\\\\{}/feeds/lamps", other_host.trim_start_matches('/')),
        format!("http://localhost:{own_port}/feeds/lamps"),
        format!("https://127.0.0.1:{own_port}/feeds/lamps"),
        format!("http://somebody:secret@127.0.0.1:{own_port}/feeds/lamps"),
        "file:///etc/passwd".into(),
        "data:application/atom+xml,x".into(),
        "http://[".into(),
        format!("lamps?after={}", "a".repeat(3_000)),
    ]
}

#[tokio::test]
async fn i12_a_next_link_to_another_origin_is_not_followed() {
    for format in FORMATS {
        let (server, other) = (ScriptedServer::start().await, ScriptedServer::start().await);
        for link in foreign_links(&server, &other) {
            let (feed, reader) = (ScriptedFeed::new(1, 3), Reader::new().await);
            let said = Said {
                next: Some(link.clone()),
                ..Said::default()
            };
            server.on(START, [respond(format, feed.events(1..=3), said)]);
            let mut consumer = reader
                .consumer(&server.feed_url())
                .bearer_token(Some(TOKEN.into()));
            for _ in 0..5 {
                match consumer.step().await {
                    Ok(_) => {}
                    Err(ConsumerError::Client(error @ ClientError::ForeignLink { .. })) => {
                        assert!(error.is_transient());
                    }
                    Err(error) => panic!("{link}: {error:?}"),
                }
            }
            assert_eq!(other.targets().await, [""; 0], "{link}");
            // Whether the events before the link are taken or not: they are all there or none is.
            let applied = reader.applied_positions().await.len() as u64;
            assert!([0, 3].contains(&applied), "{link}: {applied}");
            reader.assert_applied(&feed, applied).await;
        }
    }
}

#[tokio::test]
async fn i12_a_redirect_to_another_origin_is_not_followed() {
    let (server, other) = (ScriptedServer::start().await, ScriptedServer::start().await);
    for link in foreign_links(&server, &other) {
        let feed = ScriptedFeed::new(1, 5);
        let reader = Reader::at(&feed, 3).await;
        server.on(&feed.after(3), [redirect(&link)]);
        let mut consumer = reader
            .consumer(&server.feed_url())
            .bearer_token(Some(TOKEN.into()));
        let error = failure(&mut consumer).await;
        let is_foreign = matches!(
            &error,
            ConsumerError::Client(ClientError::ForeignLink { .. })
        );
        assert!(is_foreign && error.is_transient(), "{link}: {error:?}");
        assert_eq!(other.targets().await, [""; 0], "{link}");
        server.on(&feed.after(3), [feed.tail(Format::Json, 4..=5)]);
        server.on(&feed.after(5), [feed.nothing_after(Format::Json, 5)]);
        catch_up(&mut consumer).await;
        reader.assert_applied(&feed, 5).await;
    }
}

#[tokio::test]
async fn i12_the_token_goes_to_the_own_origin_with_every_request() {
    let feed = ScriptedFeed::new(1, 6);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    let page = feed.sealed_path(1, Format::Json);
    server.on(START, [redirect(&page)]);
    server.on(&page, [feed.sealed(Format::Json, 1, 1..=3)]);
    let next = feed.sealed_path(2, Format::Json);
    server.on(&next, [redirect(&feed.after(3))]);
    server.on(&feed.after(3), [feed.tail(Format::Json, 4..=6)]);
    server.on(&feed.after(6), [feed.nothing_after(Format::Json, 6)]);
    let mut consumer = reader
        .consumer(&server.feed_url())
        .bearer_token(Some(TOKEN.into()));
    catch_up(&mut consumer).await;
    reader.assert_applied(&feed, 6).await;
    let requests = server.requests().await;
    // Those, and perhaps pages that were guessed behind the last one.
    assert!(requests.len() >= 5, "{}", requests.len());
    for request in &requests {
        let expected = format!("Bearer {TOKEN}");
        assert_eq!(header(request, "authorization"), Some(expected.as_str()));
    }
    // And none where none was given.
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on(START, [feed.nothing_after(Format::Json, 0)]);
    catch_up(&mut reader.consumer(&server.feed_url())).await;
    assert_eq!(header(&server.requests().await[0], "authorization"), None);
}

#[tokio::test]
async fn i12_redirects_in_a_circle_are_left_after_a_few() {
    let feed = ScriptedFeed::new(1, 4);
    let circles = [
        vec![feed.after(3)],
        vec![feed.sealed_path(2, Format::Json), feed.after(3)],
    ];
    for circle in circles {
        let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
        let mut from = feed.after(3);
        for to in &circle {
            server.on(&from, [redirect(to)]);
            from.clone_from(to);
        }
        let mut consumer = reader.consumer(&server.feed_url());
        let error = failure(&mut consumer).await;
        let is_limit = matches!(
            &error,
            ConsumerError::Client(ClientError::Limit {
                what: "redirects",
                ..
            })
        );
        assert!(is_limit && error.is_transient(), "{error:?}");
        assert_eq!(server.targets().await.len(), REDIRECTS_MAX + 1);
        reader.assert_applied(&feed, 3).await;
        // It heals.
        server.on(&feed.after(3), [feed.tail(Format::Json, 4..=4)]);
        server.on(&feed.after(4), [feed.nothing_after(Format::Json, 4)]);
        catch_up(&mut consumer).await;
        reader.assert_applied(&feed, 4).await;
    }
}

#[tokio::test]
async fn i12_as_many_redirects_as_allowed_are_followed() {
    let feed = ScriptedFeed::new(1, 1);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    let mut from = START.to_owned();
    for hop in 1..=REDIRECTS_MAX {
        let to = format!("/hop/{hop}");
        server.on(&from, [redirect(&to)]);
        from = to;
    }
    server.on(
        &from,
        [respond(
            Format::Json,
            feed.events(1..=1),
            Said {
                next: Some(feed.after(1)),
                ..Said::default()
            },
        )],
    );
    server.on(&feed.after(1), [feed.nothing_after(Format::Json, 1)]);
    catch_up(&mut reader.consumer(&server.feed_url())).await;
    reader.assert_applied(&feed, 1).await;
}

#[tokio::test]
async fn i12_a_body_without_end_is_left_at_the_limit() {
    let feed = ScriptedFeed::new(1, 3);
    let reader = Reader::at(&feed, 3).await;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        Format::Json.media_type()
    );
    let server = RawServer::start(vec![Answer::Endless(head.into_bytes())]).await;
    let error = failure(&mut reader.consumer(&server.feed_url())).await;
    let is_limit = matches!(
        &error,
        ConsumerError::Client(ClientError::Limit { what: "bytes", .. })
    );
    assert!(is_limit && error.is_transient(), "{error:?}");
    // What lies in the buffers of both sockets comes on top.
    let sent = server.sent();
    assert!(sent < DOCUMENT_BYTES_MAX + (32 << 20), "{sent}");
    reader.assert_applied(&feed, 3).await;
}

#[tokio::test]
async fn i12_a_body_that_is_announced_too_large_is_not_read() {
    let feed = ScriptedFeed::new(1, 3);
    let reader = Reader::at(&feed, 3).await;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        Format::Json.media_type(),
        DOCUMENT_BYTES_MAX + 1
    );
    // Nothing of the body ever comes, so whoever waits for it waits for the timeout.
    let server = RawServer::start(vec![Answer::Silence(head.into_bytes())]).await;
    let error = failure(&mut reader.consumer(&server.feed_url())).await;
    let is_limit = matches!(
        &error,
        ConsumerError::Client(ClientError::Limit { what: "bytes", .. })
    );
    assert!(is_limit && error.is_transient(), "{error:?}");
    reader.assert_applied(&feed, 3).await;
}

#[tokio::test]
async fn i12_a_server_that_falls_silent_is_given_up() {
    let feed = ScriptedFeed::new(1, 3);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: 1000\r\n\r\n[",
        Format::Json.media_type(),
    );
    for answer in [Vec::new(), b"HTTP/1.1 2".to_vec(), head.into_bytes()] {
        let reader = Reader::at(&feed, 3).await;
        let server = RawServer::start(vec![Answer::Silence(answer)]).await;
        let options = ClientOptions {
            timeout: Duration::from_millis(300),
            ..ClientOptions::default()
        };
        let mut consumer = reader.consumer(&server.feed_url()).client_options(options);
        let began = Instant::now();
        let error = failure(&mut consumer).await;
        assert!(error.is_transient(), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{error:?}");
        reader.assert_applied(&feed, 3).await;
    }
}

#[tokio::test]
async fn i12_a_document_of_too_many_events_is_refused_whole() {
    let count = DOCUMENT_EVENTS_MAX as u64;
    let feed = ScriptedFeed::new(1, count + 1);
    for format in FORMATS {
        let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
        server.on(START, [feed.tail(format, 1..=count + 1)]);
        let mut consumer = reader.consumer(&server.feed_url());
        let error = failure(&mut consumer).await;
        let is_document = matches!(&error, ConsumerError::Client(ClientError::Document { .. }));
        assert!(is_document && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("10000 events"), "{error}");
        reader.assert_applied(&feed, 0).await;
        // As many as allowed are taken.
        server.on(START, [feed.tail(format, 1..=count)]);
        assert_eq!(consumer.step().await.unwrap(), StepOutcome::Fetched);
    }
}

#[tokio::test]
async fn i12_documents_in_a_circle_make_no_hot_loop() {
    for format in FORMATS {
        let feed = ScriptedFeed::new(1, 5);
        // Without events, and with events that were all seen before.
        for seen in [vec![], feed.events(1..=3)] {
            let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
            let to = |next: &str| {
                let said = Said {
                    next: Some(next.to_owned()),
                    head: Some(feed.cursor(5)),
                    caught_up: Some(false),
                };
                respond(format, seen.clone(), said)
            };
            server.on(&feed.after(3), [to("/a")]);
            server.on("/a", [to("/b")]);
            server.on("/b", [to("/a")]);
            let mut consumer = reader.consumer(&server.feed_url());
            assert_eq!(consumer.step().await.unwrap(), StepOutcome::Taken);
            // Said of every one of them, so that the loop waits each time: first as after any poll, then longer and longer.
            assert_eq!(consumer.step().await.unwrap(), StepOutcome::CaughtUp);
            for _ in 1..10 {
                let error = failure(&mut consumer).await;
                let nothing = matches!(error, ConsumerError::NothingComes { .. });
                assert!(nothing && error.is_transient(), "{error:?}");
            }
            assert_eq!(server.targets().await, vec![feed.after(3); 10]);
            // Out of the circle it goes on.
            for place in ["/a", "/b", &feed.after(3)] {
                let next = format!("/feeds/lamps?after={}", feed.cursor(5));
                let said = Said {
                    next: Some(next),
                    ..Said::default()
                };
                server.on(place, [respond(format, feed.events(4..=5), said)]);
            }
            server.on(&feed.after(5), [feed.nothing_after(format, 5)]);
            catch_up(&mut consumer).await;
            reader.assert_applied(&feed, 5).await;
        }
    }
}
