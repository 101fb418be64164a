//! What came out of the rules.

use std::fmt;

use serde::Serialize;

use super::rule::Level;

/// Longest text of what was seen, in characters.
const SEEN_CHARS_MAX: usize = 400;

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing against it was seen.
    Passed,
    /// It was seen broken.
    Failed,
    /// It could not be checked.
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        })
    }
}

/// A rule, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleResult {
    /// The rule's id in docs/protocol.md.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// What it is about.
    pub name: &'static str,
    /// What became of it.
    #[serde(rename = "result")]
    pub outcome: Outcome,
    /// What was seen: the request, status, header or position; for a skipped rule, what is missing.
    pub seen: String,
}

/// All that came out, in the order of the protocol document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One a rule.
    pub results: Vec<RuleResult>,
}

impl Report {
    /// How many rules came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        let same = |result: &&RuleResult| result.outcome == outcome;
        self.results.iter().filter(same).count()
    }

    /// Whether the server keeps the protocol as far as was seen. With `strict`, a rule that could not be checked counts
    /// against it, unless it is one that a server may leave out.
    pub fn holds(&self, strict: bool) -> bool {
        !self.results.iter().any(|result| match result.outcome {
            Outcome::Passed => false,
            Outcome::Failed => true,
            Outcome::Skipped => strict && result.level != Level::May,
        })
    }

    /// `N passed, N failed, N skipped`.
    pub fn summary(&self) -> String {
        let [passed, failed, skipped] =
            [Outcome::Passed, Outcome::Failed, Outcome::Skipped].map(|outcome| self.count(outcome));
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }

    /// The results as a JSON array of objects with `id`, `level`, `name`, `result` and `seen`.
    ///
    /// # Errors
    /// Never: all of it has a JSON form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&self.results)
    }
}

/// The table for people, without colours, and the summary.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in &self.results {
            writeln!(f, "{}", result.row(result.outcome))?;
        }
        f.write_str(&self.summary())
    }
}

impl RuleResult {
    /// The row of a table, with `outcome` in the place of the result, such as one with a colour.
    pub fn row(&self, outcome: impl fmt::Display) -> String {
        let RuleResult {
            id,
            level,
            name,
            seen,
            ..
        } = self;
        format!("{id:<3} {level:<6} {outcome:<7} {name}: {seen}")
    }
}

/// On one line, bounded, and without what could play tricks on a terminal: it may be a server's text.
pub(super) fn one_line(text: &str) -> String {
    crate::text::cut(&crate::text::printable(text), SEEN_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[(Level, Outcome)]) -> Report {
        let result = |(level, outcome): &(Level, Outcome)| RuleResult {
            id: "E1",
            level: *level,
            name: "n",
            outcome: *outcome,
            seen: "s".into(),
        };
        Report {
            results: outcomes.iter().map(result).collect(),
        }
    }

    #[test]
    fn what_is_skipped_counts_only_when_it_is_strict_and_binding() {
        let (must, may) = (Level::Must, Level::May);
        for (outcomes, lax, strict) in [
            (vec![(must, Outcome::Passed)], true, true),
            (vec![(must, Outcome::Skipped)], true, false),
            (vec![(may, Outcome::Skipped)], true, true),
            (vec![(may, Outcome::Failed)], false, false),
        ] {
            let report = report(&outcomes);
            assert_eq!((report.holds(false), report.holds(true)), (lax, strict));
        }
    }

    #[test]
    fn texts_and_json_say_the_same() {
        let report = report(&[
            (Level::Must, Outcome::Failed),
            (Level::May, Outcome::Passed),
        ]);
        assert_eq!(
            report.to_string(),
            "E1  MUST   failed  n: s\nE1  MAY    passed  n: s\n1 passed, 1 failed, 0 skipped"
        );
        let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(
            json[0],
            serde_json::json!({ "id": "E1", "level": "MUST", "name": "n", "result": "failed", "seen": "s" })
        );
    }
}
