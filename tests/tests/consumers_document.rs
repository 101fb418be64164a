//! The page on consumers and the constants: both have the same transitions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::path::Path;

use feed_core::{EVENT_TRANSITIONS, EventState, SUBSCRIPTION_TRANSITIONS};

/// The headings above the two tables.
const SUBSCRIPTIONS: &str = "\n### Of a subscription\n";
const EVENTS: &str = "\n### Of an event\n";

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/consumers.md");
    std::fs::read_to_string(path).expect("the page")
}

/// The rows of the first table below `heading`, each as from, by and to.
fn table(page: &str, heading: &str) -> Vec<[String; 3]> {
    let (_, below) = page.split_once(heading).expect("the heading");
    let lines = below
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    // Below the head and the line under it.
    lines
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ").map(str::trim);
            let cells: Vec<String> = cells.map(str::to_owned).collect();
            cells.try_into().expect("three cells")
        })
        .collect()
}

#[test]
fn the_page_has_all_transitions_of_subscriptions() {
    let expected: Vec<[String; 3]> = SUBSCRIPTION_TRANSITIONS
        .iter()
        .map(|(from, by, to)| [from.to_string(), (*by).to_owned(), to.to_string()])
        .collect();
    assert_eq!(table(&page(), SUBSCRIPTIONS), expected);
}

#[test]
fn the_page_has_all_transitions_of_events() {
    let word = |state: &Option<EventState>, none: &str| {
        state.map_or_else(|| none.to_owned(), |state| state.to_string())
    };
    let expected: Vec<[String; 3]> = EVENT_TRANSITIONS
        .iter()
        .map(|(from, by, to)| {
            [
                word(from, "not read yet"),
                (*by).to_owned(),
                word(to, "applied"),
            ]
        })
        .collect();
    assert_eq!(table(&page(), EVENTS), expected);
}
