//! Exactly once: whatever stops, starts again, or runs twice (invariants I7, I9).

use feed_core::{Consumer, EventId, Format, Handlers, StartAt, StepOutcome, Store, Tx};
use futures_util::FutureExt;

use super::reader::{
    MIGRATIONS, Reader, SUBSCRIPTION, assert_applied, catch_up, catch_up_patiently, consumer,
    create_answers, failure, note,
};
use super::scripted::{FEED, LIT, ScriptedFeed, ScriptedServer, redirect, respond};

const START: &str = "/feeds/lamps?after=start";
const LENGTH: u64 = 8;

/// A feed that is read in a sealed page and three tails, and can be taken up at any cursor.
async fn scene() -> (ScriptedFeed, ScriptedServer) {
    let feed = ScriptedFeed::new(1, LENGTH);
    let server = ScriptedServer::start().await;
    let page = feed.sealed_path(1, Format::Json);
    server.on(START, [redirect(&page)]);
    server.on(&page, [feed.sealed(Format::Json, 1, 1..=3)]);
    let beyond = feed.sealed_path(2, Format::Json);
    server.on(&beyond, [redirect(&feed.after(3))]);
    for position in 1..LENGTH {
        let end = (position + 2).min(LENGTH);
        let tail = feed.tail(Format::Json, position + 1..=end);
        server.on(&feed.after(position), [tail]);
    }
    let end = feed.nothing_after(Format::Json, LENGTH);
    server.on(&feed.after(LENGTH), [end]);
    (feed, server)
}

#[tokio::test]
async fn i07_a_restart_after_any_step_applies_each_event_once() {
    let (feed, server) = scene().await;
    let steps = {
        let reader = Reader::new().await;
        let steps = catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, LENGTH).await;
        steps
    };
    assert!(steps > 8, "{steps} steps leave too little to try");
    for stop_after in 1..steps {
        let reader = Reader::new().await;
        let mut first = reader.consumer(&server.feed_url());
        for _ in 0..stop_after {
            first.step().await.unwrap();
        }
        drop(first);
        catch_up(&mut reader.consumer(&server.feed_url())).await;
        reader.assert_applied(&feed, LENGTH).await;
    }
}

#[tokio::test]
async fn i07_a_restart_after_every_few_steps_still_gets_to_the_end() {
    let (feed, server) = scene().await;
    // Reading the cursor, fetching, applying: with less nothing can be done.
    for steps in 3..=6 {
        let reader = Reader::new().await;
        let mut restarts = 0;
        'restarts: loop {
            restarts += 1;
            assert!(restarts < 50, "it does not get to the end");
            let mut consumer = reader.consumer(&server.feed_url());
            for _ in 0..steps {
                if consumer.step().await.unwrap() == StepOutcome::CaughtUp {
                    break 'restarts;
                }
            }
        }
        reader.assert_applied(&feed, LENGTH).await;
    }
}

#[tokio::test]
async fn i07_a_restart_of_the_whole_process_applies_each_event_once() {
    let (feed, server) = scene().await;
    let first = super::fresh(MIGRATIONS).await;
    let path = first.url();
    first.close().await;
    for steps in [3, 4, 5, 100] {
        let store = Store::open(path, MIGRATIONS).await.unwrap();
        create_answers(&store).await;
        let mut consumer = consumer(&store, &server.feed_url()).handlers(noting());
        for _ in 0..steps {
            if consumer.step().await.unwrap() == StepOutcome::CaughtUp {
                break;
            }
        }
        store.close().await;
    }
    let store = Store::open(path, MIGRATIONS).await.unwrap();
    let here = std::panic::Location::caller();
    assert_applied(&store, &feed.events(1..=LENGTH), here).await;
}

fn noting() -> Handlers {
    Handlers::new().on(LIT, note)
}

#[tokio::test]
async fn i07_a_step_that_is_dropped_leaves_all_or_nothing() {
    let (feed, server) = scene().await;
    // How often the step is polled before it is dropped.
    for polls in 1..=12 {
        let reader = Reader::new().await;
        let mut consumer = reader.consumer(&server.feed_url());
        for _ in 0..12 {
            let mut step = Box::pin(consumer.step());
            for _ in 0..polls {
                if (&mut step).now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        catch_up(&mut consumer).await;
        reader.assert_applied(&feed, LENGTH).await;
    }
}

#[tokio::test]
async fn i09_two_consumers_of_one_subscription_apply_each_event_once() {
    let (feed, server) = scene().await;
    // Whose turn it is, bit by bit: in step, in bursts, and anything in between.
    let turns = [
        0x5555_5555_5555_5555_u64,
        0x3333_3333_3333_3333,
        0x0f0f_0f0f_0f0f_0f0f,
        0xfff0_0fff_f000_ff00,
        0x00ff_00ff_00ff_00ff,
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
    ];
    let mut superseded = 0;
    for turn in turns {
        let reader = Reader::new().await;
        let mut both = [(); 2].map(|()| reader.consumer(&server.feed_url()));
        for bit in 0..64 {
            let whose = (turn >> bit & 1) as usize;
            if both[whose].step().await.unwrap() == StepOutcome::Superseded {
                superseded += 1;
            }
        }
        for consumer in &mut both {
            catch_up(consumer).await;
        }
        reader.assert_applied(&feed, LENGTH).await;
    }
    assert!(superseded > 0, "they never met, so nothing was tried");
}

#[tokio::test]
async fn i09_two_consumers_at_the_same_time_apply_each_event_once() {
    let (feed, server) = scene().await;
    for _ in 0..10 {
        let reader = Reader::new().await;
        let [mut a, mut b] = [(); 2].map(|()| reader.consumer(&server.feed_url()));
        tokio::join!(catch_up_patiently(&mut a), catch_up_patiently(&mut b));
        reader.assert_applied(&feed, LENGTH).await;
    }
}

#[tokio::test]
async fn i09_two_stores_on_one_database_apply_each_event_once() {
    let (feed, server) = scene().await;
    for _ in 0..5 {
        let reader = Reader::new().await;
        let second = Store::open(reader.store.url(), MIGRATIONS).await.unwrap();
        let mut a = reader.consumer(&server.feed_url());
        let mut b = consumer(&second, &server.feed_url()).handlers(noting());
        tokio::join!(catch_up_patiently(&mut a), catch_up_patiently(&mut b));
        reader.assert_applied(&feed, LENGTH).await;
        second.close().await;
    }
}

#[tokio::test]
async fn i07_a_handler_that_runs_again_after_a_restore_appends_no_second_follow_up() {
    let (feed, server) = scene().await;
    let reader = Reader::new().await;
    catch_up(&mut reader.consumer(&server.feed_url())).await;
    reader.assert_applied(&feed, LENGTH).await;
    let before = reader.follow_ups().await;
    // What a restore of this table alone would do: the cursor is an older one.
    let older = feed.cursor(2).to_string();
    let set_back: Result<u64, feed_core::StoreError> = reader
        .store
        .write(async move |tx: &mut Tx<'_>| {
            tx.execute("UPDATE subscriptions SET cursor = $1", &[(&older).into()])
                .await
        })
        .await;
    assert_eq!(set_back.unwrap(), 1);
    catch_up(&mut reader.consumer(&server.feed_url())).await;
    let again: Vec<i64> = (1..=8).chain(3..=8).collect();
    assert_eq!(
        reader.applied_positions().await,
        again,
        "they did run again"
    );
    assert_eq!(reader.follow_ups().await, before);
    let derived: Vec<EventId> = feed
        .events(1..=LENGTH)
        .iter()
        .map(|event| EventId::follow_up(SUBSCRIPTION, event.id, 0))
        .collect();
    assert_eq!(before, derived);
}

/// A consumer that begins at what is newest.
fn from_now(reader: &Reader, server: &ScriptedServer) -> Consumer {
    reader.consumer(&server.feed_url()).start_at(StartAt::NOW)
}

#[tokio::test]
async fn i08_what_is_now_is_saved_before_anything_is_read() {
    for format in super::scripted::FORMATS {
        let feed = ScriptedFeed::new(1, LENGTH);
        let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
        let at = |head: u64| {
            let said = super::scripted::Said {
                next: Some(format!("lamps?after={}", feed.cursor(head))),
                head: Some(feed.cursor(head)),
                caught_up: Some(true),
            };
            respond(format, vec![], said)
        };
        // At its first step the head is 5; whoever asks for "now" again gets 7 and loses two events.
        server.on(&format!("{FEED}?after=now"), [at(5), at(7)]);
        server.on(&feed.after(5), [feed.tail(format, 6..=8)]);
        server.on(&feed.after(7), [feed.tail(format, 8..=8)]);
        server.on(&feed.after(8), [feed.nothing_after(format, 8)]);
        from_now(&reader, &server).step().await.unwrap();
        let row = reader.subscription().await.unwrap();
        assert_eq!(row.cursor, Some(feed.cursor(5)));
        catch_up(&mut from_now(&reader, &server)).await;
        assert_eq!(reader.applied_positions().await, [6, 7, 8]);
        let asked = server.targets().await;
        assert!(
            !asked.iter().any(|target| target.ends_with("start")),
            "{asked:?}"
        );
        let now = asked.iter().filter(|target| target.ends_with("now"));
        assert_eq!(now.count(), 1, "{asked:?}");
    }
}

#[tokio::test]
async fn i08_now_of_an_empty_feed_is_its_beginning() {
    let feed = ScriptedFeed::new(1, 2);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    let said = super::scripted::Said {
        next: Some(format!("lamps?after={}", feed.cursor(0))),
        head: Some(feed.cursor(0)),
        caught_up: Some(true),
    };
    server.on(
        &format!("{FEED}?after=now"),
        [respond(Format::Json, vec![], said)],
    );
    server.on(&feed.after(0), [feed.tail(Format::Json, 1..=2)]);
    server.on(&feed.after(2), [feed.nothing_after(Format::Json, 2)]);
    catch_up(&mut from_now(&reader, &server)).await;
    reader.assert_applied(&feed, 2).await;
}

#[tokio::test]
async fn i08_a_feed_that_does_not_say_its_head_is_not_begun() {
    let feed = ScriptedFeed::new(1, 3);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    let silent = respond(Format::Json, vec![], super::scripted::Said::default());
    server.on(&format!("{FEED}?after=now"), [silent]);
    let mut consumer = from_now(&reader, &server);
    for _ in 0..2 {
        let error = failure(&mut consumer).await;
        assert!(error.is_transient(), "{error}");
        reader.assert_applied(&feed, 0).await;
    }
    // It never begins at the start instead.
    let asked = server.targets().await;
    assert!(
        asked.iter().all(|target| target.ends_with("now")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn i08_a_saved_cursor_goes_before_now() {
    let feed = ScriptedFeed::new(1, 5);
    let (reader, server) = (Reader::at(&feed, 3).await, ScriptedServer::start().await);
    server.on(&feed.after(3), [feed.tail(Format::Json, 4..=5)]);
    server.on(&feed.after(5), [feed.nothing_after(Format::Json, 5)]);
    catch_up(&mut from_now(&reader, &server)).await;
    reader.assert_applied(&feed, 5).await;
}

#[tokio::test]
async fn i09_two_that_begin_at_now_begin_at_the_same_event() {
    let feed = ScriptedFeed::new(1, LENGTH);
    let (reader, server) = (Reader::new().await, ScriptedServer::start().await);
    let at = |head: u64| {
        let said = super::scripted::Said {
            next: Some(format!("lamps?after={}", feed.cursor(head))),
            head: Some(feed.cursor(head)),
            caught_up: Some(true),
        };
        respond(Format::Json, vec![], said)
    };
    server.on(&format!("{FEED}?after=now"), [at(4), at(6)]);
    server.on(START, [feed.tail(Format::Json, 1..=8)]);
    for position in 4..LENGTH {
        server.on(
            &feed.after(position),
            [feed.tail(Format::Json, position + 1..=LENGTH)],
        );
    }
    let end = feed.nothing_after(Format::Json, LENGTH);
    server.on(&feed.after(LENGTH), [end]);
    let [mut a, mut b] = [(); 2].map(|()| from_now(&reader, &server));
    tokio::join!(catch_up_patiently(&mut a), catch_up_patiently(&mut b));
    let applied = reader.applied_positions().await;
    assert!(
        applied == [5, 6, 7, 8] || applied == [7, 8],
        "{applied:?}: neither behind 4 nor behind 6"
    );
}
