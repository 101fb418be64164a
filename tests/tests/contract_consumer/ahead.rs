//! Sealed pages that are fetched several at a time, at URLs that are guessed: what comes of guesses that are right, and of
//! those that are not.

use feed_core::client::{ClientOptions, FeedClient};
use feed_core::{Format, StepOutcome};

use crate::polling::asked;
use crate::reader::{Reader, catch_up};
use crate::scripted::{FEED, ScriptedFeed, ScriptedServer, problem, redirect};

const PAGES: u64 = 9;
const START: &str = "/feeds/lamps?after=start";

fn page(feed: &ScriptedFeed, page: u64) -> String {
    feed.sealed_path(page, Format::Json)
}

/// Nine sealed pages of two events each, and nothing behind them.
async fn archive(feed: &ScriptedFeed) -> ScriptedServer {
    let server = ScriptedServer::start().await;
    server.on(START, [redirect(&page(feed, 1))]);
    for number in 1..=PAGES {
        let positions = 2 * number - 1..=2 * number;
        let sealed = feed.sealed(Format::Json, number, positions);
        server.on(&page(feed, number), [sealed]);
    }
    server.on(&page(feed, PAGES + 1), [redirect(&feed.after(2 * PAGES))]);
    let nothing = feed.nothing_after(Format::Json, 2 * PAGES);
    server.on(&feed.after(2 * PAGES), [nothing]);
    server
}

/// How often each URL was asked for, of those that were asked for more than once.
async fn repeated(server: &ScriptedServer) -> Vec<String> {
    let mut targets = server.targets().await;
    targets.sort();
    let mut repeated: Vec<String> = targets
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| pair[0].clone())
        .collect();
    repeated.dedup();
    repeated
}

#[tokio::test]
async fn i13_sealed_pages_are_fetched_before_anybody_steps() {
    let feed = ScriptedFeed::new(1, 2 * PAGES);
    let (reader, server) = (Reader::new().await, archive(&feed).await);
    let mut consumer = reader.consumer(&server.feed_url());
    assert_eq!(consumer.step().await.unwrap(), StepOutcome::Taken);
    assert_eq!(consumer.step().await.unwrap(), StepOutcome::Fetched);
    asked(&server, 4).await;
    // More of them, when the first ones came so soon that they were taken together.
    let behind = server.targets().await.split_off(2);
    let both = [page(&feed, 2), page(&feed, 3)];
    assert!(both.iter().all(|page| behind.contains(page)), "{behind:?}");
    reader.assert_applied(&feed, 0).await;
    catch_up(&mut consumer).await;
    reader.assert_applied(&feed, 2 * PAGES).await;
    // Guesses behind the end may lead to nothing, or to the tail; each page was asked for once.
    let again = repeated(&server).await;
    assert!(
        again.iter().all(|url| !url.contains("/archive/")),
        "{again:?}"
    );
}

#[tokio::test]
async fn i08_what_a_guess_says_of_failures_is_not_believed() {
    let feed = ScriptedFeed::new(1, 2 * PAGES);
    let (reader, server) = (Reader::new().await, archive(&feed).await);
    let third = || feed.sealed(Format::Json, 3, 5..=6);
    server.on(&page(&feed, 3), [problem(404, "page-unknown"), third()]);
    let gone = problem(410, "cursor-pruned");
    let fifth = || feed.sealed(Format::Json, 5, 9..=10);
    server.on(&page(&feed, 5), [gone, fifth()]);
    // No step fails: each is asked for again, as if it had not been guessed.
    catch_up(&mut reader.consumer(&server.feed_url())).await;
    reader.assert_applied(&feed, 2 * PAGES).await;
}

#[tokio::test]
async fn i08_a_guess_is_used_only_where_the_page_before_leads_to_it() {
    let feed = ScriptedFeed::new(1, 2 * PAGES);
    let other = ScriptedFeed::new(2, 2 * PAGES);
    let (reader, server) = (Reader::new().await, archive(&feed).await);
    // What stands at page 3 is another feed's; page 2 leads around it.
    let around = feed.tail_of(Format::Json, feed.events(3..=4), 4);
    server.on(&page(&feed, 2), [around]);
    server.on(&page(&feed, 3), [other.sealed(Format::Json, 3, 5..=6)]);
    // Links are relative.
    let beside = |position| {
        let cursor = feed.cursor(position);
        format!("{FEED}/archive/{}/lamps?after={cursor}", feed.epoch)
    };
    server.on(&beside(4), [feed.tail(Format::Json, 5..=2 * PAGES)]);
    let nothing = feed.nothing_after(Format::Json, 2 * PAGES);
    server.on(&beside(2 * PAGES), [nothing]);
    catch_up(&mut reader.consumer(&server.feed_url())).await;
    reader.assert_applied(&feed, 2 * PAGES).await;
}

#[tokio::test]
async fn a_reader_gives_every_event_once() {
    let feed = ScriptedFeed::new(1, 2 * PAGES);
    let server = archive(&feed).await;
    let client = FeedClient::new(&server.feed_url(), ClientOptions::default()).unwrap();
    for seen in [0, 6] {
        let cursor = (seen > 0).then(|| feed.cursor(seen));
        server.on(&feed.after(6), [redirect(&page(&feed, 4))]);
        let mut reader = client.reader(cursor);
        let mut read = Vec::new();
        while let Some(events) = reader.next().await.unwrap() {
            read.extend(events);
        }
        assert_eq!(read, feed.events(seen + 1..=2 * PAGES));
        assert_eq!(reader.cursor(), Some(feed.cursor(2 * PAGES)));
        assert_eq!(reader.next().await.unwrap(), None);
    }
}

#[tokio::test]
async fn i08_a_reader_notices_what_does_not_follow_on() {
    let feed = ScriptedFeed::new(1, 2 * PAGES);
    let other = ScriptedFeed::new(2, 2 * PAGES);
    let server = archive(&feed).await;
    let wrong = other.sealed(Format::Json, 3, 5..=6);
    server.on(
        &page(&feed, 3),
        [wrong, feed.sealed(Format::Json, 3, 5..=6)],
    );
    server.on(&feed.after(4), [redirect(&page(&feed, 3))]);
    let client = FeedClient::new(&server.feed_url(), ClientOptions::default()).unwrap();
    let mut reader = client.reader(None);
    assert_eq!(reader.next().await.unwrap(), Some(feed.events(1..=2)));
    assert_eq!(reader.next().await.unwrap(), Some(feed.events(3..=4)));
    assert!(reader.next().await.is_err());
    assert_eq!(reader.cursor(), Some(feed.cursor(4)));
    assert_eq!(reader.next().await.unwrap(), Some(feed.events(5..=6)));
}
