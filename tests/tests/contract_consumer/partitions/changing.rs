//! The number of partitions is changed, without loss or repetition, wherever it is interrupted (invariants I7, I8, I9).

use feed_core::{
    Chosen, Consumer, HandlerError, Mode, OperateError, StepOutcome, SubscriptionState,
};
use tokio_util::sync::CancellationToken;

use super::scene::{
    SUBJECTS, assert_all_applied, expire, feed_of, instance, of, operator, position, positions,
    rows, settle, split, wait_for,
};
use crate::live::Live;

/// Partitions that stand apart: one of them waits before the first event of `a`.
async fn apart(live: &Live, partitions: u32) -> Consumer {
    live.faults.set(1, HandlerError::transient("not yet"));
    let mut consumer = instance(live, partitions);
    for _ in 0..200 {
        let _ = consumer.step().await;
    }
    let there = positions(live).await;
    assert_eq!(there[of("a", partitions)], 0, "{there:?}");
    consumer
}

#[tokio::test]
async fn i07_partitions_that_stand_together_are_replaced_at_once() {
    for (from, to) in [(1, 4), (4, 1), (2, 5), (5, 3)] {
        let live = feed_of(40).await;
        let mut consumer = instance(&live, from);
        settle(&mut consumer).await;
        let before = live.row().await;
        split(&live.handle(), to).await;
        let there = rows(&live).await;
        assert_eq!(there.len(), to as usize);
        assert!(there.iter().all(|row| row.fence > before.fence));
        assert!(there.iter().all(|row| row.cursor == before.cursor));
        assert_eq!(live.row().await.events, 40);
        live.append(&SUBJECTS).await;
        settle(&mut consumer).await;
        assert_all_applied(&live).await;
    }
}

#[tokio::test]
async fn i08_partitions_that_stand_apart_come_to_a_stop_first() {
    let live = feed_of(40).await;
    let mut consumer = apart(&live, 3).await;
    split(&live.handle(), 5).await;
    let resizing = live.row().await.resizing.expect("a change that waits");
    assert_eq!((resizing.to, resizing.stop_at), (5, 40));
    let waits = live.handle().resizing_waits_for().await.unwrap();
    assert_eq!(
        waits.as_deref(),
        Some("all partitions to reach position 40")
    );
    // Nobody goes beyond it.
    live.append(&SUBJECTS).await;
    for _ in 0..200 {
        let _ = consumer.step().await;
    }
    let there = positions(&live).await;
    assert_eq!(there.len(), 3);
    assert!(there.iter().all(|stands| *stands <= 40), "{there:?}");
    live.faults.mend(1);
    settle(&mut consumer).await;
    assert_eq!(rows(&live).await.len(), 5);
    assert_eq!(live.row().await.resizing, None);
    assert_all_applied(&live).await;
}

#[tokio::test]
async fn i07_a_change_that_is_interrupted_at_any_step_loses_and_repeats_nothing() {
    for stop_after in 0..45 {
        let live = feed_of(30).await;
        // They stand wherever they stand by now.
        let mut first = instance(&live, 3);
        for _ in 0..stop_after {
            let _ = first.step().await;
        }
        drop(first);
        // The next one dies in the middle of the change.
        let changed = live.handle().set_partitions(4, Mode::Do).await;
        match changed {
            Ok(_) => {}
            // There is none before its first step.
            Err(OperateError::UnknownSubscription(_)) if stop_after == 0 => continue,
            Err(error) => panic!("{error}"),
        }
        for steps in [3, 7, 11, 5] {
            expire(&live).await;
            let mut next = instance(&live, 3);
            for _ in 0..steps {
                let _ = next.step().await;
            }
        }
        live.append(&SUBJECTS).await;
        expire(&live).await;
        settle(&mut instance(&live, 3)).await;
        assert_eq!(rows(&live).await.len(), 4, "{stop_after}");
        assert_all_applied(&live).await;
    }
}

#[tokio::test]
async fn i09_whoever_worked_on_the_old_partitions_commits_nothing() {
    let live = feed_of(40).await;
    let mut old = instance(&live, 2);
    settle(&mut old).await;
    live.append(&SUBJECTS).await;
    // It has fetched, and is about to apply.
    while old.step().await.unwrap() != StepOutcome::Fetched {}
    split(&live.handle(), 3).await;
    expire(&live).await;
    settle(&mut instance(&live, 3)).await;
    assert_all_applied(&live).await;
    let before = rows(&live).await;
    for _ in 0..3 {
        let _ = old.step().await;
    }
    assert_eq!(live.applied().await.len(), 50);
    assert_eq!(rows(&live).await.len(), before.len());
}

#[tokio::test]
async fn i10_what_is_kept_goes_with_its_key() {
    for (from, to) in [(1, 3), (3, 5), (4, 2), (5, 1)] {
        let live = feed_of(40).await;
        for failing in [2, 3, 15] {
            live.faults
                .set(failing, HandlerError::permanent("the lamp is unknown"));
        }
        let mut consumer = instance(&live, from);
        settle(&mut consumer).await;
        let kept = live.kept().await;
        split(&live.handle(), to).await;
        assert_eq!(live.kept().await, kept);
        // What comes now waits behind it, in whatever partition it is.
        live.append(&["b", "c", "a"]).await;
        settle(&mut consumer).await;
        assert_eq!(live.kept().await.len(), kept.len() + 2);
        for mended in [2, 3, 15] {
            live.faults.mend(mended);
        }
        live.handle().retry(Chosen::All, Mode::Do).await.unwrap();
        expire(&live).await;
        settle(&mut instance(&live, to)).await;
        assert!(live.kept().await.is_empty());
        assert_all_applied(&live).await;
    }
}

/// An event that is retried at the time is retried further, with the tries that it had.
#[tokio::test]
async fn i10_what_is_retried_goes_with_its_key() {
    let live = Live::new(&["a", "b"]).await;
    settle(&mut instance(&live, 2)).await;
    live.append(&["c"]).await;
    live.faults.set(3, HandlerError::lasting("not for a while"));
    expire(&live).await;
    let mut consumer = instance(&live, 2);
    let mut failed = 0;
    // The partition that has it does not get on, the others are where it is.
    for _ in 0..100 {
        if consumer.step().await.is_err() {
            failed += 1;
        }
        if failed == 2 {
            break;
        }
    }
    let kept = live.kept().await;
    assert_eq!((kept.len(), kept[0].attempts), (1, 2));
    split(&live.handle(), 4).await;
    for _ in 0..200 {
        let _ = consumer.step().await;
    }
    let kept = live.kept().await;
    assert_eq!(kept[0].state, feed_core::EventState::Parked);
    assert_eq!(kept[0].attempts, 5, "five tries in all");
    assert_eq!(rows(&live).await.len(), 4);
}

#[tokio::test]
async fn a_change_waits_for_what_is_paused_and_can_be_cancelled() {
    let live = feed_of(20).await;
    let mut consumer = apart(&live, 3).await;
    let handle = live.handle();
    let stuck = of("a", 3) as u32;
    let one = handle.partition(stuck);
    one.pause(&operator(), Mode::Do).await.unwrap();
    split(&handle, 2).await;
    live.faults.mend(1);
    settle(&mut consumer).await;
    assert_eq!(rows(&live).await.len(), 3);
    let waits = handle.resizing_waits_for().await.unwrap();
    let said = format!("partition {stuck}, which is paused");
    assert_eq!(waits, Some(said));
    let cancelled = handle.keep_partitions(Mode::Do).await.unwrap();
    assert!(cancelled.before.resizing.is_some() && cancelled.after.resizing.is_none());
    let refused = handle.keep_partitions(Mode::Do).await.unwrap_err();
    assert!(matches!(refused, OperateError::NotResizing(_)));
    live.append(&SUBJECTS).await;
    settle(&mut consumer).await;
    // Once more, and this time it is resumed.
    split(&handle, 2).await;
    one.resume(Mode::Do).await.unwrap();
    settle(&mut consumer).await;
    assert_eq!(rows(&live).await.len(), 2);
    assert_all_applied(&live).await;
}

#[tokio::test]
async fn a_subscription_that_is_paused_as_a_whole_is_split_as_it_stands() {
    let live = feed_of(20).await;
    let mut consumer = instance(&live, 1);
    settle(&mut consumer).await;
    let handle = live.handle();
    handle.pause(&operator(), Mode::Do).await.unwrap();
    split(&handle, 3).await;
    let there = rows(&live).await;
    assert!(
        there
            .iter()
            .all(|row| row.state == SubscriptionState::Paused)
    );
    let whole = live.row().await;
    assert_eq!(whole.reason.as_deref(), Some("by kim: it is time"));
    live.append(&SUBJECTS).await;
    settle_paused(&mut consumer).await;
    assert_eq!(live.applied().await.len(), 20);
    handle.resume(Mode::Do).await.unwrap();
    settle(&mut consumer).await;
    assert_all_applied(&live).await;
}

async fn settle_paused(consumer: &mut Consumer) {
    for _ in 0..20 {
        consumer.step().await.unwrap();
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_some_numbers_are_refused() {
    let live = feed_of(20).await;
    settle(&mut instance(&live, 2)).await;
    let handle = live.handle();
    let before = rows(&live).await;
    let planned = handle.set_partitions(4, Mode::DryRun).await.unwrap();
    assert_eq!(
        (planned.before.partitions, planned.after.partitions),
        (2, 4)
    );
    assert_eq!(rows(&live).await, before);
    for (number, said) in [(0, "1 to 64"), (65, "1 to 64"), (2, "2 partitions already")] {
        let refused = handle.set_partitions(number, Mode::Do).await.unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
    }
    assert_eq!(rows(&live).await, before);
}

#[tokio::test]
async fn i11_a_reset_makes_a_change_that_cannot_come_about() {
    let live = feed_of(20).await;
    let mut consumer = apart(&live, 3).await;
    let handle = live.handle();
    split(&handle, 2).await;
    let to = live.event(4).await.cursor();
    let reset = handle.reset(Some(to), Mode::Do).await.unwrap();
    assert_eq!((reset.after.partitions, reset.after.resizing), (2, None));
    let there = rows(&live).await;
    assert!(there.iter().all(|row| position(row) == 4));
    live.faults.mend(1);
    settle(&mut consumer).await;
    assert_eq!(positions(&live).await, [20, 20]);
}

/// While instances are at work, and events keep coming.
#[tokio::test]
async fn i07_i13_running_instances_follow_each_change() {
    let live = feed_of(50).await;
    let second = super::scene::other_store(&live).await;
    let stop = CancellationToken::new();
    let running = [
        instance(&live, 1).spawn(stop.clone()),
        super::scene::instance_of(&second, &live, 1).spawn(stop.clone()),
    ];
    wait_for(&live, 1, 50).await;
    let mut end = 50;
    for to in [3, 5, 2, 1, 4] {
        for _ in 0..3 {
            live.append(&SUBJECTS).await;
        }
        split(&live.handle(), to).await;
        live.append(&SUBJECTS).await;
        end += 40;
        wait_for(&live, to as usize, end).await;
    }
    super::scene::wait_for_shares(&live, &[2, 2]).await;
    stop.cancel();
    for one in running {
        one.await.unwrap().unwrap();
    }
    assert_all_applied(&live).await;
    second.close().await;
}
