//! Every order in which appenders append and end, with a sequencer and a reader after each step.

use std::collections::HashSet;

use super::scene::{Appender, Reader, Scene, numbers};

/// All orders of `steps` steps of each of `appenders` appenders, as the appenders' numbers.
fn orders(appenders: usize, steps: usize) -> Vec<Vec<usize>> {
    fn go_on(left: &mut [usize], order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if left.iter().all(|left| *left == 0) {
            all.push(order.clone());
        }
        for appender in 0..left.len() {
            if left[appender] > 0 {
                left[appender] -= 1;
                order.push(appender);
                go_on(left, order, all);
                order.pop();
                left[appender] += 1;
            }
        }
    }
    let mut all = Vec::new();
    go_on(&mut vec![steps; appenders], &mut Vec::new(), &mut all);
    all
}

#[test]
fn the_orders_are_all_of_them() {
    // 6! / (2! 2! 2!)
    let all: HashSet<_> = orders(3, 2).into_iter().collect();
    assert_eq!(all.len(), 90);
    assert_eq!(orders(4, 2).len(), 2_520);
}

/// Runs each of the orders: the first step of an appender appends, the second ends its transaction, by a commit unless it
/// is the one that `rolls_back`. `looks` says before which steps the sequencer runs.
async fn run(orders: &[Vec<usize>], appenders: usize, rolls_back: Option<usize>, looks: &[bool]) {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mut clients = Vec::new();
    for _ in 0..appenders {
        clients.push(Appender::new(&scene).await);
    }
    let mut reader = Reader::new();
    let (mut given, mut read) = (0, 0);
    for order in orders {
        let mut begun: Vec<Option<u32>> = vec![None; appenders];
        let mut committed: HashSet<u32> = HashSet::new();
        for (step, appender) in order.iter().enumerate() {
            match begun[*appender] {
                None => {
                    given += 1;
                    clients[*appender].begin().await;
                    // Each a subject of its own: at one subject they would wait for each other.
                    let subject = format!("lamp-{appender}");
                    clients[*appender].append(&subject, given).await;
                    begun[*appender] = Some(given);
                }
                Some(number) => {
                    let commits = rolls_back != Some(*appender);
                    clients[*appender].end(commits).await;
                    if commits {
                        committed.insert(number);
                    }
                }
            }
            if step + 1 == order.len() || looks[step % looks.len()] {
                scene.store.sequenced().await.unwrap();
                let events = numbers(&reader.go_on(&scene).await);
                let fresh: HashSet<u32> = events.iter().copied().collect();
                assert_eq!(fresh.len(), events.len(), "nothing twice: {order:?}");
                read += fresh.len();
                assert!(
                    fresh.is_subset(&committed),
                    "nothing uncommitted: {order:?}"
                );
                committed.retain(|number| !fresh.contains(number));
                assert!(
                    committed.is_empty(),
                    "all that was committed is there: {order:?}"
                );
            }
        }
    }
    assert_eq!(read as i64, scene.outbox_rows().await);
    // The whole feed from the beginning is what was read along the way.
    assert_eq!(scene.read().await.len(), read);
}

#[tokio::test]
async fn i03_all_orders_of_three_appenders_with_a_look_after_each_step() {
    run(&orders(3, 2), 3, None, &[true]).await;
}

#[tokio::test]
async fn i03_all_orders_of_three_appenders_with_a_look_now_and_then() {
    run(&orders(3, 2), 3, None, &[false, true, false, false, true]).await;
}

#[tokio::test]
async fn i03_all_orders_of_three_appenders_of_which_one_rolls_back() {
    run(&orders(3, 2), 3, Some(1), &[true]).await;
}

#[tokio::test]
async fn i03_orders_of_four_appenders() {
    // Every 36th of the 2,520, so that each beginning comes about.
    let all: Vec<_> = orders(4, 2).into_iter().step_by(36).collect();
    run(&all, 4, Some(3), &[true, false]).await;
}

/// The transaction that has the lower number appends later: the subject's order is that of its versions all the same.
#[tokio::test]
async fn i05_a_transaction_that_began_early_appends_behind_what_was_committed_meanwhile() {
    for sequenced_between in [false, true] {
        let Some(scene) = Scene::new().await else {
            return;
        };
        let (mut early, mut late) = (Appender::new(&scene).await, Appender::new(&scene).await);
        early.begin().await;
        // Draws its transaction number, and a number of an event of another subject.
        early.append("other", 1).await;
        late.begin().await;
        late.append("lamp", 2).await;
        late.end(true).await;
        if sequenced_between {
            scene.store.sequenced().await.unwrap();
        }
        early.append("lamp", 3).await;
        early.end(true).await;
        scene.store.sequenced().await.unwrap();
        let events = scene.read().await;
        let of_lamp: Vec<u32> = events
            .iter()
            .filter(|event| event.subject.as_str() == "lamp")
            .map(|event| event.version.get())
            .collect();
        assert_eq!(of_lamp, [1, 2]);
        let wanted: &[u32] = if sequenced_between {
            &[2, 1, 3]
        } else {
            &[1, 2, 3]
        };
        assert_eq!(numbers(&events), wanted);
    }
}

/// Two at one subject: the second waits, and goes on behind the first, whether that commits or not.
#[tokio::test]
async fn i05_who_appends_to_the_same_subject_waits_for_the_first() {
    for commits in [true, false] {
        let Some(scene) = Scene::new().await else {
            return;
        };
        let (mut first, mut second) = (Appender::new(&scene).await, Appender::new(&scene).await);
        first.begin().await;
        first.append("lamp", 1).await;
        second.begin().await;
        let (mut waits, ends) = (
            Box::pin(async {
                second.append("lamp", 2).await;
                second.end(true).await;
            }),
            first.end(commits),
        );
        // Polled once, so that its statement is under way.
        assert!(futures_util::poll!(&mut waits).is_pending());
        ends.await;
        waits.await;
        scene.store.sequenced().await.unwrap();
        let events = scene.read().await;
        let wanted: &[u32] = if commits { &[1, 2] } else { &[2] };
        assert_eq!(numbers(&events), wanted);
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.version.get() as usize, index + 1);
        }
    }
}
