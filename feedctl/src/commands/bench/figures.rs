//! What was measured: figures by name, over rounds, as a table or as JSON.

use serde::Serialize;

use crate::cli::CliError;
use crate::commands::sub::Format;
use crate::output;

/// How often, and how the result is written.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Rounds {
    /// How often it is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) rounds: u32,
    /// How the figures are written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

/// One figure. Fields may be added; those that are here stay.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    unit: &'static str,
    /// One a round, in the order in which they were measured.
    rounds: Vec<f64>,
    median: f64,
    lowest: f64,
    highest: f64,
}

/// The figures, in the order in which they came first.
#[derive(Debug)]
pub(super) struct Figures {
    target: String,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Document<'a> {
    /// What was measured.
    target: &'a str,
    figures: &'a [Figure],
}

impl Figures {
    pub(super) fn of(target: impl Into<String>) -> Self {
        Figures {
            target: target.into(),
            figures: Vec::new(),
        }
    }

    /// Adds what one round measured.
    pub(super) fn add(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        let name = name.into();
        let at = self.figures.iter().position(|one| one.name == name);
        let at = at.unwrap_or_else(|| {
            self.figures.push(Figure {
                name,
                unit,
                rounds: Vec::new(),
                median: 0.0,
                lowest: 0.0,
                highest: 0.0,
            });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[at];
        figure.rounds.push(value);
        let mut sorted = figure.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        figure.median = percentile(&sorted, 0.5);
        figure.lowest = percentile(&sorted, 0.0);
        figure.highest = percentile(&sorted, 1.0);
    }

    /// Adds the middle and the slow end of what took so long.
    pub(super) fn add_times(&mut self, what: &str, mut ms: Vec<f64>) {
        ms.sort_by(f64::total_cmp);
        self.add(format!("{what}, p50"), "ms", percentile(&ms, 0.5));
        self.add(format!("{what}, p99"), "ms", percentile(&ms, 0.99));
    }

    /// Writes them all to stdout.
    pub(super) async fn print(&self, rounds: Rounds) -> Result<(), CliError> {
        match rounds.output {
            Format::Json => {
                let document = Document {
                    target: &self.target,
                    figures: &self.figures,
                };
                output::print_json(&document).await
            }
            Format::Text => output::print(self.table()).await,
        }
    }

    fn table(&self) -> String {
        let mut rows = vec![["", "MEDIAN", "LOWEST", "HIGHEST", "UNIT"].map(str::to_owned)];
        rows.extend(self.figures.iter().map(|figure| {
            let [median, lowest, highest] =
                [figure.median, figure.lowest, figure.highest].map(number);
            let unit = figure.unit.to_owned();
            [figure.name.clone(), median, lowest, highest, unit]
        }));
        let width = |column: usize| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; 4] = std::array::from_fn(width);
        let lines = rows.iter().map(|[name, median, lowest, highest, unit]| {
            let [w0, w1, w2, w3] = widths;
            format!("{name:<w0$}  {median:>w1$}  {lowest:>w2$}  {highest:>w3$}  {unit}\n")
        });
        format!(
            "{}\n{}",
            crate::text::printable(&self.target),
            lines.collect::<String>()
        )
    }
}

/// As many digits as are worth reading: `46515`, `139.4`, `0.49`.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value at a share of the sorted values; 0 when there is none.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_rounds_counts() {
        let mut figures = Figures::of("a feed");
        for rate in [3.0, 100_000.0, 20.0] {
            figures.add("read", "events/s", rate);
        }
        figures.add_times("took", (0..=100).rev().map(f64::from).collect());
        assert_eq!(
            figures.table(),
            "a feed\n           MEDIAN  LOWEST  HIGHEST  UNIT\n\
             read         20.0    3.00   100000  events/s\n\
             took, p50    50.0    50.0     50.0  ms\n\
             took, p99    99.0    99.0     99.0  ms\n"
        );
    }

    #[test]
    fn nothing_measured_is_no_panic() {
        assert_eq!(percentile(&[], 0.99), 0.0);
    }
}
