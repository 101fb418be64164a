//! `feedctl conformance`: the rules of the protocol, run against any server.

use std::time::Duration;

use clap::ValueEnum;

use crate::cli::CliError;
use crate::conformance::{self, Append, Options, Outcome, SetupError, UNCHECKED, rules};
use crate::connect::Token;
use crate::output::{self, Color, ColorWhen, Painted};

const AFTER_HELP: &str = "\
The ids of the rules are those of docs/protocol.md. Not checked, since no request can show them:
  C2 K2 L7 L9 A5 B2 P2 P3   bind readers, not servers
  W4 S4 F3                  need a server that is full, or stops
Nothing is written to the server but by the command of --append; POST and PATCH are sent without a body, to see them refused.

Exit codes: 0 no rule failed, 1 a rule failed (with --strict: or was skipped), 2 nothing could be checked.

Examples:
  feedctl conformance http://127.0.0.1:8081/feeds/orders
  feedctl conformance http://127.0.0.1:8081/feeds/orders --strict --append ./place-an-order.sh
      --append makes the events that some rules need: for a long poll to wake up, a page to be sealed, a tag to change
  feedctl conformance http://127.0.0.1:8081/feeds/orders --rule D4 --rule H3 -o json
  feedctl conformance --list";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The feed's own URL, such as http://127.0.0.1:8081/feeds/orders
    #[arg(value_name = "FEED-URL", required_unless_present = "list")]
    url: Option<String>,
    #[command(flatten)]
    token: Token,
    /// Command for the shell that makes an event appear in the feed, or several, and ends
    #[arg(long, env = "FEEDCTL_APPEND", value_name = "CMD")]
    append: Option<String>,
    /// Let a rule that could not be checked count as failed (a MAY excepted)
    #[arg(long)]
    strict: bool,
    /// Check this rule only; can be given several times
    #[arg(long = "rule", value_name = "ID")]
    only: Vec<String>,
    /// Leave this rule out; can be given several times
    #[arg(long, value_name = "ID")]
    except: Vec<String>,
    /// How the results are written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
    /// Most events of the feed that are walked over
    #[arg(long, value_name = "N", default_value_t = Options::EVENTS_MAX_DEFAULT as u64,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    events_max: u64,
    /// Longest time that a request may take, in milliseconds, beside what it asks the server to wait
    #[arg(long, value_name = "MS", default_value_t = Options::TIMEOUT_MS_DEFAULT,
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: u64,
    /// List the rules, and those that are not checked, and check nothing
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people, and a summary
    Text,
    /// An array of objects with id, level, name, result and seen
    Json,
}

pub(crate) async fn run(args: Args, color: ColorWhen) -> Result<(), CliError> {
    if args.list {
        return output::print(list(args.output)?).await;
    }
    // Without --list the command line has one.
    let mut options = Options::new(args.url.unwrap_or_default());
    options.bearer_token = args.token.load()?;
    options.timeout = Duration::from_millis(args.timeout_ms);
    options.events_max = usize::try_from(args.events_max).unwrap_or(usize::MAX);
    options.append = args.append.clone().map(Append::Command);
    options.only = args.only.clone();
    options.except = args.except.clone();
    output::tell(match options.append {
        Some(_) => "checking, and appending events; that may take a minute",
        None => "checking; that may take half a minute",
    });
    let gone = output::reader_gone();
    let report = tokio::select! {
        report = conformance::run(options) => report.map_err(explain)?,
        // Whoever reads the result has gone: there is nothing to be done for.
        () = gone.cancelled() => return Ok(()),
    };
    let text = match args.output {
        Format::Json => {
            report
                .to_json()
                .map_err(|error| CliError::Usage(error.to_string()))?
                + "\n"
        }
        Format::Text => {
            let colors = color.is_on();
            let rows = report.results.iter().map(|result| {
                let color = match result.outcome {
                    Outcome::Passed => Color::Green,
                    Outcome::Failed => Color::Red,
                    Outcome::Skipped => Color::Yellow,
                };
                result.row(Painted(result.outcome, colors.then_some(color))) + "\n"
            });
            rows.collect::<String>() + &report.summary() + "\n"
        }
    };
    output::print(text).await?;
    if args.output == Format::Json {
        output::tell(&report.summary());
    }
    if report.holds(args.strict) {
        Ok(())
    } else {
        Err(CliError::Check)
    }
}

fn explain(error: SetupError) -> CliError {
    CliError::Usage(match error {
        SetupError::Connect { .. } => {
            format!("{error}; is the server running, and is this its feed's own URL?")
        }
        SetupError::Append(_) => {
            format!("{error}; run the command of --append by itself to see what is wrong with it")
        }
        error => error.to_string(),
    })
}

/// The rules that there are.
fn list(format: Format) -> Result<String, CliError> {
    let rules = rules();
    if format == Format::Json {
        let list: Vec<_> = rules
            .iter()
            .map(
                |rule| serde_json::json!({ "id": rule.id, "level": rule.level, "name": rule.name }),
            )
            .collect();
        let text = serde_json::to_string_pretty(&list);
        return text
            .map(|text| text + "\n")
            .map_err(|error| CliError::Usage(error.to_string()));
    }
    let mut text = String::new();
    for rule in rules {
        text.push_str(&format!("{:<3} {:<6} {}\n", rule.id, rule.level, rule.name));
    }
    text.push_str("Not checked:\n");
    for rule in UNCHECKED {
        text.push_str(&format!("{:<3}        {}\n", rule.id, rule.why));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_rule_that_is_not_checked() {
        let table = AFTER_HELP.lines().skip(1).take(2);
        let words: Vec<&str> = table.flat_map(str::split_whitespace).collect();
        for rule in UNCHECKED {
            assert!(words.contains(&rule.id), "{}", rule.id);
        }
    }

    #[test]
    fn both_lists_have_every_rule() {
        let (text, json) = (list(Format::Text).unwrap(), list(Format::Json).unwrap());
        for rule in rules() {
            assert!(text.contains(rule.name) && json.contains(rule.name));
        }
    }
}
