//! The rules of the feed protocol, run against any server.
//!
//! Each rule is asked over plain HTTP and judged by the bytes and headers that come back; only events are read by
//! the library's own readers. What comes from the server is bounded: bytes, time, redirects, events. A server that
//! is broken makes rules fail; it never makes the kit panic or wait for ever.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use feedctl::conformance::{Append, Options, run};
//! let mut options = Options::new("http://127.0.0.1:8081/feeds/orders");
//! options.append = Some(Append::Command("scripts/place-an-order".into()));
//! let report = run(options).await?;
//! assert!(report.holds(false), "{report}");
//! # Ok(()) }
//! ```
//!
//! | part | files |
//! | --- | --- |
//! | asking | `kit`, `ask`, `reply`, `link`, `sse`, `xml`, `append` |
//! | what most rules look at | `walk` |
//! | the rules, by group | `events`, `payload`, `cursors`, `resources`, `documents`, `methods`, `parameters`, `filters`, `waiting`, `stream`, `linking`, `caching`, `negotiation`, `json`, `atom`, `problems`, `bounds` |

mod append;
mod ask;
mod atom;
mod bounds;
mod caching;
mod cursors;
mod documents;
mod events;
mod filters;
mod following;
mod json;
mod kit;
mod link;
mod linking;
mod methods;
mod negotiation;
mod parameters;
mod payload;
mod problems;
mod reply;
mod report;
mod resources;
mod rule;
mod sse;
mod stream;
mod waiting;
mod walk;
mod xml;

pub use append::{Append, AppendFn};
pub use kit::SetupError;
pub use report::{Outcome, Report, RuleResult};
pub use rule::{Level, RuleInfo, UNCHECKED, Unchecked, rules};

use std::time::Duration;

use futures_util::future::join;

use kit::Kit;
use rule::{Fault, Rule, When};

/// What is asked for, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The feed's own URL, such as `http://127.0.0.1:8081/feeds/orders`.
    pub feed_url: String,
    /// Sent with every request, to the feed's own origin only.
    pub bearer_token: Option<String>,
    /// Longest time that a request may take beside what it asks the server to wait.
    pub timeout: Duration,
    /// Most events that are walked over.
    pub events_max: usize,
    /// How new events are made.
    pub append: Option<Append>,
    /// Ids of the rules to run; empty: all.
    pub only: Vec<String>,
    /// Ids of rules to leave out.
    pub except: Vec<String>,
}

impl Options {
    /// Longest time that a request may take, in milliseconds, unless set.
    pub const TIMEOUT_MS_DEFAULT: u64 = 10_000;
    /// Most events that are walked over, unless set.
    pub const EVENTS_MAX_DEFAULT: usize = 10_000;

    /// All rules against the feed at `feed_url`, without new events.
    pub fn new(feed_url: impl Into<String>) -> Self {
        Options {
            feed_url: feed_url.into(),
            bearer_token: None,
            timeout: Duration::from_millis(Self::TIMEOUT_MS_DEFAULT),
            events_max: Self::EVENTS_MAX_DEFAULT,
            append: None,
            only: Vec::new(),
            except: Vec::new(),
        }
    }
}

/// Runs the rules, and tells what was seen.
///
/// # Errors
/// When there is nothing to run them against: see [`SetupError`]. A server that answers, whatever it answers, gives a
/// report.
pub async fn run(options: Options) -> Result<Report, SetupError> {
    let chosen = rule::choose(&options.only, &options.except).map_err(SetupError::Rule)?;
    let kit = Kit::prepare(&options).await?;
    let at = |when| chosen.iter().filter(move |rule| rule.when == when).copied();
    let in_turn = async {
        let mut results = judge(&kit, at(When::InOrder)).await;
        results.extend(judge(&kit, at(When::Last)).await);
        results
    };
    let (mut results, beside) = join(in_turn, judge(&kit, at(When::Beside))).await;
    results.extend(beside);
    results.sort_by_key(|result| rule::order(result.id));
    Ok(Report { results })
}

async fn judge(kit: &Kit, rules: impl Iterator<Item = &'static Rule>) -> Vec<RuleResult> {
    let mut results = Vec::new();
    for rule in rules {
        let (outcome, seen) = match (rule.check)(kit).await {
            Ok(seen) => (Outcome::Passed, seen),
            Err(Fault::Failed(seen)) => (Outcome::Failed, seen),
            Err(Fault::Skipped(seen)) => (Outcome::Skipped, seen),
        };
        results.push(RuleResult {
            id: rule.id,
            level: rule.level,
            name: rule.name,
            outcome,
            seen: report::one_line(&seen),
        });
    }
    results
}
