//! Exactly once and in order, whatever their number, and whatever stops.

use std::time::Duration;

use feed_core::{ConsumerError, Handlers, OrderingKey, StartAt, StepOutcome, partition_of};
use tokio_util::sync::CancellationToken;

use super::scene::{
    HOUR, SUBJECTS, assert_all_applied, feed_of, instance, instance_of, of, other_store, position,
    positions, rows, settle, wait_for,
};
use crate::live::{Live, step_until};

#[tokio::test]
async fn i07_however_many_there_are_each_event_is_applied_once() {
    for partitions in 1..=5 {
        let live = feed_of(230).await;
        settle(&mut instance(&live, partitions)).await;
        assert_all_applied(&live).await;
        let there = rows(&live).await;
        assert_eq!(there.len(), partitions as usize);
        // Each has applied its own, and nothing else.
        for (number, row) in there.iter().enumerate() {
            let own = SUBJECTS
                .iter()
                .filter(|of_it| of(of_it, partitions) == number);
            assert_eq!(
                row.events,
                own.count() as u64 * 23,
                "{number} of {partitions}"
            );
        }
    }
}

#[tokio::test]
async fn i07_workers_at_the_same_time_apply_each_event_once() {
    for partitions in [2, 5] {
        let live = feed_of(230).await;
        let stop = CancellationToken::new();
        let running = instance(&live, partitions).spawn(stop.clone());
        wait_for(&live, partitions as usize, 230).await;
        live.append(&SUBJECTS).await;
        wait_for(&live, partitions as usize, 240).await;
        stop.cancel();
        running.await.unwrap().unwrap();
        assert_all_applied(&live).await;
        assert!(rows(&live).await.iter().all(|row| row.holder.is_none()));
    }
}

#[tokio::test]
async fn i07_a_restart_after_any_step_applies_each_event_once() {
    for stop_after in 1..40 {
        let live = feed_of(25).await;
        let mut first = instance(&live, 3).lease(Duration::ZERO);
        for _ in 0..stop_after {
            first.step().await.unwrap();
        }
        drop(first);
        settle(&mut instance(&live, 1).lease(Duration::ZERO)).await;
        assert_all_applied(&live).await;
    }
}

#[tokio::test]
async fn i09_two_instances_that_steal_from_one_another_apply_each_event_once() {
    let live = feed_of(120).await;
    let second = other_store(&live).await;
    let mut both = [
        instance(&live, 4).lease(Duration::ZERO),
        instance_of(&second, &live, 4).lease(Duration::ZERO),
    ];
    let mut superseded = 0;
    for turn in 0..400_u64 {
        // In step, in bursts, and anything in between.
        let whose = (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61) & 1;
        if both[whose as usize].step().await.unwrap() == StepOutcome::Superseded {
            superseded += 1;
        }
    }
    assert!(superseded > 0, "they never met, so nothing was tried");
    settle(&mut both[0]).await;
    assert_all_applied(&live).await;
    second.close().await;
}

/// Whoever begins at what is newest begins there with all partitions, though each of them asks.
#[tokio::test]
async fn i08_partitions_begin_at_the_same_place() {
    let live = feed_of(20).await;
    let mut consumer = instance(&live, 4).start_at(StartAt::NOW);
    step_until(&mut consumer, |outcome| *outcome == StepOutcome::Taken).await;
    live.append(&SUBJECTS).await;
    settle(&mut consumer).await;
    let mut applied = live.applied().await;
    applied.sort_unstable();
    assert_eq!(applied, (21..=30).collect::<Vec<i64>>());
}

#[tokio::test]
async fn i08_an_event_of_another_partition_is_no_reason_to_wait() {
    let live = feed_of(20).await;
    // Transient: it holds up its partition, and no other.
    live.faults
        .set(1, feed_core::HandlerError::transient("not yet"));
    let mut consumer = instance(&live, 4);
    for _ in 0..200 {
        let _ = consumer.step().await;
    }
    let stuck = of("a", 4);
    for (number, row) in rows(&live).await.iter().enumerate() {
        let stands = if number == stuck { 0 } else { 20 };
        assert_eq!(position(row), stands, "{number}");
    }
    live.faults.mend(1);
    settle(&mut consumer).await;
    assert_all_applied(&live).await;
}

/// What is retried stands right behind the cursor, also where events of other partitions lie before it: else an operator
/// could not skip it.
#[tokio::test]
async fn i08_events_of_others_before_one_that_fails_are_passed() {
    let live = feed_of(10).await;
    let last = SUBJECTS
        .iter()
        .rposition(|subject| of(subject, 4) == of("j", 4));
    let failing = last.unwrap() as u64 + 1;
    live.faults
        .set(failing, feed_core::HandlerError::transient("not yet"));
    let mut consumer = instance(&live, 4);
    for _ in 0..100 {
        let _ = consumer.step().await;
    }
    let there = positions(&live).await;
    assert_eq!(there[of("j", 4)], failing - 1, "{there:?}");
}

#[tokio::test]
async fn i10_a_parked_event_holds_up_its_own_key() {
    let live = feed_of(40).await;
    live.faults
        .set(3, feed_core::HandlerError::permanent("the lamp is unknown"));
    let mut consumer = instance(&live, 3);
    settle(&mut consumer).await;
    let kept = live.kept().await;
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|kept| kept.ordering_key == "c"));
    assert_eq!(live.applied().await.len(), 36);
    live.faults.mend(3);
    let all = feed_core::Chosen::All;
    live.handle().retry(all, feed_core::Mode::Do).await.unwrap();
    super::scene::expire(&live).await;
    settle(&mut instance(&live, 3)).await;
    assert_all_applied(&live).await;
}

#[tokio::test]
async fn a_computed_key_decides_on_the_partition() {
    let live = feed_of(60).await;
    // Two keys, so two of the partitions have all of the events.
    let half = |event: &feed_core::Event| {
        let early = event.subject.as_str() < "f";
        String::from(if early { "early" } else { "late" })
    };
    let mut consumer = instance(&live, 4).ordering(OrderingKey::by(half));
    settle(&mut consumer).await;
    assert_all_applied(&live).await;
    for (number, row) in rows(&live).await.iter().enumerate() {
        let own = ["early", "late"].map(|key| partition_of(key, 4) as usize);
        let expected = own.iter().filter(|of_it| **of_it == number).count() as u64 * 30;
        assert_eq!(row.events, expected, "{number}");
    }
}

#[tokio::test]
async fn where_the_whole_feed_is_the_key_there_is_one_partition() {
    let live = feed_of(5).await;
    let mut consumer = instance(&live, 2).ordering(OrderingKey::Feed);
    let error = consumer.step().await.unwrap_err();
    assert!(matches!(error, ConsumerError::CannotBeSplit(_)), "{error}");
    assert!(live.handle().status().await.unwrap().is_none());
    // Nor is it split later.
    let mut consumer = live.consumer().ordering(OrderingKey::Feed);
    settle(&mut consumer).await;
    let refused = live
        .handle()
        .set_partitions(2, feed_core::Mode::Do)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("in order"), "{refused}");
}

/// By another key events would go to other partitions: some twice, some never.
#[tokio::test]
async fn i07_a_program_with_another_ordering_key_does_not_go_on() {
    let live = feed_of(30).await;
    settle(&mut instance(&live, 3)).await;
    let by_type = || OrderingKey::by(|event| event.event_type.to_string());
    let mut other = live.consumer().ordering(by_type());
    for _ in 0..2 {
        let error = other.step().await.unwrap_err();
        assert!(!error.is_transient());
        let text = error.to_string();
        assert!(
            text.contains("feedctl sub partitions answers/lamps 1"),
            "{text}"
        );
    }
    let error = live
        .consumer()
        .ordering(OrderingKey::Feed)
        .run(CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ConsumerError::CannotBeSplit(_)), "{error}");
    // As the error says.
    super::scene::split(&live.handle(), 1).await;
    live.append(&["a", "b"]).await;
    super::scene::expire(&live).await;
    settle(&mut other).await;
    assert_all_applied(&live).await;
}

#[tokio::test]
async fn the_number_that_is_stored_wins() {
    let live = feed_of(30).await;
    settle(&mut instance(&live, 3)).await;
    super::scene::expire(&live).await;
    settle(&mut instance(&live, 5)).await;
    assert_eq!(rows(&live).await.len(), 3);
    assert!(live.consumer().partitions(0).is_err());
    assert!(live.consumer().partitions(65).is_err());
}

/// An id that comes again is passed over, in whatever partition it comes.
#[tokio::test]
async fn i07_the_inbox_is_one_for_all_partitions() {
    use crate::scripted::{FEED, LIT, ScriptedFeed, ScriptedServer};
    use feed_core::Format;
    let feed = ScriptedFeed::with_ids(1, &[1, 2, 3, 1, 4, 2, 5, 5]);
    let server = ScriptedServer::start().await;
    let start = format!("{FEED}?after=start");
    server.on(&start, [feed.tail(Format::Json, 1..=8)]);
    server.on(&feed.after(8), [feed.nothing_after(Format::Json, 8)]);
    let reader = crate::reader::Reader::new().await;
    let handlers = Handlers::new().on(LIT, crate::reader::note);
    let mut consumer = reader
        .consumer_with(&server.feed_url(), handlers)
        .inbox()
        .partitions(3)
        .unwrap()
        .lease(HOUR);
    settle(&mut consumer).await;
    let mut applied = reader.applied_positions().await;
    applied.sort_unstable();
    assert_eq!(applied, [1, 2, 3, 5, 7]);
    let row = reader.subscription().await.unwrap();
    assert_eq!((row.events, row.duplicates), (8, 3));
}

#[tokio::test]
async fn a_feed_whose_keys_are_all_one_partition_gets_to_the_end() {
    let live = Live::new(&["a"; 250]).await;
    settle(&mut instance(&live, 5)).await;
    assert_all_applied(&live).await;
}
