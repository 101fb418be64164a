//! K: cursors.

use feed_core::{Cursor, Format};

use super::kit::Kit;
use super::rule::{Rule, Verdict, rule};

pub(super) const RULES: &[Rule] = &[
    rule!("K1", Must, "each cursor has exactly one text", one_text),
    rule!(
        "K3",
        Must,
        "a cursor names the same event for ever",
        for_ever,
        Last
    ),
    rule!(
        "K4",
        Must,
        "start, now, an event id and a bare position",
        also_taken
    ),
];

/// Cursors that are looked at again at the end.
const LOOKED_AT_MAX: usize = 8;

const JSON: &[(&str, &str)] = &[("accept", "application/cloudevents-batch+json")];

async fn one_text(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let first = &events[0];
    let now = kit.get(&kit.after("now"), JSON).await?;
    let head = now.expect(200)?.head()?;
    now.expect_header("feed-head", &head.to_string())?;
    // Before the first event: the feed's first epoch, and nothing else of it.
    let before = Cursor::start(first.epoch);
    let begin = kit.document(&kit.after(before), Format::Json).await?;
    begin.ensure(
        begin.positions()?.first() == Some(&1),
        "it does not begin with position 1",
    )?;
    let cursor = first.cursor();
    let (epoch, check) = (cursor.epoch.to_string(), cursor.check.to_string());
    let others = [
        format!("{epoch}.01.{check}"),
        format!("{epoch}.1.{check}."),
        format!("{epoch}.1"),
        format!("{epoch}.0.{check}"),
        format!("{}.1.{check}0", epoch),
        format!(" {cursor}"),
    ];
    let upper = cursor.to_string().to_uppercase();
    let others = others
        .into_iter()
        .chain(Some(upper).filter(|upper| *upper != cursor.to_string()));
    let mut refused = 0;
    for other in others {
        let reply = kit.get(&kit.after(&other), JSON).await?;
        reply.expect_problem(400, "cursor-malformed")?;
        refused += 1;
    }
    Ok(format!(
        "{cursor}; {refused} other spellings of it are refused"
    ))
}

async fn for_ever(kit: &Kit) -> Verdict {
    let events = kit.need_events(2)?;
    let step = events.len().div_ceil(LOOKED_AT_MAX);
    let mut looked_at = 0;
    for pair in events.windows(2).step_by(step) {
        let reply = kit
            .document(&kit.after(pair[0].cursor()), Format::Json)
            .await?;
        let found = reply.events()?;
        // A sealed page begins with what was seen already.
        let next = found.iter().find(|event| event.position > pair[0].position);
        reply.ensure(
            next == Some(&pair[1]),
            format_args!(
                "what follows is not the event at position {} that was seen before",
                pair[1].position
            ),
        )?;
        looked_at += 1;
    }
    Ok(format!(
        "{looked_at} cursors lead to the same events as at the beginning"
    ))
}

async fn also_taken(kit: &Kit) -> Verdict {
    let events = kit.need_events(2)?;
    let start = kit.document(&kit.after("start"), Format::Json).await?;
    start.ensure(
        start.events()?.first() == Some(&events[0]),
        "it does not begin with the first event",
    )?;
    let before = kit.newest().await?;
    let now = kit.get(&kit.after("now"), JSON).await?;
    now.expect(200)?;
    now.ensure(
        now.positions()?
            .iter()
            .all(|position| *position > before.position.get()),
        "now has events that were there before",
    )?;
    let id = kit.get(&kit.after(events[0].id), JSON).await?;
    id.expect(200)?;
    // Capacity 1: the page ends with the event, so the next one is the next document's.
    let next = id.events()?.into_iter().next();
    id.ensure(
        next.as_ref() == Some(&events[1]),
        format_args!("the event behind {} does not come first", events[0].id),
    )?;
    let bare = kit.get(&kit.after(1), JSON).await?;
    bare.expect(200)?;
    bare.ensure(
        bare.events()?.first() == Some(&events[1]),
        "behind position 1, position 2 does not come first",
    )?;
    Ok("all four are taken".to_owned())
}
