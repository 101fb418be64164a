//! `feedctl sub show`: one subscription, and the events that were not simply applied.

use chrono::Utc;
use feed_core::{EventId, EventState, Store, Subscription, SubscriptionEvent};

use super::Format;
use super::database::{Database, failed, subscription, unknown};
use super::json::{EventJson, SubscriptionJson};
use super::text;
use crate::cli::CliError;
use crate::output::{self, ColorWhen};

const AFTER_HELP: &str = "\
Events that were applied leave no trace here: look at the feed for them.

Exit codes: 0 done; 1 nothing is kept of the event; 2 wrong usage, or no such database or subscription.

Examples:
  feedctl sub show customers/orders --database customer.db
  feedctl sub show customers/orders --database customer.db --state parked --limit 100
  feedctl sub show customers/orders --database customer.db --event 0190b6e2-1111-7000-8000-000000000001
      one event, with its data and the whole error";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The subscription's name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    database: Database,
    /// Only events in this state: retrying, parked, waiting, replaying or dropped
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<EventState>,
    /// Most events that are shown
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only events behind this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
    /// Show this event only, with its data and the whole error
    #[arg(long, value_name = "EVENT-ID", value_parser = |text: &str| text.parse::<EventId>(),
          conflicts_with_all = ["state", "limit", "after"])]
    event: Option<EventId>,
    /// How it is written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

fn state(word: &str) -> Result<EventState, String> {
    EventState::parse(word).ok_or_else(|| {
        let words: Vec<_> = EventState::ALL.iter().map(|state| state.as_str()).collect();
        format!("one of {} is expected", words.join(", "))
    })
}

/// What is shown.
struct Seen {
    subscription: Subscription,
    partitions: Vec<Subscription>,
    /// What a change of their number waits for.
    waits_for: Option<String>,
    counts: Vec<(EventState, u64)>,
    events: Vec<SubscriptionEvent>,
    /// Whether there are more of them.
    more: bool,
}

pub(super) async fn run(args: Args, color: ColorWhen) -> Result<(), CliError> {
    if let Some(id) = args.event {
        return show_event(&args, id, color).await;
    }
    let seen = args
        .database
        .with(async |store| read(store, &args).await)
        .await?;
    let now = Utc::now();
    match args.output {
        Format::Json => {
            let json = SubscriptionJson::new(&seen.subscription, now);
            let json = json.partitions(&seen.partitions, now);
            output::print_json(&json.kept(&seen.counts).events(&seen.events)).await?;
        }
        Format::Text => {
            let colors = color.is_on();
            let mut shown = text::subscription(&seen.subscription, &seen.counts, now, colors);
            shown.push_str(&text::split(
                &seen.subscription,
                &seen.partitions,
                seen.waits_for.as_deref(),
                colors,
            ));
            shown.extend(seen.events.iter().map(|kept| text::event(kept, colors)));
            output::print(shown).await?;
        }
    }
    if let Some(last) = seen.events.last().filter(|_| seen.more) {
        let position = last.event.position;
        output::tell(&format!("there are more: --after {position} shows them"));
    }
    Ok(())
}

async fn read(store: &Store, args: &Args) -> Result<Seen, CliError> {
    let handle = subscription(store, &args.name)?;
    let Some(found) = handle.status().await.map_err(failed)? else {
        return Err(unknown(store, &args.name).await);
    };
    let partitions = handle.partitions().await.map_err(failed)?;
    let waits_for = handle.resizing_waits_for().await.map_err(failed)?;
    let counts = handle.counts().await.map_err(failed)?;
    // One more than is shown, to tell whether there are any.
    let events = handle.events(args.state, args.after, args.limit + 1).await;
    let mut events = events.map_err(failed)?;
    let more = events.len() > args.limit as usize;
    events.truncate(args.limit as usize);
    Ok(Seen {
        subscription: found,
        partitions,
        waits_for,
        counts,
        events,
        more,
    })
}

async fn show_event(args: &Args, id: EventId, color: ColorWhen) -> Result<(), CliError> {
    let kept = args
        .database
        .with(async |store| {
            let handle = subscription(store, &args.name)?;
            if handle.status().await.map_err(failed)?.is_none() {
                return Err(unknown(store, &args.name).await);
            }
            handle.event(id).await.map_err(failed)
        })
        .await?;
    let kept = kept.ok_or_else(|| {
        CliError::Refused(format!(
            "nothing is kept of event {id}: it was applied, or not read yet; feedctl sub show {} lists what is kept",
            args.name
        ))
    })?;
    match args.output {
        Format::Json => output::print_json(&EventJson::new(&kept).whole(&kept.event)).await,
        Format::Text => output::print(text::whole_event(&kept, color.is_on())).await,
    }
}
