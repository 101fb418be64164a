//! R: the resources.

use chrono::DateTime;
use feed_core::{Cursor, Format, atom, json};
use serde_json::Value;

use super::kit::Kit;
use super::reply::short;
use super::rule::{Rule, Verdict, rule};

pub(super) const RULES: &[Rule] = &[
    rule!("R1", Must, "the list of feeds", list),
    rule!("R2", Must, "the head, newest first", head),
    rule!(
        "R3",
        Must,
        "the tail, oldest first, up to the page's end",
        tail
    ),
    rule!("R4", Must, "sealed pages", sealed),
    rule!("R5", Must, "one event", event),
];

/// Sealed pages, and events, that are looked at one by one.
const LOOKED_AT_MAX: usize = 4;

async fn list(kit: &Kit) -> Verdict {
    let reply = kit.get(&kit.list(), &[]).await?;
    reply.expect(200)?;
    let body = reply.json()?;
    let feeds = body.get("feeds").and_then(Value::as_array);
    let feeds = feeds.ok_or_else(|| reply.fault("there is no array `feeds`"))?;
    for feed in feeds {
        for name in ["name", "title", "href", "head", "updated"] {
            let is_text = feed.get(name).is_some_and(Value::is_string);
            reply.ensure(is_text, format_args!("a feed has no text `{name}`"))?;
        }
        for name in ["events", "sealed_pages", "page_capacity", "event_bytes_max"] {
            let is_number = feed.get(name).is_some_and(Value::is_u64);
            reply.ensure(is_number, format_args!("a feed has no number `{name}`"))?;
        }
        let text = |name: &str| feed.get(name).and_then(Value::as_str).unwrap_or_default();
        reply.ensure(
            text("head").parse::<Cursor>().is_ok(),
            format_args!("head {:?} is no cursor", short(text("head"))),
        )?;
        reply.ensure(
            DateTime::parse_from_rfc3339(text("updated")).is_ok(),
            format_args!("updated {:?} is no time", short(text("updated"))),
        )?;
    }
    let Some(ours) = &kit.listed else {
        return Err(reply.fault(format_args!(
            "no `href` of its {} feeds leads to this one",
            feeds.len()
        )));
    };
    Ok(format!(
        "{} feeds; this one holds {} events in a page",
        feeds.len(),
        ours["page_capacity"]
    ))
}

async fn head(kit: &Kit) -> Verdict {
    let reply = kit.document(&kit.feed, Format::Json).await?;
    let positions = reply.positions()?;
    let head = reply.head()?;
    let falls = positions.windows(2).all(|pair| pair[0] == pair[1] + 1);
    reply.ensure(falls, "the positions do not fall one by one")?;
    let newest = positions.first().copied().unwrap_or_default();
    reply.ensure(
        newest == head.position.get(),
        format_args!(
            "it begins with position {newest}, Feed-Head says {}",
            head.position
        ),
    )?;
    if let Some(capacity) = kit.capacity {
        let expected = capacity.min(head.position.get());
        reply.ensure(
            positions.len() as u64 == expected,
            format_args!("{} events, expected {expected}", positions.len()),
        )?;
    }
    kit.need_events(1)?;
    Ok(format!(
        "{} events from position {newest} on down",
        positions.len()
    ))
}

async fn tail(kit: &Kit) -> Verdict {
    if let Some(reason) = &kit.walk.broken {
        return Err(super::rule::Fault::Failed(format!(
            "following next from the start: {reason}"
        )));
    }
    let events = kit.need_events(1)?;
    let mut before = 0;
    for walked in &kit.walk.documents {
        let came = &events[walked.events.clone()];
        let rises = came
            .windows(2)
            .all(|pair| pair[0].position < pair[1].position);
        walked
            .reply
            .ensure(rises, "its events are not oldest first")?;
        let first = came
            .first()
            .map_or(before + 1, |event| event.position.get());
        walked.reply.ensure(
            first == before + 1,
            format_args!("it begins with position {first}, expected {}", before + 1),
        )?;
        before = came.last().map_or(before, |event| event.position.get());
        if walked.is_sealed() {
            walked.reply.ensure(
                kit.capacity.is_none_or(|capacity| before % capacity == 0),
                format_args!("a sealed page ends with position {before}"),
            )?;
            continue;
        }
        let (Some(capacity), Some(first), Some(last)) = (kit.capacity, came.first(), came.last())
        else {
            continue;
        };
        let page = |position: u64| (position.max(1) - 1) / capacity;
        walked.reply.ensure(
            page(first.position.get()) == page(last.position.get()),
            format_args!(
                "positions {} to {} are of two pages",
                first.position, last.position
            ),
        )?;
        let at_end = last.position.get() % capacity == 0;
        walked.reply.ensure(
            at_end || walked.reply.header("feed-caught-up") != Some("false"),
            format_args!(
                "it ends with position {} before the page's end",
                last.position
            ),
        )?;
    }
    // From the middle of a page on, a document has the rest of it.
    let middle = &events[events.len() / 2];
    let reply = kit
        .get(
            &kit.after(middle.cursor()),
            &[("accept", Format::Json.media_type())],
        )
        .await?;
    if reply.status == 200 {
        let first = reply.events()?.first().map(|event| event.position);
        reply.ensure(
            first.is_none() || first == middle.position.next(),
            format_args!(
                "position {:?} comes behind {}",
                first.unwrap_or_default().get(),
                middle.position
            ),
        )?;
    }
    Ok(format!(
        "{} documents with {} events",
        kit.walk.documents.len(),
        events.len()
    ))
}

async fn sealed(kit: &Kit) -> Verdict {
    let capacity = kit.need_sealed(1)?;
    let events = kit.need_events(1)?;
    let pages = kit.sealed_pages();
    let step = (pages as usize).div_ceil(LOOKED_AT_MAX);
    for page in (1..=pages).step_by(step) {
        let first = ((page - 1) * capacity) as usize;
        let expected = events
            .get(first..first + capacity as usize)
            .unwrap_or_default();
        for format in [Format::Atom, Format::Json] {
            let Some(url) = kit.page_url(page, format) else {
                continue;
            };
            let reply = kit.get(&url, &[]).await?;
            reply.expect(200)?.expect_media_type(format.media_type())?;
            reply.ensure(
                reply.events()? == expected,
                format_args!(
                    "it does not hold the events {} to {} as the walk met them",
                    first + 1,
                    first as u64 + capacity
                ),
            )?;
        }
    }
    Ok(format!("{pages} pages of {capacity}"))
}

async fn event(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let step = events.len().div_ceil(LOOKED_AT_MAX);
    for event in events.iter().step_by(step) {
        let url = kit.below(&format!("events/{}", event.id));
        for format in [Format::Atom, Format::Json] {
            let accept = format
                .event_media_type()
                .split(';')
                .next()
                .unwrap_or_default();
            let reply = kit.get(&url, &[("accept", accept)]).await?;
            reply.expect(200)?.expect_media_type(accept)?;
            let read = match format {
                Format::Atom => atom::read_entry(&reply.body),
                Format::Json => json::read_event(&reply.body),
            };
            let found = read.map_err(|error| reply.fault(error))?;
            reply.ensure(found == *event, "it is not the event that the tail has")?;
        }
    }
    Ok(format!(
        "{} of {} events",
        events.len().div_ceil(step),
        events.len()
    ))
}
