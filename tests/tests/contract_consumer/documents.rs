//! Documents that are as they should be, in both representations.

use feed_core::client::ClientOptions;
use feed_core::{Format, Handlers, StepOutcome};
use wiremock::ResponseTemplate;

use super::reader::{Reader, catch_up, note};
use super::scripted::{
    FEED, FORMATS, LIT, Said, ScriptedFeed, ScriptedServer, header, redirect, respond,
};

const START: &str = "/feeds/lamps?after=start";

#[tokio::test]
async fn i08_an_empty_feed_is_caught_up_with_and_waited_on() {
    for format in FORMATS {
        let (feed, reader, server) = (
            ScriptedFeed::new(1, 2),
            Reader::new().await,
            ScriptedServer::start().await,
        );
        server.on(START, [feed.nothing_after(format, 0)]);
        server.on(
            &feed.after(0),
            [
                feed.nothing_after(format, 0),
                feed.nothing_after(format, 0),
                feed.tail(format, 1..=2),
            ],
        );
        server.on(&feed.after(2), [feed.nothing_after(format, 2)]);
        let mut consumer = reader.consumer(&server.feed_url());
        for _ in 0..3 {
            catch_up(&mut consumer).await;
            reader.assert_applied(&feed, 0).await;
        }
        catch_up(&mut consumer).await;
        reader.assert_applied(&feed, 2).await;
    }
}

#[tokio::test]
async fn i07_next_links_are_followed_and_every_event_applied_once() {
    for format in FORMATS {
        let (feed, reader, server) = (
            ScriptedFeed::new(1, 6),
            Reader::new().await,
            ScriptedServer::start().await,
        );
        server.on(START, [feed.tail(format, 1..=3)]);
        server.on(&feed.after(3), [feed.tail(format, 4..=4)]);
        server.on(&feed.after(4), [feed.tail(format, 5..=6)]);
        server.on(&feed.after(6), [feed.nothing_after(format, 6)]);
        let mut consumer = reader.consumer(&server.feed_url());
        catch_up(&mut consumer).await;
        reader.assert_applied(&feed, 6).await;
        let expected = [
            START.to_owned(),
            feed.after(3),
            feed.after(4),
            feed.after(6),
        ];
        assert_eq!(server.targets().await, expected);
        catch_up(&mut consumer).await;
        reader.assert_applied(&feed, 6).await;
    }
}

#[tokio::test]
async fn i07_sealed_pages_are_reached_and_left_by_relative_redirects() {
    for format in FORMATS {
        let (feed, reader, server) = (
            ScriptedFeed::new(1, 7),
            Reader::new().await,
            ScriptedServer::start().await,
        );
        let page = |number| feed.sealed_path(number, format);
        let (epoch, extension) = (feed.epoch, format.extension());
        server.on(
            START,
            [redirect(&format!("lamps/archive/{epoch}/1.r1.{extension}"))],
        );
        server.on(&page(1), [feed.sealed(format, 1, 1..=3)]);
        server.on(&page(2), [feed.sealed(format, 2, 4..=6)]);
        let tail = format!("../../../lamps?after={}", feed.cursor(6));
        server.on(&page(3), [redirect(&tail)]);
        server.on(&feed.after(6), [feed.tail(format, 7..=7)]);
        server.on(&feed.after(7), [feed.nothing_after(format, 7)]);
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, 7).await;
        // Pages are guessed: the third may be asked for before the second, and some behind it that are not there.
        let mut expected = vec![
            START.to_owned(),
            page(1),
            page(2),
            page(3),
            feed.after(6),
            feed.after(7),
        ];
        expected.sort();
        let mut targets = server.targets().await;
        targets.retain(|target| !(4..12).any(|number| *target == page(number)));
        targets.sort();
        assert_eq!(targets, expected);
    }
}

#[tokio::test]
async fn i07_a_sealed_page_is_taken_up_from_its_middle() {
    for format in FORMATS {
        let feed = ScriptedFeed::new(1, 6);
        let (reader, server) = (Reader::at(&feed, 2).await, ScriptedServer::start().await);
        let location = feed.sealed_path(1, format);
        server.on(&feed.after(2), [redirect(&location)]);
        server.on(&location, [feed.sealed(format, 1, 1..=3)]);
        server.on(
            &feed.sealed_path(2, format),
            [redirect(&format!(
                "../../../lamps?after={}",
                feed.cursor(3)
            ))],
        );
        server.on(&feed.after(3), [feed.tail(format, 4..=6)]);
        server.on(&feed.after(6), [feed.nothing_after(format, 6)]);
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, 6).await;
    }
}

#[tokio::test]
async fn i07_nothing_is_applied_twice_when_it_has_not_changed() {
    for format in FORMATS {
        let feed = ScriptedFeed::new(1, 4);
        let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
        server.on(
            &feed.after(3),
            [
                feed.nothing_after(format, 3)
                    .insert_header("etag", "\"at-3\""),
                ResponseTemplate::new(304).insert_header("etag", "\"at-3\""),
                ResponseTemplate::new(304).insert_header("etag", "\"at-3\""),
                feed.tail(format, 4..=4).insert_header("etag", "\"at-4\""),
            ],
        );
        server.on(
            &feed.after(4),
            [
                feed.nothing_after(format, 4)
                    .insert_header("etag", "W/\"new\""),
                ResponseTemplate::new(304),
            ],
        );
        let mut consumer = reader.consumer(&server.feed_url());
        for _ in 0..3 {
            catch_up(&mut consumer).await;
            reader.assert_applied(&feed, 3).await;
        }
        for _ in 0..3 {
            catch_up(&mut consumer).await;
            reader.assert_applied(&feed, 4).await;
        }
        let tags: Vec<Option<String>> = server
            .requests()
            .await
            .iter()
            .map(|request| header(request, "if-none-match").map(str::to_owned))
            .collect();
        let some = |tag: &str| Some(tag.to_owned());
        // The tag of one URL is never sent to another.
        let expected = [
            None,
            some("\"at-3\""),
            some("\"at-3\""),
            some("\"at-3\""),
            None,
            some("W/\"new\""),
            some("W/\"new\""),
        ];
        assert_eq!(tags, expected);
    }
}

#[tokio::test]
async fn i07_either_representation_is_read_whichever_was_asked_for() {
    for asked in FORMATS {
        let (feed, reader, server) = (
            ScriptedFeed::new(1, 4),
            Reader::new().await,
            ScriptedServer::start().await,
        );
        server.on(START, [feed.tail(Format::Atom, 1..=2)]);
        server.on(&feed.after(2), [feed.tail(Format::Json, 3..=3)]);
        server.on(&feed.after(3), [feed.tail(Format::Atom, 4..=4)]);
        server.on(&feed.after(4), [feed.nothing_after(Format::Json, 4)]);
        let options = ClientOptions {
            format: asked,
            ..ClientOptions::default()
        };
        let mut consumer = reader.consumer(&server.feed_url()).client_options(options);
        catch_up(&mut consumer).await;
        reader.assert_applied(&feed, 4).await;
        for request in server.requests().await {
            let accept = header(&request, "accept").unwrap();
            assert!(accept.starts_with(asked.media_type()), "{accept}");
            for format in FORMATS {
                assert!(accept.contains(format.media_type()), "{accept}");
            }
        }
    }
}

#[tokio::test]
async fn i07_parameters_and_case_of_the_media_type_do_not_matter() {
    let types = [
        (Format::Atom, "application/atom+xml;type=feed"),
        (Format::Atom, "application/atom+xml; charset=\"UTF-8\""),
        (Format::Atom, "Application/Atom+XML;charset=utf-8;type=feed"),
        (
            Format::Json,
            "APPLICATION/CloudEvents-Batch+JSON; Charset=utf-8",
        ),
    ];
    for (format, media_type) in types {
        let (feed, reader, server) = (
            ScriptedFeed::new(1, 2),
            Reader::new().await,
            ScriptedServer::start().await,
        );
        let body = respond_raw(&feed, format, media_type).await;
        server.on(START, [body]);
        server.on(&feed.after(2), [feed.nothing_after(format, 2)]);
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, 2).await;
    }
}

/// A document under another media type than its own.
async fn respond_raw(feed: &ScriptedFeed, format: Format, media_type: &str) -> ResponseTemplate {
    let next = format!("<lamps?after={}>; rel=next", feed.cursor(2));
    body_of(feed.tail(format, 1..=2), media_type)
        .await
        .insert_header("link", next)
}

/// The same body, called something else.
pub(crate) async fn body_of(answer: ResponseTemplate, media_type: &str) -> ResponseTemplate {
    let server = ScriptedServer::start().await;
    server.on("/", [answer]);
    let body = reqwest_get(&server.origin()).await;
    ResponseTemplate::new(200).set_body_raw(body, media_type)
}

async fn reqwest_get(url: &str) -> Vec<u8> {
    // Making a feed client installs the provider of TLS that every HTTP client here needs.
    feed_core::client::FeedClient::new(url, ClientOptions::default()).unwrap();
    let response = reqwest::get(url).await.unwrap();
    response.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn i13_a_tail_without_a_next_link_is_gone_on_from_behind_its_last_event() {
    // A cache or a static file may lose the Link header of a JSON batch; the cursor says where to go on.
    for format in FORMATS {
        let (feed, reader, server) = (
            ScriptedFeed::new(1, 5),
            Reader::new().await,
            ScriptedServer::start().await,
        );
        let without = |positions| respond(format, feed.events(positions), Said::default());
        server.on(START, [without(1..=3)]);
        server.on(&feed.after(3), [without(4..=5)]);
        server.on(&feed.after(5), [respond(format, vec![], Said::default())]);
        let mut consumer = reader.consumer(&server.feed_url());
        for _ in 0..4 {
            catch_up(&mut consumer).await;
        }
        reader.assert_applied(&feed, 5).await;
    }
}

#[tokio::test]
async fn i08_a_short_page_is_not_taken_for_the_end() {
    // The loop waits for the next poll only behind the last event that the feed says there is.
    for format in FORMATS {
        let (feed, reader, server) = (
            ScriptedFeed::new(1, 3),
            Reader::new().await,
            ScriptedServer::start().await,
        );
        let one = |position: u64, caught_up| {
            let said = Said {
                next: Some(format!("lamps?after={}", feed.cursor(position))),
                head: None,
                caught_up,
            };
            respond(format, feed.events(position..=position), said)
        };
        // That it says nothing of it, as a sealed page, does not mean that nothing comes behind.
        server.on(START, [one(1, Some(false))]);
        server.on(&feed.after(1), [one(2, None)]);
        server.on(&feed.after(2), [one(3, Some(true))]);
        let hour = std::time::Duration::from_secs(3_600);
        let consumer = reader.consumer(&server.feed_url()).poll_interval(hour);
        let stop = tokio_util::sync::CancellationToken::new();
        let running = consumer.spawn(stop.clone());
        let mut commits = reader.store.commits();
        let applied = async {
            while reader.applied_positions().await.len() < 3 {
                commits.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), applied)
            .await
            .expect("it goes on without waiting for the next poll");
        stop.cancel();
        running.await.unwrap().unwrap();
        reader.assert_applied(&feed, 3).await;
    }
}

#[tokio::test]
async fn i13_sealed_pages_are_followed_without_headers() {
    let (feed, reader, server) = (
        ScriptedFeed::new(1, 7),
        Reader::new().await,
        ScriptedServer::start().await,
    );
    let format = Format::Json;
    let bare = |positions| respond(format, feed.events(positions), Said::default());
    server.on(START, [redirect(&feed.sealed_path(1, format))]);
    server.on(&feed.after(3), [redirect(&feed.sealed_path(2, format))]);
    server.on(&feed.sealed_path(1, format), [bare(1..=3)]);
    server.on(&feed.sealed_path(2, format), [bare(4..=6)]);
    let to_tail = format!("../../../lamps?after={}", feed.cursor(6));
    server.on(&feed.sealed_path(3, format), [redirect(&to_tail)]);
    server.on(&feed.after(6), [feed.tail(format, 7..=7)]);
    server.on(&feed.after(7), [feed.nothing_after(format, 7)]);
    let mut consumer = reader.consumer(&server.feed_url());
    for _ in 0..4 {
        catch_up(&mut consumer).await;
    }
    reader.assert_applied(&feed, 7).await;
}

#[tokio::test]
async fn i08_the_cursor_passes_over_events_that_no_handler_is_for() {
    let (feed, reader, server) = (
        ScriptedFeed::new(1, 5),
        Reader::new().await,
        ScriptedServer::start().await,
    );
    server.on(START, [feed.tail(Format::Json, 1..=5)]);
    server.on(&feed.after(5), [feed.nothing_after(Format::Json, 5)]);
    let mut consumer = reader.consumer_with(&server.feed_url(), Handlers::new().on("Dimmed", note));
    catch_up(&mut consumer).await;
    assert_eq!(reader.applied_positions().await, [0_i64; 0]);
    let row = reader.subscription().await.unwrap();
    assert_eq!((row.cursor, row.events), (Some(feed.cursor(5)), 5));
    assert_eq!(row.feed_url, server.feed_url());
}

#[tokio::test]
async fn i08_the_cursor_moves_only_with_what_was_applied() {
    let (feed, reader, server) = (
        ScriptedFeed::new(1, 4),
        Reader::new().await,
        ScriptedServer::start().await,
    );
    server.on(START, [feed.tail(Format::Json, 1..=4)]);
    server.on(&feed.after(4), [feed.nothing_after(Format::Json, 4)]);
    let handlers = Handlers::new().on(LIT, note);
    let mut consumer = reader.consumer_with(&server.feed_url(), handlers);
    let mut applied = 0;
    loop {
        match consumer.step().await.unwrap() {
            StepOutcome::Applied { events, cursor } => {
                applied += events as u64;
                assert_eq!(cursor, feed.cursor(applied));
            }
            StepOutcome::CaughtUp => break,
            StepOutcome::Taken | StepOutcome::Fetched => {}
            other => panic!("{other:?}"),
        }
        reader.assert_applied(&feed, applied).await;
    }
    assert_eq!(applied, 4);
    assert!(server.targets().await.iter().all(|t| t.starts_with(FEED)));
}

#[tokio::test]
async fn a_false_head_is_forgotten_at_the_next_answer() {
    let feed = ScriptedFeed::new(1, 4);
    let (reader, server) = (Reader::at(&feed, 4).await, ScriptedServer::start().await);
    let far = ScriptedFeed::new(1, 4_000);
    let said = |head| Said {
        next: Some(format!("lamps?after={}", feed.cursor(4))),
        head: Some(head),
        caught_up: Some(true),
    };
    let answers = [far.cursor(4_000), feed.cursor(4)];
    let answers = answers.map(|head| respond(Format::Json, vec![], said(head)));
    server.on(&feed.after(4), answers);
    let mut consumer = reader.consumer(&server.feed_url());
    for expected in [4_000, 4, 4] {
        catch_up(&mut consumer).await;
        let head = reader.subscription().await.unwrap().head;
        assert_eq!(head.map(|head| head.position.get()), Some(expected));
    }
}

#[tokio::test]
async fn i11_a_link_that_is_refused_is_no_reason_to_halt() {
    let feed = ScriptedFeed::new(1, 6);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    let said = Said {
        next: Some("lamps?after=made-up".into()),
        ..Said::default()
    };
    server.on(
        &feed.after(3),
        [
            respond(Format::Json, vec![], said),
            feed.tail(Format::Json, 4..=6),
        ],
    );
    let made_up = format!("{FEED}?after=made-up");
    server.on(&made_up, [super::scripted::problem(409, "cursor-diverged")]);
    server.on(&feed.after(6), [feed.nothing_after(Format::Json, 6)]);
    let mut consumer = reader.consumer(&server.feed_url());
    for _ in 0..3 {
        catch_up(&mut consumer).await;
    }
    reader.assert_applied(&feed, 6).await;
    assert_eq!(reader.halted().await, None);
}
