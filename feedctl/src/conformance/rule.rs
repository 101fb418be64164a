//! The list of the rules.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use super::kit::Kit;
use super::{
    atom, bounds, caching, cursors, documents, events, filters, following, json, linking, methods,
    negotiation, parameters, payload, problems, resources, stream, waiting,
};

/// How binding a rule is (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// A server that does not keep it is none of this protocol.
    Must,
    /// There may be reasons against it.
    Should,
    /// As the server likes; whoever does it does it so.
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        })
    }
}

/// Why a rule did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is broken; what was seen.
    Failed(String),
    /// It could not be checked; what is missing.
    Skipped(String),
}

/// What was seen where nothing is wrong, or the fault.
pub(super) type Verdict = Result<String, Fault>;

/// The rule is broken.
pub(super) fn failed<T>(seen: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Failed(seen.into()))
}

/// The rule cannot be checked.
pub(super) fn skipped<T>(missing: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Skipped(missing.into()))
}

/// What a rule says of a server, as work that is still to be done.
pub(super) type Checking<'k> = Pin<Box<dyn Future<Output = Verdict> + Send + 'k>>;

/// A rule and the code that checks it.
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) level: Level,
    pub(super) name: &'static str,
    pub(super) when: When,
    pub(super) check: for<'k> fn(&'k Kit) -> Checking<'k>,
}

/// When a rule is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// In the order of the protocol document.
    InOrder,
    /// Beside the others: it waits long for nothing to happen.
    Beside,
    /// After the others: it judges what they were answered, or what stayed the same meanwhile.
    Last,
}

/// A rule, and the function that checks it.
macro_rules! rule {
    ($id:literal, $level:ident, $name:literal, $check:path) => {
        rule!($id, $level, $name, $check, InOrder)
    };
    ($id:literal, $level:ident, $name:literal, $check:path, $when:ident) => {
        crate::conformance::rule::Rule {
            id: $id,
            level: crate::conformance::rule::Level::$level,
            name: $name,
            when: crate::conformance::rule::When::$when,
            check: |kit| Box::pin($check(kit)),
        }
    };
}
pub(super) use rule;

/// All rules, in the order of the protocol document.
fn all() -> impl Iterator<Item = &'static Rule> {
    [
        events::RULES,
        payload::RULES,
        cursors::RULES,
        resources::RULES,
        documents::RULES,
        methods::RULES,
        parameters::RULES,
        filters::RULES,
        waiting::RULES,
        stream::RULES,
        following::RULES,
        linking::RULES,
        caching::RULES,
        negotiation::RULES,
        json::RULES,
        atom::RULES,
        bounds::RULES,
        problems::RULES,
    ]
    .into_iter()
    .flatten()
}

/// What is told of a rule before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its id in docs/protocol.md.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// What it is about.
    pub name: &'static str,
}

/// The rules that are checked, in the order of the protocol document.
pub fn rules() -> Vec<RuleInfo> {
    let mut rules: Vec<_> = all()
        .map(|rule| RuleInfo {
            id: rule.id,
            level: rule.level,
            name: rule.name,
        })
        .collect();
    rules.sort_by_key(|rule| order(rule.id));
    rules
}

/// A rule of the protocol that no request can check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unchecked {
    /// Its id in docs/protocol.md.
    pub id: &'static str,
    /// Why.
    pub why: &'static str,
}

/// The rules of the protocol that are not checked.
pub const UNCHECKED: &[Unchecked] = &[
    Unchecked {
        id: "C2",
        why: "binds readers: they compute the check",
    },
    Unchecked {
        id: "K2",
        why: "binds readers: a cursor is one token to them",
    },
    Unchecked {
        id: "W4",
        why: "needs a server with as many waiters as it takes",
    },
    Unchecked {
        id: "S4",
        why: "needs a server that stops",
    },
    Unchecked {
        id: "F3",
        why: "needs a server with as many readers as it remembers",
    },
    Unchecked {
        id: "L7",
        why: "binds readers: they follow no link to another origin",
    },
    Unchecked {
        id: "L9",
        why: "binds readers: they go on without next",
    },
    Unchecked {
        id: "A5",
        why: "binds readers: they refuse a DOCTYPE",
    },
    Unchecked {
        id: "B2",
        why: "binds readers: they bound what they believe",
    },
    Unchecked {
        id: "P2",
        why: "binds readers: they halt when their cursor is refused",
    },
    Unchecked {
        id: "P3",
        why: "binds readers: they ask again past caches",
    },
];

/// The order of the ids' letters in the protocol document.
const LETTERS: &str = "ECKRDQWSFLHNJABP";

/// Where the rule stands.
pub(super) fn order(id: &str) -> (usize, u32) {
    let letter = id.chars().next().and_then(|c| LETTERS.find(c));
    let number = id.get(1..).and_then(|number| number.parse().ok());
    (letter.unwrap_or(LETTERS.len()), number.unwrap_or(u32::MAX))
}

/// The rules that are asked for.
///
/// # Errors
/// Names the id that no rule has.
pub(super) fn choose(only: &[String], except: &[String]) -> Result<Vec<&'static Rule>, String> {
    let same = |id: &str, asked: &String| asked.eq_ignore_ascii_case(id);
    for asked in only.iter().chain(except) {
        if let Some(unchecked) = UNCHECKED.iter().find(|rule| same(rule.id, asked)) {
            return Err(format!(
                "rule {} is not checked: it {}",
                unchecked.id, unchecked.why
            ));
        }
        if !all().any(|rule| same(rule.id, asked)) {
            let asked: String = asked.chars().take(20).collect();
            return Err(format!(
                "there is no rule {asked:?}: --list shows those that there are"
            ));
        }
    }
    let wanted = |id: &str| {
        (only.is_empty() || only.iter().any(|asked| same(id, asked)))
            && !except.iter().any(|asked| same(id, asked))
    };
    let mut chosen: Vec<_> = all().filter(|rule| wanted(rule.id)).collect();
    chosen.sort_by_key(|rule| order(rule.id));
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The ids of the rules in the protocol document: the first cells of its tables, before the table of the tests.
    fn documented() -> BTreeSet<String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rules = text.split("\n## Tests\n").next().unwrap();
        let first = rules
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        first
            .filter(|cell| {
                let digits = cell.get(1..).unwrap_or_default();
                cell.starts_with(|c: char| c.is_ascii_uppercase())
                    && !digits.is_empty()
                    && digits.bytes().all(|b| b.is_ascii_digit())
            })
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_rule_of_the_protocol_is_checked_or_said_not_to_be() {
        let checked = rules().into_iter().map(|rule| rule.id);
        let known: Vec<String> = checked
            .chain(UNCHECKED.iter().map(|rule| rule.id))
            .map(str::to_owned)
            .collect();
        let unique: BTreeSet<String> = known.iter().cloned().collect();
        assert_eq!(known.len(), unique.len(), "an id twice: {known:?}");
        assert_eq!(unique, documented());
    }

    #[test]
    fn rules_are_chosen_by_their_ids() {
        let ids = |only: &[&str], except: &[&str]| {
            let texts = |ids: &[&str]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
            choose(&texts(only), &texts(except))
                .map(|rules| rules.iter().map(|rule| rule.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(&["d4", "E1"], &[]).unwrap(), ["E1", "D4"]);
        assert_eq!(ids(&["E1", "E2"], &["e2"]).unwrap(), ["E1"]);
        assert_eq!(ids(&[], &[]).unwrap().len(), rules().len());
        assert!(ids(&["X9"], &[]).unwrap_err().contains("no rule"));
        assert!(ids(&["P2"], &[]).unwrap_err().contains("readers"));
        assert!(ids(&[], &["nope"]).is_err());
    }
}
