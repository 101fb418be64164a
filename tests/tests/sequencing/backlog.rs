//! More than one batch takes, while others commit in between.

use feed_core::limits::POSTGRES_SEQUENCED_EVENTS;

use super::scene::{Appender, Scene, number};

/// Rows as they come from a program that knows nothing but the table.
const PLAIN: &str = "
INSERT INTO outbox (feed, id, type, subject, version, time_us, datacontenttype, data)
SELECT 1, gen_random_uuid(), 'Lit', 'many-' || n, 1, 0, NULL, convert_to((1000000 + n)::text, 'UTF8')
FROM generate_series($1::bigint, $2::bigint) AS n";

#[tokio::test]
async fn i03_a_backlog_of_several_batches_is_worked_off_in_order_with_late_commits_behind() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mut late = Appender::new(&scene).await;
    late.begin().await;
    late.append("late", 1).await;
    let client = scene.client().await;
    let count = POSTGRES_SEQUENCED_EVENTS * 2 + 1;
    client.execute(PLAIN, &[&1_i64, &count]).await.unwrap();
    // In flight when the backlog is looked at first, with a number in the midst of it.
    let mut amid = Appender::new(&scene).await;
    amid.begin().await;
    amid.append("amid", 2).await;
    client
        .execute(PLAIN, &[&(count + 1), &(count + 10)])
        .await
        .unwrap();
    scene.store.sequenced().await.unwrap();
    let events = scene.read().await;
    assert_eq!(events.len() as i64, count + 10);
    let in_order: Vec<u32> = (1..=count as u32 + 10).map(|n| 1_000_000 + n).collect();
    assert_eq!(events.iter().map(number).collect::<Vec<_>>(), in_order);
    amid.end(true).await;
    late.end(true).await;
    scene.store.sequenced().await.unwrap();
    let events = scene.read().await;
    // Both are behind; between them the order is that of their numbers.
    let behind: Vec<u32> = events[count as usize + 10..].iter().map(number).collect();
    assert_eq!(behind, [1, 2]);
}

/// A batch ends in the midst of what is visible, others commit, and the next one goes on where it ended: first what was
/// there then, also with higher numbers.
#[tokio::test]
async fn i03_what_commits_between_two_batches_comes_behind_what_they_are_about() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mut between = Appender::new(&scene).await;
    between.begin().await;
    between.append("between", 7).await;
    let client = scene.client().await;
    let count = POSTGRES_SEQUENCED_EVENTS + 100;
    client.execute(PLAIN, &[&1_i64, &count]).await.unwrap();
    // A sequencer whose connection ends right after its first batch.
    super::broken::one_batch(&scene).await;
    assert_eq!(scene.read().await.len(), POSTGRES_SEQUENCED_EVENTS as usize);
    between.end(true).await;
    scene.store.sequenced().await.unwrap();
    let events = scene.read().await;
    assert_eq!(events.len() as i64, count + 1);
    assert_eq!(number(events.last().unwrap()), 7);
}
