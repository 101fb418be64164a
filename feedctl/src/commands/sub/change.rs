//! What all changes have in common: they can be tried, some have to be asked for, and each says what it did.

use std::fmt::Write;

use chrono::Utc;
use feed_core::{Changed, Mode, OperateError, Operator, Store, SubscriptionHandle};

use super::Format;
use super::ask::{self, Leave};
use super::database::{Database, refused};
use super::json::ChangedJson;
use super::text::{self, place};
use crate::cli::CliError;
use crate::output;
use crate::text::{counted, printable};

/// Which subscription is changed, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Change {
    /// The subscription's name
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) database: Database,
    /// Only say what would happen: all of it is done, and then rolled back
    #[arg(long)]
    dry_run: bool,
    /// How it is written what changed
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

/// Which partition of it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct OfPartition {
    /// Only this partition, from 0, of a subscription that is split [default: all]
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
}

impl OfPartition {
    pub(super) fn of(self, handle: SubscriptionHandle) -> SubscriptionHandle {
        match self.partition {
            Some(number) => handle.partition(number),
            None => handle,
        }
    }
}

/// Who changes it.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct By {
    /// Your name, which is kept with the change [default: the user's, from USER]
    #[arg(long, env = "FEEDCTL_BY", value_name = "NAME")]
    by: Option<String>,
}

impl By {
    /// # Errors
    /// When the name or the reason is too long, or is no line of text.
    pub(in crate::commands) fn operator(&self, why: &str) -> Result<Operator, CliError> {
        let user = || {
            let names = ["USER", "LOGNAME", "USERNAME"];
            let named = names.iter().filter_map(|name| std::env::var(name).ok());
            named
                .into_iter()
                .find(|name| Operator::new(name, "").is_ok())
        };
        let by = self.by.clone().or_else(user);
        Operator::new(by.as_deref().unwrap_or("feedctl"), why)
            .map_err(|error| CliError::Usage(error.to_string()))
    }
}

/// A reason, for what somebody else will find done.
///
/// # Errors
/// When it is empty.
pub(in crate::commands) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("a reason is expected, for whoever finds what was done".into());
    }
    Ok(text.to_owned())
}

/// What is done to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Pause,
    Resume,
    Reset,
    Partitions,
    Retry,
    Drop,
    Skip,
}

impl Command {
    fn as_str(self) -> &'static str {
        match self {
            Command::Pause => "pause",
            Command::Resume => "resume",
            Command::Reset => "reset",
            Command::Partitions => "partitions",
            Command::Retry => "retry",
            Command::Drop => "drop",
            Command::Skip => "skip",
        }
    }

    /// Whether it is about events.
    fn is_for_events(self) -> bool {
        matches!(self, Command::Retry | Command::Drop | Command::Skip)
    }
}

/// Whether what is told has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It would happen.
    Plan,
    /// It has been tried.
    DryRun,
    /// It has happened.
    Done,
}

impl Change {
    /// Whether this change has to be asked for, given leave or not.
    ///
    /// # Errors
    /// When it has to be, and nobody is there.
    pub(super) fn asks(&self, leave: Leave) -> Result<bool, CliError> {
        if self.dry_run {
            return Ok(false);
        }
        leave.is_to_be_asked_for()
    }

    /// Makes the change, or tries it, and reports.
    ///
    /// # Errors
    /// When it was not made.
    pub(super) async fn make(
        &self,
        store: &Store,
        command: Command,
        asks: bool,
        act: impl AsyncFn(Mode) -> Result<Changed, OperateError>,
    ) -> Result<(), CliError> {
        let mode = if self.dry_run { Mode::DryRun } else { Mode::Do };
        let tried = async |mode: Mode| match act(mode).await {
            Ok(changed) => Ok(changed),
            Err(error) => Err(refused(store, error).await),
        };
        if asks {
            let plan = tried(Mode::DryRun).await?;
            for line in told(command, &plan, Told::Plan).lines() {
                output::tell(line);
            }
            ask::ask().await?;
            // The answer was for these events: the subscription may have got on meanwhile.
            let now = tried(Mode::DryRun).await?;
            if ids(&now) != ids(&plan) {
                return Err(CliError::Refused(
                    "nothing was changed: other events would be concerned by now; look again"
                        .to_owned(),
                ));
            }
        }
        let changed = tried(mode).await?;
        match self.output {
            Format::Json => {
                output::print_json(&ChangedJson::new(
                    command.as_str(),
                    &changed,
                    self.dry_run,
                    Utc::now(),
                ))
                .await
            }
            Format::Text => {
                let as_what = if self.dry_run {
                    Told::DryRun
                } else {
                    Told::Done
                };
                output::print(told(command, &changed, as_what)).await
            }
        }
    }
}

fn ids(changed: &Changed) -> Vec<feed_core::EventId> {
    changed.events.iter().map(|kept| kept.event.id).collect()
}

/// What changes, line by line.
fn told(command: Command, changed: &Changed, as_what: Told) -> String {
    let (before, after) = (&changed.before, &changed.after);
    let mut text = format!(
        "{} {}: {}\n",
        command.as_str(),
        after.name,
        match as_what {
            Told::Plan => "this would happen",
            Told::DryRun => "this would happen (a dry run: nothing was changed)",
            Told::Done => "done",
        }
    );
    // Writing to a text does not fail.
    if before.state != after.state || before.reason != after.reason {
        let _ = write!(text, "  state     {} -> {}", before.state, after.state);
        let _ = match &after.reason {
            Some(reason) => writeln!(text, ", {}", printable(reason)),
            None => writeln!(text),
        };
    } else {
        let _ = writeln!(text, "  state     {}", after.state);
    }
    if (before.partitions, before.resizing) != (after.partitions, after.resizing) {
        let (from, to) = (text::partitions(before), text::partitions(after));
        let _ = writeln!(text, "  split     {from} -> {to}");
    }
    if before.cursor != after.cursor {
        let (from, to) = (place(before.cursor), place(after.cursor));
        let _ = write!(text, "  cursor    {from} -> {to}");
        let _ = match command {
            Command::Reset => writeln!(text, ": {}", consequence(changed)),
            _ => writeln!(text),
        };
    }
    for kept in &changed.events {
        let _ = write!(
            text,
            "  {}",
            text::event(kept, false).replace("\n ", "\n   ")
        );
    }
    if command.is_for_events() && changed.events.is_empty() {
        let _ = writeln!(text, "  events    none is parked");
    }
    if changed.forgotten > 0 {
        let events = counted(changed.forgotten, "kept event");
        let _ = writeln!(text, "  forgotten {events}, which will be read again");
    }
    text
}

/// What it means to move the cursor by a reset.
fn consequence(changed: &Changed) -> String {
    let position = |cursor: Option<feed_core::Cursor>| cursor.map_or(0, |at| at.position.get());
    let (from, to) = (
        position(changed.before.cursor),
        position(changed.after.cursor),
    );
    match to.cmp(&from) {
        std::cmp::Ordering::Less => {
            format!("{} read again, and applied again", are(from - to))
        }
        std::cmp::Ordering::Greater => format!("{} never applied", are(to - from)),
        std::cmp::Ordering::Equal => "the same place in another history".to_owned(),
    }
}

fn are(events: u64) -> String {
    let verb = if events == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(events, "event"))
}
