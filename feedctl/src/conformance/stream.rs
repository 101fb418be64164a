//! S: the event stream.

use std::time::{Duration, Instant};

use feed_core::{Cursor, Event, json};

use super::kit::Kit;
use super::reply::short;
use super::rule::{Fault, Rule, Verdict, rule};
use super::sse::{Block, Stream};

pub(super) const RULES: &[Rule] = &[
    rule!("S1", Must, "the event stream", events),
    rule!(
        "S2",
        Must,
        "a silent stream says where it is",
        heartbeat,
        Beside
    ),
    rule!(
        "S3",
        Must,
        "a wrong cursor is refused before the stream begins",
        wrong_cursors
    ),
    rule!("S5", Must, "line breaks in data are one LF", line_breaks),
];

/// Most events that one stream is read for.
const EVENTS_MAX: usize = 300;
/// How long the next event may take, in milliseconds.
const EVENT_MS_MAX: u64 = 10_000;
/// The longest silence (S2), and what a busy machine takes, in milliseconds.
const SILENCE_MS_MAX: u64 = 15_000 + 3_000;
/// A cursor that comes after so much silence comes because of it, in milliseconds.
const SILENCE_MS_MIN: u64 = 3_000;
/// So many cursors without an event come because of silence, however short it is.
const BEATS_MIN: u32 = 3;

/// The next events of a stream, with their cursors as ids.
async fn read(kit: &Kit, stream: &mut Stream, count: usize) -> Result<Vec<(Block, Event)>, Fault> {
    let mut events = Vec::new();
    while events.len() < count {
        let block = stream
            .next_event(kit, Duration::from_millis(EVENT_MS_MAX))
            .await?;
        let data = block.data.as_deref().unwrap_or_default();
        let event = json::read_event(data.as_bytes()).map_err(|error| stream.reply.fault(error))?;
        let cursor = event.cursor().to_string();
        stream.reply.ensure(
            block.id.as_deref() == Some(cursor.as_str()),
            format_args!(
                "position {} has the id {:?}, expected {cursor}",
                event.position, block.id
            ),
        )?;
        events.push((block, event));
    }
    Ok(events)
}

/// Fails unless these are the events of the feed from `first` on.
fn expect(stream: &Stream, found: &[(Block, Event)], expected: &[Event]) -> Result<(), Fault> {
    for ((_, found), expected) in found.iter().zip(expected) {
        let same = Event {
            data: None,
            ..found.clone()
        } == Event {
            data: None,
            ..expected.clone()
        };
        stream.reply.ensure(
            same,
            format_args!(
                "position {} came, expected {}, or it is not the event of the tail",
                found.position, expected.position
            ),
        )?;
    }
    Ok(())
}

async fn events(kit: &Kit) -> Verdict {
    let all = kit.need_events(2)?;
    let upto = all.len().min(EVENTS_MAX);
    let mut stream = kit.stream(&kit.after("start"), &[]).await?;
    let found = read(kit, &mut stream, upto).await?;
    expect(&stream, &found, &all[..upto])?;
    // What a reader who connects again has seen goes before what its URL says.
    let seen = all[0].cursor().to_string();
    let mut again = kit
        .stream(&kit.after("start"), &[("last-event-id", &seen)])
        .await?;
    let found = read(kit, &mut again, 1).await?;
    expect(&again, &found, &all[1..])?;
    let mut feeds = kit.stream(&kit.at(&[("lastEventId", &seen)]), &[]).await?;
    let found = read(kit, &mut feeds, 1).await?;
    expect(&feeds, &found, &all[1..])?;
    let mut filtered = kit.at(&[("after", "start"), ("type", all[1].event_type.as_str())]);
    filtered
        .query_pairs_mut()
        .append_pair("subject", all[1].subject.as_str());
    let mut filtered = kit.stream(&filtered, &[]).await?;
    let found = read(kit, &mut filtered, 1).await?;
    let wanted =
        |event: &&Event| event.event_type == all[1].event_type && event.subject == all[1].subject;
    let expected: Vec<Event> = all.iter().filter(wanted).take(1).cloned().collect();
    expect(&filtered, &found, &expected)?;
    kit.need_append()?;
    let before = kit.newest().await?;
    let mut now = kit.stream(&kit.feed, &[]).await?;
    // Its beginning says that it is there.
    now.next(kit, kit.timeout).await?;
    kit.append().await?;
    let found = read(kit, &mut now, 1).await?;
    now.reply.ensure(
        found
            .iter()
            .all(|(_, event)| event.position > before.position),
        "without a cursor it does not begin at the newest event",
    )?;
    Ok(format!("{upto} events from the start, and one as it came"))
}

async fn heartbeat(kit: &Kit) -> Verdict {
    // A type that no event has: silence, whatever the others append.
    let nothing = super::filters::unheard_of();
    let url = kit.at(&[("after", "start"), ("type", &nothing)]);
    let begun = Instant::now();
    let mut stream = kit.stream(&url, &[]).await?;
    let opening = stream
        .next(kit, Duration::from_millis(SILENCE_MS_MAX))
        .await?;
    let opening = opening.ok_or_else(|| stream.reply.fault("nothing came"))?;
    let retry = opening.retry.as_deref();
    stream.reply.ensure(
        retry.is_some_and(|retry| !retry.is_empty() && retry.bytes().all(|b| b.is_ascii_digit())),
        format_args!("it does not begin with retry: {retry:?}"),
    )?;
    let walked = kit
        .walk
        .events
        .last()
        .map_or(0, |event| event.position.get());
    let mut beats = 0;
    let mut at = None;
    let mut quiet_since = Instant::now();
    let mut longest = Duration::ZERO;
    // The first cursor may only say how far the server has looked: one has to come after a silence.
    let enough = |beats: u32, longest: Duration, at: Option<Cursor>| {
        let silent = beats >= BEATS_MIN || longest >= Duration::from_millis(SILENCE_MS_MIN);
        silent && at.is_some_and(|at| at.position.get() >= walked)
    };
    while !enough(beats, longest, at) {
        let left = Duration::from_millis(SILENCE_MS_MAX).saturating_sub(quiet_since.elapsed());
        let Some(block) = stream.next(kit, left).await? else {
            return Err(stream.reply.fault(format_args!(
                "no cursor came within {} s; the last one is {}",
                SILENCE_MS_MAX / 1_000,
                at.map_or("none".to_owned(), |at| at.to_string())
            )));
        };
        stream.reply.ensure(
            block.data.is_none(),
            "an event came that the filter leaves out",
        )?;
        // A comment keeps a connection alive; where the stream is, it does not say.
        if let Some(id) = &block.id {
            let cursor = id.parse::<Cursor>();
            at = Some(cursor.map_err(|error| {
                stream
                    .reply
                    .fault(format_args!("id {:?}: {error}", short(id)))
            })?);
            longest = longest.max(quiet_since.elapsed());
            quiet_since = Instant::now();
            beats += 1;
        }
        if begun.elapsed() > Duration::from_millis(3 * SILENCE_MS_MAX) {
            return Err(stream
                .reply
                .fault("its cursor does not come to the newest event"));
        }
    }
    Ok(format!(
        "silent for {} ms at most, then its cursor",
        longest.as_millis()
    ))
}

async fn wrong_cursors(kit: &Kit) -> Verdict {
    let stream = [("accept", "text/event-stream")];
    kit.get(&kit.after("nonsense"), &stream)
        .await?
        .expect_problem(400, "cursor-malformed")?;
    let header = [stream[0], ("last-event-id", "nonsense")];
    kit.get(&kit.feed, &header)
        .await?
        .expect_problem(400, "cursor-malformed")?;
    let other = "ffffffffffffffff.1.000000000000";
    kit.get(&kit.after(other), &stream)
        .await?
        .expect_problem(409, "epoch-unknown")?;
    let header = [stream[0], ("last-event-id", other)];
    kit.get(&kit.feed, &header)
        .await?
        .expect_problem(409, "epoch-unknown")?;
    Ok("as parameter and as Last-Event-ID".to_owned())
}

async fn line_breaks(kit: &Kit) -> Verdict {
    let all = kit.need_events(1)?;
    let upto = all.len().min(EVENTS_MAX);
    let mut stream = kit.stream(&kit.after("start"), &[]).await?;
    let found = read(kit, &mut stream, upto).await?;
    let mut broken = 0;
    for ((_, found), expected) in found.iter().zip(all) {
        let bytes = |event: &Event| event.data.as_ref().map(|data| data.bytes().to_vec());
        let expected = match &expected.data {
            Some(data) if data.is_json() => {
                let text = String::from_utf8_lossy(data.bytes());
                broken += usize::from(text.contains(['\n', '\r']));
                Some(text.replace("\r\n", "\n").replace('\r', "\n").into_bytes())
            }
            _ => bytes(expected),
        };
        stream.reply.ensure(
            bytes(found) == expected,
            format_args!(
                "the data of position {} is not that of the tail",
                found.position
            ),
        )?;
    }
    Ok(format!("data of {upto} events, {broken} with line breaks"))
}
