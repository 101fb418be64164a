//! The generated part of a document, between its markers, and the files beside it.

use std::fs;
use std::path::{Path, PathBuf};

use super::figures::Figures;
use super::machine::machine;
use super::{goals, losses, plot, tables};
use crate::Failure;
use crate::peers::peer::Work;

const BEGIN: &str = "<!-- scripts/bench writes from here -->";
const END: &str = "<!-- to here -->";

/// Where the report goes.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// What stands around the generated part stays.
    pub(crate) document: PathBuf,
    /// A folder.
    pub(crate) plots: PathBuf,
    pub(crate) json: PathBuf,
}

/// Writes everything, and returns the generated part.
pub(crate) fn write(figures: &Figures, paths: &Paths) -> Result<String, Failure> {
    let machine = machine();
    fs::create_dir_all(&paths.plots)?;
    let mut names = Vec::new();
    for work in Work::ALL {
        let rows = figures.of(work);
        if rows.len() > 1 {
            let (title, name) = work.title();
            fs::write(
                paths.plots.join(format!("{name}.svg")),
                plot::plot(work, rows),
            )?;
            names.push((title, name));
        }
    }
    let text = section(figures, &machine, &names, &plots_from(paths));
    let before = fs::read_to_string(&paths.document).unwrap_or_default();
    fs::write(&paths.document, replaced(&before, &text))?;
    let json = serde_json::to_string_pretty(&figures.json(&machine))?;
    fs::write(&paths.json, json + "\n")?;
    Ok(text)
}

/// The plots' folder as the document names it.
fn plots_from(paths: &Paths) -> String {
    let folder = paths.document.parent().unwrap_or(Path::new(""));
    let relative = paths.plots.strip_prefix(folder).unwrap_or(&paths.plots);
    relative.display().to_string()
}

fn section(
    figures: &Figures,
    machine: &[(String, String)],
    plots: &[(&str, &str)],
    folder: &str,
) -> String {
    let machine: Vec<String> = machine
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let growth: Vec<String> = figures
        .growth
        .iter()
        .map(|growth| format!("{} {:.2}", growth.work, growth.ratio))
        .collect();
    let growth = if growth.is_empty() {
        String::new()
    } else {
        format!(
            "Costs at 10,000,000 events over those at 10,000: {}.\n\n",
            growth.join(", ")
        )
    };
    let notes: String = figures
        .notes
        .iter()
        .map(|note| format!("- {note}\n"))
        .collect();
    let notes = if notes.is_empty() {
        String::new()
    } else {
        format!("Left out, or failed:\n\n{notes}\n")
    };
    let plots: Vec<String> = plots
        .iter()
        .map(|(title, name)| format!("![{title}]({folder}/{name}.svg)"))
        .collect();
    format!(
        "### Goals\n\n{}\n{growth}### Beside the peers\n\nEvents with {} bytes of data; catch-up of {} events; {} rounds, in each of which \
         everybody is started on nothing, measured and stopped in turn. Ratios are medians of the rounds' ratios. Memory is what is resident; of servers with several processes, their shares of it. {}.\n\n{}{notes}\
         ### Where a peer is ahead\n\n{}\n### Versions and settings\n\n{}\n### Plots\n\n{}\n",
        goals::table(figures),
        figures.event_bytes,
        figures.catch_up_events,
        figures.rounds,
        machine.join("; "),
        tables::tables(figures),
        losses::lines(figures),
        tables::peers(figures),
        plots.join("\n\n"),
    )
}

/// The document with `text` between the markers, which are put at its end if it has none.
fn replaced(document: &str, text: &str) -> String {
    let generated = format!("{BEGIN}\n\n{}\n\n{END}", text.trim());
    if let Some((before, rest)) = document.split_once(BEGIN)
        && let Some((_, after)) = rest.split_once(END)
    {
        return format!("{before}{generated}{after}");
    }
    let before = document.trim_end();
    let gap = if before.is_empty() { "" } else { "\n\n" };
    format!("{before}{gap}## Beside the peers and the limits\n\n{generated}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::peer::{FEEDWAY, REDIS};
    use crate::peers::report::figures::tests::measured;

    #[test]
    fn what_stands_around_the_generated_part_stays() {
        let once = replaced("# Performance\n\nBy hand.\n", "one");
        assert!(
            once.starts_with("# Performance\n\nBy hand.\n\n## Beside"),
            "{once}"
        );
        let by_hand = format!("{once}\nMore by hand.\n");
        let twice = replaced(&by_hand, "two");
        assert_eq!(twice, by_hand.replace("\none\n", "\ntwo\n"));
        // Half a marker is no place to write to.
        assert!(replaced(BEGIN, "x").starts_with(BEGIN));
    }

    #[test]
    fn everything_is_written_and_linked() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths {
            document: folder.path().join("performance.md"),
            plots: folder.path().join("plots"),
            json: folder.path().join("figures.json"),
        };
        let text = write(&measured(), &paths).unwrap();
        assert!(text.contains("](plots/append-1-writer.svg)"), "{text}");
        assert!(text.contains(FEEDWAY) && text.contains(REDIS));
        assert!(paths.plots.join("append-1-writer.svg").is_file());
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(&paths.json).unwrap()).unwrap();
        assert_eq!(json["figures"][0]["median"], 300.0);
        assert_eq!(
            fs::read_to_string(&paths.document).unwrap(),
            replaced("", &text)
        );
    }
}
