//! Q: the filters.

use feed_core::Event;

use super::kit::Kit;
use super::rule::{Fault, Rule, Verdict, failed, rule};

pub(super) const RULES: &[Rule] = &[
    rule!("Q2", Must, "type and subject filter the tail", filters),
    rule!("Q3", Must, "next leads on when nothing matches", leads_on),
];

const JSON: &[(&str, &str)] = &[("accept", "application/cloudevents-batch+json")];

/// Most documents that one filter is followed over.
const DOCUMENTS_MAX: usize = 200;

/// Most events that one request looks at (Q3).
const LOOKED_AT_MAX: u64 = 10_000;

/// A type that no event has, but by a miracle.
pub(super) fn unheard_of() -> String {
    format!("feedctl.{:016x}", rand::random::<u64>())
}

type Parameters<'a> = Vec<(&'a str, &'a str)>;

/// The filtered events from the start up to where the walk came.
async fn follow(kit: &Kit, filter: &Parameters<'_>) -> Result<Vec<Event>, Fault> {
    let upto = kit
        .walk
        .events
        .last()
        .map_or(0, |event| event.position.get());
    let mut url = kit.at(&[&[("after", "start")], &filter[..]].concat());
    let mut found: Vec<Event> = Vec::new();
    let mut at = 0;
    for _ in 0..DOCUMENTS_MAX {
        let reply = kit.get(&url, JSON).await?;
        reply.expect(200)?;
        found.extend(reply.events()?);
        let next = reply.next_cursor()?.position.get();
        let last = found.last().map_or(0, |event| event.position.get());
        reply.ensure(
            next >= last,
            format_args!("next leads behind position {next}, the last event has {last}"),
        )?;
        reply.ensure(
            next <= at + LOOKED_AT_MAX,
            format_args!("next leads from position {at} to {next}: more than {LOOKED_AT_MAX} events were looked at"),
        )?;
        if next >= upto || reply.caught_up()? {
            reply.ensure(
                next >= upto,
                format_args!("Feed-Caught-Up is true at position {next}, before {upto}"),
            )?;
            found.retain(|event| event.position.get() <= upto);
            return Ok(found);
        }
        reply.ensure(
            next > at,
            format_args!("next does not lead on from position {at}"),
        )?;
        at = next;
        url = reply.need_link("next")?;
    }
    failed(format!(
        "{url}: not at position {upto} after {DOCUMENTS_MAX} documents"
    ))
}

async fn filters(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let (first, last) = (&events[0], &events[events.len() - 1]);
    let other = events
        .iter()
        .find(|event| event.event_type != first.event_type)
        .unwrap_or(last);
    let (type_1, type_2) = (first.event_type.as_str(), other.event_type.as_str());
    let (subject_1, subject_2) = (first.subject.as_str(), last.subject.as_str());
    let nothing = unheard_of();
    let filters: Vec<Parameters<'_>> = vec![
        vec![("type", type_1)],
        vec![("subject", subject_1)],
        vec![("type", type_1), ("type", type_2)],
        vec![("subject", subject_1), ("subject", subject_2)],
        vec![("type", type_2), ("subject", subject_2)],
        vec![("type", &nothing)],
        vec![("type", &nothing), ("type", type_1), ("subject", subject_1)],
    ];
    for filter in &filters {
        let wants = |name: &str, value: &str| {
            let mut asked = filter.iter().filter(|(found, _)| *found == name).peekable();
            asked.peek().is_none() || asked.any(|(_, asked)| *asked == value)
        };
        let expected: Vec<&Event> = events
            .iter()
            .filter(|event| {
                wants("type", event.event_type.as_str()) && wants("subject", event.subject.as_str())
            })
            .collect();
        let found = follow(kit, filter).await?;
        if !found.iter().eq(expected.iter().copied()) {
            return failed(format!(
                "{filter:?}: {} events up to position {}, expected {}, or others",
                found.len(),
                last.position,
                expected.len()
            ));
        }
    }
    let many: Vec<String> = (0..17).map(|number| format!("T{number}")).collect();
    for name in ["type", "subject"] {
        let most: Parameters<'_> = many[..16]
            .iter()
            .map(|value| (name, value.as_str()))
            .collect();
        kit.get(&kit.at(&[&[("after", "now")], &most[..]].concat()), JSON)
            .await?
            .expect(200)?;
        let too_many: Parameters<'_> = many.iter().map(|value| (name, value.as_str())).collect();
        kit.get(
            &kit.at(&[&[("after", "now")], &too_many[..]].concat()),
            JSON,
        )
        .await?
        .expect(400)?;
        // The head document is not filtered.
        kit.get(&kit.at(&[(name, "T")]), JSON)
            .await?
            .expect_problem(400, "parameter-conflict")?;
    }
    Ok(format!(
        "{} filters over {} events",
        filters.len(),
        events.len()
    ))
}

async fn leads_on(kit: &Kit) -> Verdict {
    let events = kit.need_events(2)?;
    let nothing = unheard_of();
    let found = follow(kit, &vec![("type", nothing.as_str())]).await?;
    if let Some(event) = found.first() {
        return failed(format!(
            "position {} matches the type {nothing}",
            event.position
        ));
    }
    // With a limit, next leads behind the last event that was taken, not behind those that were left out.
    let event_type = events[0].event_type.as_str();
    let filter = [("type", event_type), ("limit", "1")];
    let mut expected = events
        .iter()
        .filter(|event| event.event_type.as_str() == event_type);
    let mut url = kit.at(&[&[("after", "start")], &filter[..]].concat());
    for _ in 0..3 {
        let Some(event) = expected.next() else { break };
        let mut came = Vec::new();
        for _ in 0..DOCUMENTS_MAX {
            let reply = kit.get(&url, JSON).await?;
            came = reply.expect(200)?.positions()?;
            url = reply.need_link("next")?;
            if !came.is_empty() {
                break;
            }
        }
        if came != [event.position.get()] {
            return failed(format!(
                "positions {came:?} of {event_type} came, expected {}",
                event.position
            ));
        }
    }
    Ok(format!("over {} events that do not match", events.len()))
}
