//! Broken servers: each breaks one rule, and that rule is seen broken.

mod documents;
mod events;
mod headers;
mod hostile;
mod parameters;
mod representations;

use axum::Router;
use feedctl::conformance::{Outcome, run};

use super::scene::Scene;

/// Asserts that `rule` fails of this server, and returns what was seen.
async fn caught(rule: &str, what: &str, spoil: impl FnOnce(Router) -> Router) -> String {
    let scene = Scene::spoiled(spoil).await;
    let mut options = scene.options();
    options.only = vec![rule.to_owned()];
    let report = run(options).await.unwrap();
    let result = &report.results[0];
    let row = result.row(result.outcome);
    assert_eq!(result.outcome, Outcome::Failed, "{what}: {row}");
    assert!(!result.seen.is_empty());
    result.seen.clone()
}
