//! Tables of what was measured, in Markdown.

use std::fmt::Write;

use super::figures::{Figures, number};
use crate::peers::peer::{FEEDWAY, Unit, Work};

/// Works that stand side by side, so that no table is too wide to be read.
const GROUPS: [(&str, &[Work]); 4] = [
    (
        "Appends, each synced before it is acknowledged",
        &[Work::AppendOne, Work::AppendMany, Work::AppendHundreds],
    ),
    (
        "Catch-up by one consumer",
        &[
            Work::CatchUp,
            Work::CatchUpParts,
            Work::CatchUpStruct,
            Work::CatchUpRows,
        ],
    ),
    (
        "Reading the same again, and polling for nothing",
        &[Work::SameHundred, Work::EmptyPoll, Work::NotModified],
    ),
    (
        "Following, and waiting",
        &[
            Work::LatencyP50,
            Work::LatencyP99,
            Work::MemoryIdle,
            Work::MemoryLive,
            Work::CpuLive,
        ],
    ),
];

/// Median, spread, and the ratio to Feedway's, for everybody.
pub(super) fn tables(figures: &Figures) -> String {
    let mut text = String::new();
    for (title, works) in GROUPS {
        let works: Vec<Work> = works
            .iter()
            .copied()
            .filter(|&work| !figures.of(work).is_empty())
            .collect();
        if works.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "{title}: median (lowest to highest) × Feedway.\n\n| |"
        );
        for work in &works {
            let _ = write!(text, " {} |", work.title().0);
        }
        let _ = writeln!(text, "\n| --- |{}", " ---: |".repeat(works.len()));
        for &(who, _) in &figures.peers {
            if works
                .iter()
                .all(|&work| figures.spread(work, who).is_none())
            {
                continue;
            }
            let _ = write!(text, "| {who} |");
            for &work in &works {
                let _ = write!(text, " {} |", cell(figures, work, who));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

fn cell(figures: &Figures, work: Work, who: &'static str) -> String {
    let unit = work.unit();
    let Some(spread) = figures.spread(work, who) else {
        let is_pace = unit == Unit::Milliseconds && figures.not_sustained.contains(&who);
        return if is_pace { "not sustained" } else { "-" }.to_owned();
    };
    let mut cell = format!("**{}**", number(spread.median, unit));
    if spread.lowest < spread.highest {
        let _ = write!(
            cell,
            " ({} to {})",
            number(spread.lowest, unit),
            number(spread.highest, unit)
        );
    }
    if who != FEEDWAY
        && let Some(ratio) = figures.ratio((work, who), (work, FEEDWAY))
        && ratio.is_finite()
    {
        let _ = write!(cell, " × {ratio:.2}");
    }
    cell
}

/// Versions and settings.
pub(super) fn peers(figures: &Figures) -> String {
    let mut text = "| | version | settings |\n| --- | --- | --- |\n".to_owned();
    for (who, about) in &figures.peers {
        let plain = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| {who} | {} | {} |",
            plain(&about.version),
            plain(&about.settings)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::peer::REDIS;
    use crate::peers::report::figures::tests::measured;

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        let mut figures = measured();
        figures.add(0, Work::LatencyP50, FEEDWAY, 0.4);
        figures.not_sustained.push(REDIS);
        figures.add(0, Work::MemoryIdle, REDIS, 12.0);
        let text = tables(&figures);
        for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
            let cells: Vec<usize> = table
                .lines()
                .map(|line| line.matches('|').count())
                .collect();
            assert!(cells.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        }
        assert!(
            text.contains("| Redis streams | **100** (50 to 40,000) × 0.50 |"),
            "{text}"
        );
        assert!(text.contains("not sustained"), "{text}");
    }

    #[test]
    fn a_bar_in_a_setting_ends_no_cell() {
        assert!(peers(&measured()).contains("a \\| b"));
    }
}
