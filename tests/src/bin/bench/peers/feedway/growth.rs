//! What a large feed costs over a small one: measured by the other part of this program, which prints a table.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::peers::peer::Bench;
use crate::peers::process::Server;

/// Longest time that it may take, most of it for filling the feed.
const TIME_MAX: Duration = Duration::from_secs(420);

/// How much more something costs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Growth {
    pub(crate) work: String,
    pub(crate) ratio: f64,
}

/// Costs at so many events over those at 10,000.
///
/// # Errors
/// When it cannot be measured; then what was said stands in it.
pub(crate) fn growth(bench: &Bench, events: u64) -> Result<Vec<Growth>, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--growth", &events.to_string(), "--rounds", "3"]);
    command.env("TMPDIR", &bench.folder);
    let log = bench.folder.join("growth");
    let mut running = Server::start(&command, &log)?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = running.ended()? {
            break status;
        }
        if began.elapsed() > TIME_MAX {
            return Err(format!("not done in {} s", TIME_MAX.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let said = std::fs::read_to_string(&log)?;
    if !status.success() {
        let line = said.lines().find(|line| !line.is_empty());
        return Err(format!("{status}: {}", line.unwrap_or_default()).into());
    }
    let table = rows(&said);
    if table.is_empty() {
        return Err("it printed no table".into());
    }
    Ok(table)
}

/// The first and the last column of a table whose other columns are numbers.
fn rows(text: &str) -> Vec<Growth> {
    let row = |line: &str| {
        let cells: Vec<&str> = line
            .trim()
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let ratio = cells.last()?.parse().ok()?;
        (cells.len() > 2).then(|| Growth {
            work: cells[0].to_owned(),
            ratio,
        })
    };
    text.lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(row)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let text = "| work | µs at 10 | ratio |\n| --- | ---: | ---: |\n| first page | 12.0 | 1.04 |\n\nfile 3 MB\n";
        let expected = Growth {
            work: "first page".into(),
            ratio: 1.04,
        };
        assert_eq!(rows(text), [expected]);
    }
}
