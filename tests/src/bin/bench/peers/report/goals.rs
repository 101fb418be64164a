//! The goals, as ratios in one run: which are met.

use std::fmt::Write;

use super::figures::{Figures, number};
use crate::peers::peer::{AXUM, FEEDWAY, NATS, NGINX, REDIS, RUSQLITE, Unit, Work};

/// How a value of ours is judged.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// Ours over theirs.
    AtLeast(f64, Work, (Work, &'static str)),
    /// Ours over theirs, where less is better.
    AtMost(f64, Work, (Work, &'static str)),
    /// Ours by itself.
    Reaches(f64, Work),
    StaysBelow(f64, Work),
    /// The largest ratio of a large feed over a small one.
    Growth(f64),
}

/// A row of the table: its name, its goal in words, what has to hold.
type Goal = (&'static str, &'static str, &'static [Check]);

/// No CPU is what the clock that wakes a runtime now and then does not reach.
const NO_CPU_PERCENT: f64 = 1.0;

const GOALS: [Goal; 11] = [
    (
        "hot sealed page, 64 connections",
        "at least 0.95 of nginx serving the same bytes as a file",
        &[Check::AtLeast(
            0.95,
            Work::SameHundred,
            (Work::SameHundred, NGINX),
        )],
    ),
    (
        "`304` and empty poll on an idle feed",
        "at least 0.9 of a bare axum handler; ahead of Redis",
        &[
            Check::AtLeast(0.9, Work::NotModified, (Work::NotModified, AXUM)),
            Check::AtLeast(0.9, Work::EmptyPoll, (Work::EmptyPoll, AXUM)),
            Check::AtLeast(1.0, Work::EmptyPoll, (Work::EmptyPoll, REDIS)),
        ],
    ),
    (
        "append, one writer, one event per ack",
        "at least 0.9 of a bare rusqlite loop with the same rows and indexes; ahead of Redis with `appendfsync always`",
        &[
            Check::AtLeast(0.9, Work::AppendOne, (Work::AppendOne, RUSQLITE)),
            Check::AtLeast(1.0, Work::AppendOne, (Work::AppendOne, REDIS)),
        ],
    ),
    (
        "append, 64 writers",
        "at least 1.2 times Redis, 10 times NATS with sync always",
        &[
            Check::AtLeast(1.2, Work::AppendMany, (Work::AppendMany, REDIS)),
            Check::AtLeast(10.0, Work::AppendMany, (Work::AppendMany, NATS)),
        ],
    ),
    (
        "append, 16 writers x 100",
        "at least 0.7 of rusqlite's 1,000-row transactions with the same indexes; ahead of Redis",
        &[
            Check::AtLeast(0.7, Work::AppendHundreds, (Work::AppendHundreds, RUSQLITE)),
            Check::AtLeast(1.0, Work::AppendHundreds, (Work::AppendHundreds, REDIS)),
        ],
    ),
    (
        "catch-up of 1,000,000 events by one consumer over HTTP",
        "envelope read, data handed on: at least 1,500,000 events/s, ahead of Redis; data deserialised into a struct: at least 1,000,000",
        &[
            Check::Reaches(1_500_000.0, Work::CatchUp),
            Check::AtLeast(1.0, Work::CatchUp, (Work::CatchUp, REDIS)),
            Check::Reaches(1_000_000.0, Work::CatchUpStruct),
        ],
    ),
    (
        "the same with a handler that writes a row per event to its own SQLite",
        "at least 0.8 of a bare loop that inserts those rows and does nothing else",
        &[Check::AtLeast(
            0.8,
            Work::CatchUpRows,
            (Work::CatchUpRows, RUSQLITE),
        )],
    ),
    (
        "append-to-handler latency by long poll, 1,000 events/s",
        "p50 and p99 no worse than NATS with sync always; then towards Redis",
        &[
            Check::AtMost(1.0, Work::LatencyP50, (Work::LatencyP50, NATS)),
            Check::AtMost(1.0, Work::LatencyP99, (Work::LatencyP99, NATS)),
        ],
    ),
    (
        "5,000 idle long polls",
        "at most 60 MB resident, no CPU; then 44 MB",
        &[
            Check::StaysBelow(60.0, Work::MemoryLive),
            Check::StaysBelow(NO_CPU_PERCENT, Work::CpuLive),
        ],
    ),
    (
        "page and append cost at 10,000,000 events over cost at 10,000",
        "at most 1.1",
        &[Check::Growth(1.1)],
    ),
    (
        "order flow of `scripts/demo` (10,000 orders, both services, every commit durable)",
        "orders/s at least 0.25 of bare durable single-row commits/s on that machine",
        &[Check::AtLeast(
            0.25,
            Work::Orders,
            (Work::AppendOne, RUSQLITE),
        )],
    ),
];

/// The table; its rows are called as the goals are.
pub(super) fn table(figures: &Figures) -> String {
    let mut table = "| work | goal | measured | met |\n| --- | --- | --- | --- |\n".to_owned();
    for (work, goal, checks) in GOALS {
        let judged: Vec<_> = checks.iter().map(|&check| judge(figures, check)).collect();
        let measured: Vec<_> = judged.iter().map(|(said, _)| said.as_str()).collect();
        let met = if judged.iter().any(|&(_, met)| met == Some(false)) {
            "**no**"
        } else if judged.iter().any(|&(_, met)| met.is_none()) {
            "not measured"
        } else {
            "yes"
        };
        let _ = writeln!(
            table,
            "| {work} | {goal} | {} | {met} |",
            measured.join("; ")
        );
    }
    table
}

/// What was measured, and whether that is enough; none when it was not measured.
fn judge(figures: &Figures, check: Check) -> (String, Option<bool>) {
    let judged = match check {
        Check::AtLeast(least, work, theirs) => {
            let ratio = figures.ratio((work, FEEDWAY), theirs);
            ratio.map(|ratio| (compared(figures, work, theirs, ratio), ratio >= least))
        }
        Check::AtMost(most, work, theirs) => {
            let ratio = figures.ratio((work, FEEDWAY), theirs);
            ratio.map(|ratio| (compared(figures, work, theirs, ratio), ratio <= most))
        }
        Check::Reaches(least, work) => {
            let value = figures.median(work, FEEDWAY);
            value.map(|value| (said(work, value), value >= least))
        }
        Check::StaysBelow(most, work) => {
            let value = figures.median(work, FEEDWAY);
            value.map(|value| (said(work, value), value <= most))
        }
        Check::Growth(most) => {
            let worst = figures
                .growth
                .iter()
                .max_by(|a, b| a.ratio.total_cmp(&b.ratio));
            worst.map(|worst| {
                let said = format!("{:.2} at most ({})", worst.ratio, worst.work);
                (said, worst.ratio <= most)
            })
        }
    };
    match judged {
        Some((said, met)) => (said, Some(met)),
        None => ("-".to_owned(), None),
    }
}

fn said(work: Work, value: f64) -> String {
    let unit = match work.unit() {
        Unit::PerSecond => "/s",
        Unit::Milliseconds => " ms",
        Unit::Megabytes => " MB",
        Unit::PercentOfACore => "% of a core",
    };
    format!("{}{unit}", number(value, work.unit()))
}

fn compared(figures: &Figures, work: Work, theirs: (Work, &'static str), ratio: f64) -> String {
    let ours = figures.median(work, FEEDWAY).unwrap_or_default();
    let of_theirs = figures.median(theirs.0, theirs.1).unwrap_or_default();
    let what = match work {
        Work::NotModified => "`304`: ",
        Work::EmptyPoll => "empty poll: ",
        Work::LatencyP50 => "p50: ",
        Work::LatencyP99 => "p99: ",
        _ => "",
    };
    format!(
        "{what}{ratio:.2} of {} ({} to {})",
        theirs.1,
        number(ours, work.unit()),
        number(of_theirs, work.unit())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::feedway::Growth;
    use crate::peers::report::figures::tests::measured;

    #[test]
    fn what_is_enough_is_met_and_what_was_not_measured_is_told() {
        let mut figures = measured();
        let row = |table: &str, name: &str| {
            table
                .lines()
                .find(|line| line.starts_with(&format!("| {name}")))
                .unwrap()
                .to_owned()
        };
        let one = row(&table(&figures), "append, one writer");
        assert!(one.contains("2.00 of Redis streams (300 to 100)"), "{one}");
        assert!(one.ends_with("| not measured |"), "{one}");
        for round in 0..3 {
            figures.add(round, Work::AppendOne, RUSQLITE, 100_000.0);
        }
        assert!(row(&table(&figures), "append, one writer").ends_with("| **no** |"));
        figures.growth.push(Growth {
            work: "first page".into(),
            ratio: 1.05,
        });
        assert!(row(&table(&figures), "page and append").ends_with("| yes |"));
        assert_eq!(table(&figures).lines().count(), GOALS.len() + 2);
    }
}
