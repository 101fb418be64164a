//! The library's own server keeps every rule.

use feedctl::conformance::{Outcome, run};

use super::scene::{Scene, not_passed};

#[tokio::test]
async fn every_rule_holds_on_sqlite() {
    let scene = Scene::new().await;
    let report = run(scene.options()).await.unwrap();
    eprintln!("{report}");
    assert_eq!(not_passed(&report), [""; 0]);
}

#[tokio::test]
async fn without_an_appender_nothing_fails() {
    let scene = Scene::new().await;
    let mut options = scene.options();
    options.append = None;
    let report = run(options).await.unwrap();
    assert_eq!(report.count(Outcome::Failed), 0, "{report}");
}
