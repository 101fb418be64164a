//! `feedctl sub ls`: every subscription in a line.

use chrono::Utc;
use feed_core::{EventState, Store, Subscription, SubscriptionState};

use super::Format;
use super::database::{Database, failed, subscription};
use super::json::SubscriptionJson;
use super::text::{NOTHING, color_of, lag};
use crate::cli::CliError;
use crate::output::{self, ColorWhen, Painted};
use crate::text::{cut, printable};

/// Longest part of a reason that is shown, in characters.
const REASON_CHARS_MAX: usize = 60;
/// As much of a holder as tells two of them apart, in characters.
const HOLDER_CHARS: usize = 8;

const AFTER_HELP: &str = "\
HEAD and LAG are as of the last time that an instance heard of the feed. HOLDER is the beginning of the running instance's id.
Below a subscription that is split stand its partitions; it stands where the one does that is least far.

Exit codes: 0 done; 2 wrong usage, or no such database.

Examples:
  feedctl sub ls --database customer.db
  feedctl sub ls --database customer.db -o json | jq -r '.[] | select(.state == \"halted\") | .name'
      the names of those that halt";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    database: Database,
    /// How they are written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

/// A subscription with its partitions, and how many events are kept in each state.
struct Row {
    subscription: Subscription,
    partitions: Vec<Subscription>,
    counts: Vec<(EventState, u64)>,
}

pub(super) async fn run(args: Args, color: ColorWhen) -> Result<(), CliError> {
    let rows = args.database.with(read).await?;
    match args.output {
        Format::Json => {
            let now = Utc::now();
            let list: Vec<_> = rows
                .iter()
                .map(|row| {
                    SubscriptionJson::new(&row.subscription, now)
                        .partitions(&row.partitions, now)
                        .kept(&row.counts)
                })
                .collect();
            output::print_json(&list).await
        }
        Format::Text if rows.is_empty() => {
            output::tell("there is no subscription in this database");
            Ok(())
        }
        Format::Text => output::print(table(&rows, color.is_on())).await,
    }
}

async fn read(store: &Store) -> Result<Vec<Row>, CliError> {
    let mut rows = Vec::new();
    for found in store.subscriptions().await.map_err(failed)? {
        let handle = subscription(store, found.name.as_str())?;
        rows.push(Row {
            partitions: handle.partitions().await.map_err(failed)?,
            counts: handle.counts().await.map_err(failed)?,
            subscription: found,
        });
    }
    Ok(rows)
}

const COLUMNS: [&str; 9] = [
    "NAME", "STATE", "POSITION", "HEAD", "LAG", "PARKED", "WAITING", "HOLDER", "REASON",
];

fn table(rows: &[Row], colors: bool) -> String {
    let lines: Vec<_> = rows.iter().flat_map(lines).collect();
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| {
        let longest = lines
            .iter()
            .map(|(_, row)| row[column].chars().count())
            .max();
        longest.unwrap_or(0).max(COLUMNS[column].len())
    });
    let mut text = line(&COLUMNS.map(str::to_owned), &widths, None);
    for (state, cells) in &lines {
        let color = colors.then_some(color_of(*state));
        text.push_str(&line(cells, &widths, color));
    }
    text
}

/// A line for a subscription, and where it is split one for each of its partitions.
fn lines(row: &Row) -> Vec<(SubscriptionState, [String; COLUMNS.len()])> {
    let count = |wanted: EventState| {
        let found = row.counts.iter().find(|(state, _)| *state == wanted);
        found.map_or(0, |(_, count)| *count).to_string()
    };
    let kept = [EventState::Parked, EventState::Waiting].map(count);
    let name = row.subscription.name.to_string();
    let mut lines = vec![(row.subscription.state, cells(name, &row.subscription, kept))];
    if row.partitions.len() > 1 {
        lines.extend((0..).zip(&row.partitions).map(|(number, one): (u32, _)| {
            let nothing = [NOTHING, NOTHING].map(str::to_owned);
            (one.state, cells(format!("  #{number}"), one, nothing))
        }));
    }
    lines
}

fn cells(
    name: String,
    subscription: &Subscription,
    [parked, waiting]: [String; 2],
) -> [String; COLUMNS.len()] {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let position =
        |cursor: Option<feed_core::Cursor>| cursor.map(|cursor| cursor.position.to_string());
    [
        name,
        subscription.state.to_string(),
        position(subscription.cursor).unwrap_or_else(|| "0".to_owned()),
        or_nothing(position(subscription.head)),
        lag(subscription.lag(Utc::now())),
        parked,
        waiting,
        or_nothing(
            subscription
                .holder
                .as_deref()
                .map(|holder| holder.chars().take(HOLDER_CHARS).collect()),
        ),
        or_nothing(
            subscription
                .reason
                .as_deref()
                .map(|reason| cut(&printable(reason), REASON_CHARS_MAX)),
        ),
    ]
}

fn line(
    cells: &[String; COLUMNS.len()],
    widths: &[usize; COLUMNS.len()],
    state: Option<crate::output::Color>,
) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        // Behind the last one nothing has to be in line.
        let width = if column + 1 == COLUMNS.len() {
            0
        } else {
            *width
        };
        let color = state.filter(|_| column == 1);
        line.push_str(&format!("{:<width$}  ", Painted(cell, color)));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}
