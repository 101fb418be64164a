//! Events that do not follow on: asked for again past all caches, then the subscription halts (invariants I8, I11).

use feed_core::{ConsumerError, Epoch, Event, Format, Halt};
use wiremock::ResponseTemplate;

use super::reader::{Reader, catch_up, failure};
use super::scripted::{FORMATS, Said, ScriptedFeed, ScriptedServer, header, redirect, respond};

const NO_CACHE: Option<&str> = Some("no-cache");

/// What does not follow on from the cursor at position 3 of `feed`, by what is wrong with it.
fn wrong_events(feed: &ScriptedFeed) -> Vec<(&'static str, Vec<Event>)> {
    let other = ScriptedFeed::new(9, feed.len());
    let mut swapped = feed.events(4..=6);
    (swapped[0].id, swapped[1].id) = (swapped[1].id, swapped[0].id);
    let mut renumbered = feed.events(5..=6);
    for event in &mut renumbered {
        event.position = feed.event(event.position.get() - 1).position;
    }
    let mut other_here = other.events(4..=6);
    for event in &mut other_here {
        event.epoch = feed.epoch;
    }
    let mut own_checked_otherwise = feed.events(3..=6);
    own_checked_otherwise[0].check = other.event(3).check;
    let mut another_id = feed.events(4..=6);
    another_id[2].id = other.event(6).id;
    vec![
        ("the next one is skipped", feed.events(5..=6)),
        ("one in between is skipped", pick(feed, &[4, 6])),
        ("one is skipped and the others renumbered", renumbered),
        ("one is repeated", pick(feed, &[4, 4, 5])),
        ("the last one is repeated", pick(feed, &[4, 5, 6, 6])),
        ("two are swapped", pick(feed, &[5, 4, 6])),
        ("two have each other's ids", swapped),
        ("positions go back", pick(feed, &[4, 5, 3])),
        ("positions begin anew", pick(feed, &[4, 1, 2])),
        ("newest first", pick(feed, &[6, 5, 4])),
        ("another event's id", another_id),
        ("another history with the same numbers", other.events(4..=6)),
        ("another history under our epoch", other_here),
        (
            "another history from its first event on",
            other.events(1..=6),
        ),
        (
            "another check of the event that was seen",
            own_checked_otherwise,
        ),
    ]
}

fn pick(feed: &ScriptedFeed, positions: &[u64]) -> Vec<Event> {
    positions
        .iter()
        .map(|position| feed.event(*position))
        .collect()
}

/// The consumer at position 3 is told `events`: it asks again past all caches, and halts.
async fn halts_on(what: &str, feed: &ScriptedFeed, events: Vec<Event>, format: Format) {
    let (reader, server) = (Reader::at(feed, 3).await, ScriptedServer::start().await);
    server.on(&feed.after(3), [feed.tail_of(format, events, 6)]);
    let mut consumer = reader.consumer(&server.feed_url());

    let first = failure(&mut consumer).await;
    assert!(
        matches!(first, ConsumerError::Unverified { .. }) && first.is_transient(),
        "{what}: {first:?}"
    );
    assert_eq!(reader.halted().await, None, "{what}");
    reader.assert_applied(feed, 3).await;

    let second = failure(&mut consumer).await;
    assert!(
        matches!(second, ConsumerError::Halted(Halt::Diverged { .. })) && !second.is_transient(),
        "{what}: {second:?}"
    );
    reader.assert_applied(feed, 3).await;
    let reason = reader.halted().await.expect("the reason is saved");
    assert!(reason.contains(&feed.cursor(3).to_string()), "{reason}");

    let requests = server.requests().await;
    let caching: Vec<_> = requests
        .iter()
        .map(|request| header(request, "cache-control"))
        .collect();
    assert_eq!(caching, [None, NO_CACHE], "{what}");
    // It never resets by itself.
    let again = failure(&mut reader.consumer(&server.feed_url())).await;
    assert!(
        !matches!(again, ConsumerError::Client(_)),
        "{what}: {again:?}"
    );
    for asked in server.targets().await {
        assert_eq!(asked, feed.after(3), "{what}");
    }
    reader.assert_applied(feed, 3).await;
}

#[tokio::test]
async fn i08_what_does_not_follow_on_is_asked_for_again_and_then_halts() {
    let feed = ScriptedFeed::new(1, 6);
    for format in FORMATS {
        for (what, events) in wrong_events(&feed) {
            halts_on(what, &feed, events, format).await;
        }
    }
}

#[tokio::test]
async fn i11_the_event_that_was_seen_in_another_epoch_halts() {
    // I11: a cursor is not in this history when check or epoch differ.
    let feed = ScriptedFeed::new(1, 6);
    let mut events = feed.events(3..=6);
    events[0].epoch = Epoch::from_bytes([0xee; 8]);
    halts_on("another epoch", &feed, events, Format::Json).await;
}

#[tokio::test]
async fn i08_what_a_cache_had_wrong_is_got_right_past_it() {
    let feed = ScriptedFeed::new(1, 6);
    for format in FORMATS {
        for (what, events) in wrong_events(&feed) {
            let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
            server.on(
                &feed.after(3),
                [feed.tail_of(format, events, 6), feed.tail(format, 4..=6)],
            );
            server.on(&feed.after(6), [feed.nothing_after(format, 6)]);
            let mut consumer = reader.consumer(&server.feed_url());
            let first = failure(&mut consumer).await;
            assert!(first.is_transient(), "{what}: {first}");
            catch_up(&mut consumer).await;
            reader.assert_applied(&feed, 6).await;
            let requests = server.requests().await;
            let caching: Vec<_> = requests
                .iter()
                .map(|request| header(request, "cache-control"))
                .collect();
            // Caches are used again as soon as they may be trusted.
            assert_eq!(caching, [None, NO_CACHE, None], "{what}");
        }
    }
}

#[tokio::test]
async fn i08_the_doubt_outlives_a_failure_in_between() {
    let feed = ScriptedFeed::new(1, 6);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    server.on(
        &feed.after(3),
        [
            feed.tail(Format::Json, 5..=6),
            ResponseTemplate::new(500),
            feed.tail(Format::Json, 5..=6),
        ],
    );
    let mut consumer = reader.consumer(&server.feed_url());
    assert!(failure(&mut consumer).await.is_transient());
    assert!(failure(&mut consumer).await.is_transient());
    let third = failure(&mut consumer).await;
    assert!(
        matches!(third, ConsumerError::Halted(Halt::Diverged { .. })),
        "{third:?}"
    );
    let requests = server.requests().await;
    for request in &requests[1..] {
        assert_eq!(header(request, "cache-control"), NO_CACHE);
    }
    reader.assert_applied(&feed, 3).await;
}

#[tokio::test]
async fn i08_a_sealed_page_is_asked_for_past_the_caches_as_well() {
    let (feed, other) = (ScriptedFeed::new(1, 6), ScriptedFeed::new(9, 6));
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    let page = feed.sealed_path(2, Format::Json);
    server.on(&feed.after(3), [redirect(&page)]);
    server.on(
        &page,
        [
            other.sealed(Format::Json, 2, 4..=6),
            feed.sealed(Format::Json, 2, 4..=6),
        ],
    );
    let to_tail = format!("../../../lamps?after={}", feed.cursor(6));
    server.on(&feed.sealed_path(3, Format::Json), [redirect(&to_tail)]);
    server.on(&feed.after(6), [feed.nothing_after(Format::Json, 6)]);
    let mut consumer = reader.consumer(&server.feed_url());
    assert!(failure(&mut consumer).await.is_transient());
    catch_up(&mut consumer).await;
    reader.assert_applied(&feed, 6).await;
    let requests = server.requests().await;
    for request in &requests[2..4] {
        assert_eq!(header(request, "cache-control"), NO_CACHE);
    }
}

#[tokio::test]
async fn i08_a_feed_that_does_not_begin_at_its_first_event_is_not_taken() {
    for format in FORMATS {
        let feed = ScriptedFeed::new(1, 6);
        let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
        server.on(
            "/feeds/lamps?after=start",
            [feed.tail_of(format, feed.events(2..=6), 6)],
        );
        let mut consumer = reader.consumer(&server.feed_url());
        assert!(failure(&mut consumer).await.is_transient());
        let second = failure(&mut consumer).await;
        assert!(
            matches!(second, ConsumerError::Halted(Halt::Diverged { .. })),
            "{second:?}"
        );
        reader.assert_applied(&feed, 0).await;
    }
}

#[tokio::test]
async fn i08_a_second_page_that_does_not_follow_on_takes_nothing_back() {
    let (feed, other) = (ScriptedFeed::new(1, 6), ScriptedFeed::new(9, 6));
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    server.on("/feeds/lamps?after=start", [feed.tail(Format::Json, 1..=3)]);
    server.on(
        &feed.after(3),
        [respond(
            Format::Json,
            other.events(4..=6),
            Said {
                next: Some(format!("lamps?after={}", other.cursor(6))),
                ..Said::default()
            },
        )],
    );
    let mut consumer = reader.consumer(&server.feed_url());
    assert!(failure(&mut consumer).await.is_transient());
    assert!(!failure(&mut consumer).await.is_transient());
    reader.assert_applied(&feed, 3).await;
}
