//! `feedctl feed ls`: every feed in a line.

use chrono::{DateTime, Utc};
use feed_core::{FeedState, Store};
use serde::Serialize;

use crate::cli::CliError;
use crate::commands::sub::Format;
use crate::commands::sub::database::{Database, failed};
use crate::output;
use crate::text::time;

const AFTER_HELP: &str = "\
HEAD is the position of the newest event, RECORDED when it got it. EPOCH is the stretch of history that is written now, FROM
the position that it begins at; there is more than one when the database was put back to an earlier state.

Exit codes: 0 done; 2 wrong usage, or no such database.

Examples:
  feedctl feed ls --database order.db
  feedctl feed ls --database order.db -o json | jq -r '.[] | .epochs[-1].first_position - 1'
      the last position that is in both histories, after a new epoch";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    database: Database,
    /// How they are written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

/// A feed. Fields may be added; those that are here stay.
#[derive(Debug, Serialize)]
pub(super) struct FeedJson<'a> {
    name: &'a str,
    id: String,
    visibility: &'static str,
    page_capacity: u32,
    head: String,
    position: u64,
    recorded: DateTime<Utc>,
    earliest_position: u64,
    epochs: Vec<EpochJson>,
}

#[derive(Debug, Serialize)]
struct EpochJson {
    epoch: String,
    first_position: u64,
}

impl<'a> FeedJson<'a> {
    pub(super) fn new(state: &'a FeedState) -> Self {
        let identity = &state.identity;
        FeedJson {
            name: identity.name.as_str(),
            id: identity.id.to_string(),
            visibility: identity.visibility.as_str(),
            page_capacity: identity.capacity.get(),
            head: state.head.to_string(),
            position: state.head.position.get(),
            recorded: state.updated,
            earliest_position: state.earliest.position.get(),
            epochs: state
                .history
                .epochs()
                .iter()
                .map(|(first, epoch)| EpochJson {
                    epoch: epoch.to_string(),
                    first_position: first.get(),
                })
                .collect(),
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let states = args.database.with(read).await?;
    match args.output {
        Format::Json => {
            let list: Vec<_> = states.iter().map(FeedJson::new).collect();
            output::print_json(&list).await
        }
        Format::Text if states.is_empty() => {
            output::tell("there is no feed in this database");
            Ok(())
        }
        Format::Text => output::print(table(&states)).await,
    }
}

async fn read(store: &Store) -> Result<Vec<FeedState>, CliError> {
    let mut states = Vec::new();
    for name in store.feeds().await.map_err(failed)? {
        let log = store
            .log(name.as_str())
            .map_err(|error| CliError::Usage(error.to_string()))?;
        states.push(log.state().await.map_err(failed)?);
    }
    Ok(states)
}

fn table(states: &[FeedState]) -> String {
    let mut rows = vec![["FEED", "HEAD", "RECORDED", "EPOCH", "FROM", "EPOCHS"].map(str::to_owned)];
    rows.extend(states.iter().map(|state| {
        let epochs = state.history.epochs();
        let newest = epochs
            .last()
            .map(|(first, epoch)| (epoch.to_string(), first.to_string()));
        let (epoch, from) = newest.unwrap_or_default();
        [
            state.identity.name.to_string(),
            state.head.position.to_string(),
            time(state.updated),
            epoch,
            from,
            epochs.len().to_string(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}
