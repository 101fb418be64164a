//! Subscriptions and their events as lines for people. Pure.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use feed_core::{Cursor, EventState, Lag, Subscription, SubscriptionEvent, SubscriptionState};

use super::indent::indented;
use crate::output::{Color, Painted};
use crate::text::{counted, cut, printable, readable, time};

/// Longest part of an error or a reason that a list shows, in characters.
const ERROR_CHARS_MAX: usize = 160;

/// What stands for nothing.
pub(super) const NOTHING: &str = "-";

pub(super) fn color_of(state: SubscriptionState) -> Color {
    match state {
        SubscriptionState::Running => Color::Green,
        SubscriptionState::Waiting | SubscriptionState::Paused => Color::Yellow,
        SubscriptionState::Halted => Color::Red,
    }
}

fn color_of_event(state: EventState) -> Color {
    match state {
        EventState::Parked => Color::Red,
        EventState::Retrying | EventState::Waiting | EventState::Replaying => Color::Yellow,
        EventState::Dropped => Color::Dim,
    }
}

/// `57 events, 3 min 2 s`; what is not known is left out.
pub(super) fn lag(lag: Lag) -> String {
    let events = lag.events.map(|events| counted(events, "event"));
    let time = lag.time.map(readable);
    let known: Vec<String> = events.into_iter().chain(time).collect();
    if known.is_empty() {
        NOTHING.to_owned()
    } else {
        known.join(", ")
    }
}

/// Where a cursor stands, for a sentence.
pub(super) fn place(cursor: Option<Cursor>) -> String {
    cursor.map_or_else(
        || "the start".to_owned(),
        |cursor| format!("position {}", cursor.position),
    )
}

/// Into how many partitions it is split, and is to be.
pub(super) fn partitions(subscription: &Subscription) -> String {
    let there = match subscription.partitions {
        1 => "1 partition".to_owned(),
        there => format!("{there} partitions"),
    };
    match subscription.resizing {
        None => there,
        Some(resizing) => format!(
            "{there}, {} when all stand at position {}",
            resizing.to, resizing.stop_at
        ),
    }
}

/// How the partitions of a subscription are doing; nothing where it is not split.
pub(super) fn split(
    subscription: &Subscription,
    all: &[Subscription],
    waits_for: Option<&str>,
    colors: bool,
) -> String {
    if all.len() < 2 && waits_for.is_none() {
        return String::new();
    }
    let mut text = format!("  split     {}\n", partitions(subscription));
    if let Some(waits_for) = waits_for {
        // Writing to a text does not fail.
        let _ = writeln!(text, "            waits for {waits_for}");
    }
    for (number, one) in all.iter().enumerate() {
        let state = Painted(one.state, colors.then_some(color_of(one.state)));
        let _ = write!(
            text,
            "    #{number:<5} {state:<8} position {}, {}, holder {}",
            one.cursor.map_or(0, |cursor| cursor.position.get()),
            counted(one.events, "event"),
            one.holder.as_deref().unwrap_or(NOTHING),
        );
        let reason = one.reason.as_deref().map(printable);
        let _ = match reason {
            Some(reason) => writeln!(text, "\n            {}", cut(&reason, ERROR_CHARS_MAX)),
            None => writeln!(text),
        };
    }
    text
}

/// All that is known of a subscription.
pub(super) fn subscription(
    subscription: &Subscription,
    counts: &[(EventState, u64)],
    now: DateTime<Utc>,
    colors: bool,
) -> String {
    let text_of = |text: &Option<String>| {
        text.as_deref()
            .map_or_else(|| NOTHING.to_owned(), printable)
    };
    let time_of = |at: Option<DateTime<Utc>>| at.map_or_else(|| NOTHING.to_owned(), time);
    let state = Painted(
        subscription.state,
        colors.then_some(color_of(subscription.state)),
    );
    let cursor = match subscription.cursor {
        None => "none: before the first event".to_owned(),
        Some(cursor) => format!("{cursor}, recorded {}", time_of(subscription.recorded)),
    };
    let head = match subscription.head {
        None => NOTHING.to_owned(),
        Some(head) => format!("{head}, seen {}", time_of(subscription.head_seen)),
    };
    let kept: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let rows = [
        ("state", state.to_string()),
        ("reason", text_of(&subscription.reason)),
        ("feed", printable(&subscription.feed_url)),
        ("cursor", cursor),
        ("head", head),
        ("lag", lag(subscription.lag(now))),
        (
            "holder",
            format!(
                "{}, fence {}",
                text_of(&subscription.holder),
                subscription.fence
            ),
        ),
        (
            "failures",
            format!(
                "{}, next try {}",
                subscription.failures,
                time_of(subscription.next_try)
            ),
        ),
        (
            "passed",
            format!(
                "{}, {} without a handler, {} that came again",
                counted(subscription.events, "event"),
                subscription.unhandled,
                subscription.duplicates
            ),
        ),
        (
            "kept",
            if kept.is_empty() {
                NOTHING.to_owned()
            } else {
                kept.join(", ")
            },
        ),
        ("changed", time(subscription.updated)),
    ];
    let mut text = format!("{}\n", subscription.name);
    for (label, value) in rows {
        // Writing to a text does not fail.
        let _ = writeln!(text, "  {label:<9} {value}");
    }
    text
}

/// One line for an event, and those that say why.
pub(super) fn event(kept: &SubscriptionEvent, colors: bool) -> String {
    let mut text = String::new();
    let state = Painted(kept.state, colors.then_some(color_of_event(kept.state)));
    let _ = write!(
        text,
        "{state:<9} position {}: {} {} {}",
        kept.event.position.get(),
        kept.event.id,
        kept.event.event_type,
        kept.event.subject,
    );
    if kept.ordering_key != kept.event.subject.as_str() {
        let _ = write!(text, ", key {:?}", printable(&kept.ordering_key));
    }
    if kept.attempts > 0 {
        let tries = if kept.attempts == 1 { "try" } else { "tries" };
        let _ = write!(text, ", {} {tries}", kept.attempts);
    }
    if let Some(next_try) = kept.next_try {
        let _ = write!(text, ", next {}", time(next_try));
    }
    text.push('\n');
    if let Some(error) = &kept.error {
        let _ = writeln!(
            text,
            "          {}",
            cut(&printable(error), ERROR_CHARS_MAX)
        );
    }
    if let Some(by) = &kept.dropped_by {
        let why = kept.dropped_why.as_deref().unwrap_or(NOTHING);
        let _ = writeln!(text, "          by {}: {}", printable(by), printable(why));
    }
    text
}

/// All that is kept of an event, with its data.
pub(super) fn whole_event(kept: &SubscriptionEvent, colors: bool) -> String {
    let event = &kept.event;
    let or_nothing = |text: Option<&str>| text.map_or_else(|| NOTHING.to_owned(), printable);
    let dropped = kept.dropped_by.as_deref().map(|by| {
        let why = kept.dropped_why.as_deref().unwrap_or(NOTHING);
        format!("by {by}: {why}")
    });
    let state = Painted(kept.state, colors.then_some(color_of_event(kept.state)));
    let rows = [
        ("state", state.to_string()),
        ("position", event.position.to_string()),
        ("type", event.event_type.to_string()),
        ("subject", event.subject.to_string()),
        ("version", event.version.to_string()),
        ("key", printable(&kept.ordering_key)),
        ("tries", kept.attempts.to_string()),
        (
            "next try",
            kept.next_try.map_or_else(|| NOTHING.to_owned(), time),
        ),
        ("error", or_nothing(kept.error.as_deref())),
        ("dropped", or_nothing(dropped.as_deref())),
        ("changed", time(kept.changed)),
        ("recorded", time(event.recorded)),
        ("cursor", event.cursor().to_string()),
    ];
    let mut text = format!("{}\n", event.id);
    for (label, value) in rows {
        let _ = writeln!(text, "  {label:<9} {value}");
    }
    let data = match &event.data {
        None => "no data".to_owned(),
        Some(data) => match data.json_text() {
            Some(json) => indented(json),
            None => format!("{}, {} bytes", data.content_type(), data.bytes().len()),
        },
    };
    for line in data.lines() {
        let _ = writeln!(text, "{}", printable(line));
    }
    text
}
