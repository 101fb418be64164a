//! Where somebody else is ahead.

use std::fmt::Write;

use super::figures::{Figures, number};
use crate::peers::peer::{AXUM, DISK, FEEDWAY, NGINX, RUSQLITE, Unit, Work};

/// What Feedway is compared with elsewhere: with what a machine can do, not with another way to do the work.
const LIMITS: [&str; 4] = [NGINX, AXUM, RUSQLITE, DISK];

/// A line per work and peer that is ahead of Feedway.
pub(super) fn lines(figures: &Figures) -> String {
    let mut lines = String::new();
    for work in Work::ALL {
        let Some(ours) = figures.median(work, FEEDWAY) else {
            continue;
        };
        for (who, theirs) in figures.of(work) {
            let more_is_better = work.unit() == Unit::PerSecond;
            let is_ahead = (theirs.median > ours) == more_is_better && theirs.median != ours;
            if who == FEEDWAY || LIMITS.contains(&who) || !is_ahead {
                continue;
            }
            let unit = work.unit();
            let _ = writeln!(
                lines,
                "- {}: {who} {}, Feedway {} ({:.2} of it).",
                work.title().0,
                number(theirs.median, unit),
                number(ours, unit),
                ours / theirs.median
            );
        }
    }
    if lines.is_empty() {
        lines.push_str("- In nothing that was measured is a peer ahead of Feedway.\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::peer::REDIS;
    use crate::peers::report::figures::tests::measured;

    #[test]
    fn who_is_ahead_is_named_also_where_less_is_better() {
        let mut figures = measured();
        assert!(lines(&figures).starts_with("- In nothing"));
        figures.add(0, Work::LatencyP50, FEEDWAY, 0.5);
        figures.add(0, Work::LatencyP50, REDIS, 0.25);
        figures.add(0, Work::LatencyP99, FEEDWAY, 0.5);
        figures.add(0, Work::LatencyP99, REDIS, 0.75);
        let said = lines(&figures);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains("p50, ms: Redis streams 0.25, Feedway 0.50 (2.00 of it)"),
            "{said}"
        );
    }
}
