//! The protocol document and the tests: each rule names its tests, and those that it names are there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::path::Path;

/// The heading above the table of the tests.
const TESTS: &str = "\n## Tests\n";

/// Where the files that the table names stand, below the repository.
const FOLDERS: [&str; 2] = ["tests/tests", "feed-core/src"];

/// Fewer rules than there ever were: the tables were not found.
const RULES_MIN: usize = 40;

/// The rows of all tables in `text`, each as its cells.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(str::trim).collect())
}

/// Whether `text` is the id of a rule, such as `E1`.
fn is_rule(text: &str) -> bool {
    let number = text.strip_prefix(|c: char| c.is_ascii_uppercase());
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Files with the tests that a cell names in them: `` `file`: `test`, `test`; `file`: … ``.
fn named(cell: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    cell.split("; ").map(|part| {
        let mut names = part.split('`').skip(1).step_by(2);
        (names.next().unwrap_or_default(), names.collect())
    })
}

/// Whether `source` has a test of this name that runs: a function under `#[test]` and not under `#[ignore]`.
fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let is_it = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .starts_with(&head);
        let above = lines[..at].iter().rev();
        let attributes: Vec<_> = above
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .collect();
        let has = |start: &str| attributes.iter().any(|line| line.starts_with(start));
        is_it && (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
    })
}

/// What is wrong with the document. `source` gives the text of a file that it names.
fn faults(document: &str, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let (rules, tests) = document.split_once(TESTS).unwrap_or((document, ""));
    let mut faults = Vec::new();
    let mut defined = BTreeSet::new();
    for row in rows(rules).filter(|row| is_rule(row[0])) {
        if !defined.insert(row[0]) {
            faults.push(format!("{} is there twice", row[0]));
        }
    }
    let mut tested = BTreeSet::new();
    for row in rows(tests).filter(|row| is_rule(row[0])) {
        let rule = row[0];
        if !tested.insert(rule) {
            faults.push(format!("{rule} has two rows"));
        }
        let &[_, _, cell] = row.as_slice() else {
            faults.push(format!("{rule} has no three cells"));
            continue;
        };
        for (file, names) in named(cell) {
            let Some(text) = source(file) else {
                faults.push(format!("{rule}: there is no file {file:?}"));
                continue;
            };
            if names.is_empty() {
                faults.push(format!("{rule} names no test in {file}"));
            }
            let missing = names.iter().filter(|name| !has_test(&text, name));
            faults.extend(missing.map(|name| format!("{rule}: {file} has no test {name}")));
        }
    }
    let untested = defined.difference(&tested);
    faults.extend(untested.map(|rule| format!("{rule} has no row")));
    let undefined = tested.difference(&defined);
    faults.extend(undefined.map(|rule| format!("{rule} is no rule")));
    faults
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn every_rule_of_the_protocol_names_tests_that_are_there() {
    let document = std::fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    let source = |file: &str| {
        FOLDERS
            .iter()
            .find_map(|folder| std::fs::read_to_string(repository().join(folder).join(file)).ok())
    };
    assert_eq!(faults(&document, source), Vec::<String>::new());
    let count = rows(&document).filter(|row| is_rule(row[0])).count();
    assert!(count >= 2 * RULES_MIN, "{count} rows");
}

#[test]
fn a_rule_without_its_test_is_noticed() {
    let source = |file: &str| {
        let text = "#[tokio::test]\n// Why.\nasync fn shown() {}\n#[test]\n#[ignore]\nfn skipped() {}\nfn helper() {}\n";
        (file == "a.rs").then(|| text.to_owned())
    };
    let document = |tests: &str| format!("| A1 | a rule |\n| id | rule |\n{TESTS}\n{tests}");
    let good = "| A1 | – | `a.rs`: `shown` |\n";
    assert_eq!(faults(&document(good), source), [""; 0]);
    for (tests, fault) in [
        ("", "A1 has no row"),
        (
            "| A1 | – | `b.rs`: `shown` |\n",
            "A1: there is no file \"b.rs\"",
        ),
        ("| A1 | – | `a.rs` |\n", "A1 names no test in a.rs"),
        ("| A1 | – | `a.rs`: `show` |\n", "A1: a.rs has no test show"),
        (
            "| A1 | – | `a.rs`: `shown`, `helper` |\n",
            "A1: a.rs has no test helper",
        ),
        (
            "| A1 | – | `a.rs`: `skipped` |\n",
            "A1: a.rs has no test skipped",
        ),
        ("| A1 | `a.rs`: `shown` |\n", "A1 has no three cells"),
        (&format!("{good}{good}"), "A1 has two rows"),
        (
            &format!("{good}{}", good.replace("A1", "A2")),
            "A2 is no rule",
        ),
    ] {
        assert_eq!(faults(&document(tests), source), [fault]);
    }
    let twice = format!("| A1 | a rule |\n{}", document(good));
    assert_eq!(faults(&twice, source), ["A1 is there twice"]);
}
