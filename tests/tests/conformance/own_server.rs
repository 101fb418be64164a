//! The library's own server keeps every rule.

use feedctl::conformance::{Outcome, run};
use tokio_util::sync::CancellationToken;

use super::scene::{Scene, append, not_passed};

#[tokio::test]
async fn every_rule_holds_on_sqlite() {
    let scene = Scene::new().await;
    let report = run(scene.options()).await.unwrap();
    assert_eq!(not_passed(&report), [""; 0]);
}

#[tokio::test]
async fn without_an_appender_nothing_fails() {
    let scene = Scene::new().await;
    let mut options = scene.options();
    options.append = None;
    let report = run(options).await.unwrap();
    assert_eq!(report.count(Outcome::Failed), 0, "{report}");
    // Those that need a new event.
    assert_eq!(report.count(Outcome::Skipped), 4, "{report}");
}

#[tokio::test]
async fn a_feed_without_events_fails_nothing() {
    let scene = Scene::empty().await;
    let mut options = scene.options();
    options.append = None;
    let report = run(options).await.unwrap();
    assert_eq!(report.count(Outcome::Failed), 0, "{report}");
    assert!(report.count(Outcome::Passed) > 10, "{report}");
    // The appender makes all that the rules need, but for a second epoch.
    let report = run(scene.options()).await.unwrap();
    let odd = not_passed(&report);
    assert!(odd.len() == 1 && odd[0].contains("one epoch"), "{report}");
}

#[tokio::test]
async fn every_rule_holds_of_a_private_feed_behind_tokens() {
    let scene = Scene::guarded().await;
    let report = run(scene.options()).await.unwrap();
    let odd = not_passed(&report);
    assert!(odd.len() == 1 && odd[0].contains("one epoch"), "{report}");
    let seen = |id| {
        &report
            .results
            .iter()
            .find(|result| result.id == id)
            .unwrap()
            .seen
    };
    assert!(seen("H2").contains("private"), "{report}");
    assert!(seen("P4").contains("401 without a token"), "{report}");
}

#[tokio::test]
async fn appends_meanwhile_make_nothing_fail() {
    let scene = Scene::new().await;
    let stop = CancellationToken::new();
    let store = feed_core::Store::clone(&scene.store);
    let stopped = stop.clone();
    let busy = tokio::spawn(async move {
        let mut number = 0;
        while !stopped.is_cancelled() {
            append(&store, number).await;
            number += 1;
            // So often that the feed grows between most requests.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        number
    });
    let report = run(scene.options()).await.unwrap();
    stop.cancel();
    let appended = busy.await.unwrap();
    assert!(appended > 50, "{appended} events");
    assert_eq!(report.count(Outcome::Failed), 0, "{report}");
}
