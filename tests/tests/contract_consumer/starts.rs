//! Where a subscription begins: resolved once, and saved before anything is read (invariant I8).

use std::time::Duration;

use feed_core::{After, Cursor, Position, StartAt, StepOutcome, SubscriptionState};
use tokio_util::sync::CancellationToken;

use super::live::{Live, settle};
use super::reader::Reader;
use super::scripted::{ScriptedFeed, ScriptedServer};

async fn begins(live: &Live, start_at: StartAt, cursor: Option<Cursor>, applied: &[i64]) {
    let reader = Reader::new().await;
    let mut consumer = reader
        .consumer_with(&live.url(), live.faults.handlers())
        .start_at(start_at);
    assert_eq!(consumer.step().await.unwrap(), StepOutcome::Taken);
    let row = reader.subscription().await.unwrap();
    assert_eq!(row.cursor, cursor, "{start_at:?}");
    assert_eq!((row.events, row.state), (0, SubscriptionState::Running));
    settle(&mut consumer).await;
    assert_eq!(reader.applied_positions().await, applied, "{start_at:?}");
}

#[tokio::test]
async fn i08_every_place_is_where_it_says() {
    let live = Live::new(&["a", "b", "c", "d"]).await;
    let after = async |position| live.event(position).await.cursor();
    begins(&live, StartAt::START, None, &[1, 2, 3, 4]).await;
    begins(&live, StartAt::NOW, Some(after(4).await), &[]).await;
    for position in 1..=4_u64 {
        let event = live.event(position).await;
        let rest: Vec<i64> = (position as i64 + 1..=4).collect();
        let places = [
            After::Cursor(event.cursor()),
            After::Event(event.id),
            After::Position(event.position),
        ];
        for place in places {
            begins(&live, StartAt::After(place), Some(event.cursor()), &rest).await;
        }
    }
    let beginning = After::Position(Position::new(0).unwrap());
    begins(&live, StartAt::After(beginning), None, &[1, 2, 3, 4]).await;
    let third = live.event(3).await;
    let first_at_that_time = (1..=3)
        .map(|position| live.event(position))
        .collect::<futures_util::stream::FuturesOrdered<_>>();
    let events: Vec<_> = futures_util::StreamExt::collect(first_at_that_time).await;
    let first = events.iter().find(|event| event.recorded >= third.recorded);
    let first = first.unwrap().position.get();
    let cursor = if first == 1 {
        None
    } else {
        Some(after(first - 1).await)
    };
    let rest: Vec<i64> = (first as i64..=4).collect();
    begins(&live, StartAt::Since(third.recorded), cursor, &rest).await;
    let later = chrono::Utc::now() + Duration::from_secs(60);
    begins(&live, StartAt::Since(later), Some(after(4).await), &[]).await;
    let earlier = live.event(1).await.recorded - Duration::from_secs(60);
    begins(&live, StartAt::Since(earlier), None, &[1, 2, 3, 4]).await;
}

#[tokio::test]
async fn i13_a_beginning_that_cannot_be_found_out_is_waited_for_and_shown() {
    let feed = ScriptedFeed::new(1, 2);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    let stop = CancellationToken::new();
    let running = reader
        .consumer(&server.feed_url())
        .start_at(StartAt::NOW)
        .spawn(stop.clone());
    let row = reader
        .wait_until(|row| row.state == SubscriptionState::Waiting)
        .await;
    assert!(row.reason.is_some_and(|reason| reason.contains("404")));
    assert_eq!(row.cursor, None);
    let said = super::scripted::Said {
        next: None,
        head: Some(feed.cursor(2)),
        caught_up: Some(true),
    };
    let now = super::scripted::respond(feed_core::Format::Json, vec![], said);
    server.on("/feeds/lamps?after=now", [now]);
    let nothing = feed.nothing_after(feed_core::Format::Json, 2);
    server.on(&feed.after(2), [nothing]);
    reader
        .wait_until(|row| row.cursor.is_some() && row.state == SubscriptionState::Running)
        .await;
    let asked = server.targets().await;
    assert!(
        !asked.iter().any(|asked| asked.ends_with("start")),
        "{asked:?}"
    );
    stop.cancel();
    running.await.unwrap().unwrap();
}
