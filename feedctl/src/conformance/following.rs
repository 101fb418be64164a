//! F, and R6: readers that say who they are, and what the server tells of them.

use chrono::DateTime;
use feed_core::{Cursor, SubscriptionName};
use serde_json::Value;

use super::kit::Kit;
use super::reply::{Reply, short};
use super::rule::{Fault, Rule, Verdict, rule, skipped};

pub(super) const RULES: &[Rule] = &[
    rule!("R6", May, "who follows the feed", list),
    rule!(
        "F1",
        Must,
        "the name of a subscription changes no answer",
        unchanged
    ),
    rule!("F2", May, "where a reader was seen", seen),
];

/// How the kit names itself.
const OURS: &str = "feedctl/conformance";
const HEADER: &str = "feed-subscription";
const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

/// What the server tells of those who follow.
///
/// # Errors
/// Skips when it does not.
async fn consumers(kit: &Kit) -> Result<(Reply, Value), Fault> {
    let reply = kit.get(&kit.below("consumers"), &[]).await?;
    if reply.status == 404 {
        return skipped(reply.said() + ": it is not offered");
    }
    let body = reply.expect(200)?.json()?;
    Ok((reply, body))
}

async fn list(kit: &Kit) -> Verdict {
    // So that there is one.
    kit.get(&kit.after("start"), &[JSON, (HEADER, OURS)])
        .await?;
    let (reply, body) = consumers(kit).await?;
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (feed, head) = (text(&body, "feed"), text(&body, "head"));
    reply.ensure(!feed.is_empty(), "there is no text `feed`")?;
    reply.ensure(
        head.parse::<Cursor>().is_ok(),
        format_args!("head {:?} is no cursor", short(&head)),
    )?;
    let entries = body.get("consumers").and_then(Value::as_array);
    let entries = entries.ok_or_else(|| reply.fault("there is no array `consumers`"))?;
    for entry in entries {
        let name = text(entry, "subscription");
        reply.ensure(
            SubscriptionName::new(name.clone()).is_ok(),
            format_args!("{:?} is no name of a subscription", short(&name)),
        )?;
        for number in ["position", "lag_events"] {
            let is_number = entry.get(number).is_some_and(Value::is_u64);
            reply.ensure(is_number, format_args!("{name} has no number `{number}`"))?;
        }
        let lag = entry.get("lag_seconds").and_then(Value::as_f64);
        reply.ensure(
            lag.is_some_and(|lag| lag >= 0.0),
            format_args!("{name} has no `lag_seconds` from 0 on"),
        )?;
        let seen = text(entry, "seen");
        reply.ensure(
            DateTime::parse_from_rfc3339(&seen).is_ok(),
            format_args!("seen {:?} is no time", short(&seen)),
        )?;
        let is_told = entry.get("waiting").is_some_and(Value::is_boolean);
        reply.ensure(is_told, format_args!("{name} has no `waiting`"))?;
    }
    let names: Vec<String> = entries
        .iter()
        .map(|one| text(one, "subscription"))
        .collect();
    let rises = names.windows(2).all(|pair| pair[0] < pair[1]);
    reply.ensure(rises, "they do not stand in the order of their names")?;
    Ok(format!("{} consumers", names.len()))
}

async fn unchanged(kit: &Kit) -> Verdict {
    // As long as the feed has an event, these stay the same while it grows.
    let mut urls = vec![kit.at(&[("after", "start"), ("limit", "1")])];
    urls.extend(kit.page_url(1, feed_core::Format::Json));
    for url in &urls {
        let without = kit.get(url, &[JSON]).await?;
        for name in [OURS, "No Such Name!", ""] {
            let with = kit.get(url, &[JSON, (HEADER, name)]).await?;
            with.expect(without.status)?;
            with.ensure(
                with.body == without.body,
                "its body is another one than without the name",
            )?;
        }
    }
    Ok(format!("{} URLs", urls.len()))
}

async fn seen(kit: &Kit) -> Verdict {
    let events = &kit.walk.events;
    let middle = events.len().checked_sub(1).map(|last| &events[last / 2]);
    let position = middle.map_or(0, |event| event.position.get());
    let after = middle.map_or("start".to_owned(), |event| event.cursor().to_string());
    let named = [JSON, (HEADER, OURS)];
    let asked = kit.get(&kit.after(&after), &named).await?;
    asked.ensure(asked.status < 400, "it was refused")?;
    let (reply, body) = consumers(kit).await?;
    let entries = body.get("consumers").and_then(Value::as_array);
    let ours = entries
        .into_iter()
        .flatten()
        .find(|entry| entry.get("subscription").and_then(Value::as_str) == Some(OURS));
    let Some(ours) = ours else {
        return skipped(format!(
            "{}: {OURS} is not there: perhaps another process was asked",
            reply.said()
        ));
    };
    let number = |name: &str| ours.get(name).and_then(Value::as_u64).unwrap_or(u64::MAX);
    reply.ensure(
        number("position") == position,
        format_args!(
            "position {}, but it asked after {position}",
            ours["position"]
        ),
    )?;
    let head = body.get("head").and_then(Value::as_str).unwrap_or_default();
    let head = head.parse::<Cursor>().map(|head| head.position.get());
    reply.ensure(
        head.is_ok_and(|head| number("lag_events") == head.saturating_sub(position)),
        format_args!(
            "lag_events {}, head {}, position {position}",
            ours["lag_events"], body["head"]
        ),
    )?;
    Ok(format!(
        "position {position}, {} events behind",
        ours["lag_events"]
    ))
}
