//! `feedctl verify`: whether two databases say the same, or one is sound in itself.

use std::fmt::Write;
use std::time::Instant;

use feed_core::moving::{self, Report};

use super::migrate::failed;
use crate::cli::CliError;
use crate::output::{self, Color, ColorWhen, Painted};
use crate::progress::Bar;
use crate::text::{counted, printable};

const AFTER_HELP: &str = "\
With two databases: every feed's id, epochs and head, every event with all that readers get of it, every sealed page byte by
byte as Atom and as JSON, and the rows of all other tables, the service's and those of its subscriptions and timers. Leases
are left out, since they mean nothing elsewhere. Let nobody write to either of them meanwhile.

With one: positions without holes, the running check, times that never go back, every event with its place, versions without
holes in every subject, and the database file itself.

Exit codes: 0 all is well; 1 something differs or is wrong, and the output says what; 2 wrong usage, or a database cannot be
used.

Examples:
  feedctl verify order.db postgres://order@127.0.0.1/order
  feedctl verify order.db";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// A service's database: a file path, sqlite:PATH or postgres://…
    #[arg(value_name = "DATABASE")]
    first: String,
    /// The one that it is compared with; without it, the first is checked in itself
    #[arg(value_name = "OTHER")]
    second: Option<String>,
}

pub(crate) async fn run(args: Args, color: ColorWhen) -> Result<(), CliError> {
    let begun = Instant::now();
    let mut bar = Bar::new();
    let mut show = |progress: moving::Progress<'_>| bar.show(progress);
    let report = match &args.second {
        Some(second) => moving::compare(&args.first, second, &mut show).await,
        None => moving::check(&args.first, &mut show).await,
    };
    drop(bar);
    let report = report.map_err(failed)?;
    output::print(told(&report, args.second.is_some(), begun, color.is_on())).await?;
    if report.is_well() {
        Ok(())
    } else {
        Err(CliError::Check)
    }
}

fn told(report: &Report, are_two: bool, begun: Instant, colors: bool) -> String {
    let mut text = String::new();
    let looked_at = |(name, rows): &(String, u64), noun: &str| {
        format!("  {name:<20} {}\n", counted(*rows, noun))
    };
    text.extend(report.feeds.iter().map(|feed| looked_at(feed, "event")));
    text.extend(report.tables.iter().map(|table| looked_at(table, "row")));
    let painted = |what, color| Painted(what, colors.then_some(color));
    // Writing to a text does not fail.
    for wrong in &report.wrong {
        let _ = writeln!(
            text,
            "{} {}",
            painted("wrong", Color::Red),
            printable(wrong)
        );
    }
    let told = report.wrong.len() as u64;
    if report.wrong_total > told {
        let _ = writeln!(text, "… and {} more", report.wrong_total - told);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let said = match (report.is_well(), are_two) {
        (true, true) => painted("they say the same", Color::Green),
        (true, false) => painted("it is sound", Color::Green),
        (false, true) => painted("they differ", Color::Red),
        (false, false) => painted("it is not sound", Color::Red),
    };
    let _ = writeln!(text, "{said}; looked at in {seconds:.1} s");
    text
}
