//! Q: the parameters of a feed's own URL, but for the filters.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, SecondsFormat, Utc};
use feed_core::Format;

use super::kit::Kit;
use super::reply::{Reply, parameter};
use super::rule::{Fault, Rule, Verdict, rule};

pub(super) const RULES: &[Rule] = &[
    rule!("Q1", Must, "since", since),
    rule!("Q4", Must, "limit", limit),
    rule!("Q5", Must, "format goes before Accept", format),
    rule!("Q6", Must, "wait goes before Prefer", wait),
    rule!("Q7", Must, "the HTTP Feeds convention", http_feeds),
    rule!("Q8", Must, "links carry the parameters on", carried),
];

const JSON: &[(&str, &str)] = &[("accept", "application/cloudevents-batch+json")];
const ATOM: &[(&str, &str)] = &[("accept", "application/atom+xml")];

/// An answer that came within this time was not waited for, in milliseconds.
const AT_ONCE_MS_MAX: u64 = 5_000;

/// The position of its first event; 0 without any.
fn first_position(reply: &Reply) -> Result<u64, Fault> {
    Ok(reply.positions()?.first().copied().unwrap_or_default())
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

async fn since(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let middle = events[events.len() / 2].recorded;
    let midnight = middle.date_naive().and_time(NaiveTime::MIN).and_utc();
    let places = [
        (text(middle), middle),
        (text(events[0].recorded), events[0].recorded),
        (middle.date_naive().to_string(), midnight),
        ("2000-01-01T01:00:00+01:00".to_owned(), DateTime::UNIX_EPOCH),
    ];
    for (asked, time) in &places {
        let expected = events.iter().find(|event| event.recorded >= *time);
        let expected = expected.map_or(0, |event| event.position.get());
        let reply = kit.get(&kit.at(&[("since", asked)]), JSON).await?;
        reply.expect(200)?;
        let found = first_position(&reply)?;
        reply.ensure(
            found == expected,
            format_args!("it begins with position {found}, expected {expected}"),
        )?;
    }
    let before = kit.newest().await?;
    let reply = kit
        .get(&kit.at(&[("since", "9999-01-01T00:00:00Z")]), JSON)
        .await?;
    reply.expect(200)?;
    let first = first_position(&reply)?;
    reply.ensure(
        first == 0 || first > before.position.get(),
        format_args!("it begins with position {first}, expected nothing"),
    )?;
    let both = kit.at(&[("after", "start"), ("since", "2000-01-01")]);
    kit.get(&both, JSON)
        .await?
        .expect_problem(400, "parameter-conflict")?;
    kit.get(&kit.at(&[("since", "yesterday")]), JSON)
        .await?
        .expect_problem(400, "parameter-invalid")?;
    Ok(format!("{} times, as {}", places.len(), places[0].0))
}

async fn limit(kit: &Kit) -> Verdict {
    let events = kit.need_events(2)?;
    let reply = kit
        .get(&kit.at(&[("after", "start"), ("limit", "1")]), JSON)
        .await?;
    let positions = reply.expect(200)?.positions()?;
    reply.ensure(
        positions == [1],
        format_args!("positions {positions:?}, expected 1"),
    )?;
    let next = reply.need_link("next")?;
    let second = kit.get(&next, JSON).await?;
    let positions = second.expect(200)?.positions()?;
    second.ensure(
        positions == [2],
        format_args!("positions {positions:?}, expected 2"),
    )?;
    let newest = kit.get(&kit.at(&[("limit", "1")]), JSON).await?;
    let (positions, head) = (newest.expect(200)?.positions()?, newest.head()?);
    newest.ensure(
        positions == [head.position.get()],
        format_args!(
            "positions {positions:?}, expected the newest, {}",
            head.position
        ),
    )?;
    let most = kit
        .get(&kit.at(&[("after", "start"), ("limit", "10000")]), JSON)
        .await?;
    let count = most.expect(200)?.positions()?.len() as u64;
    let capacity = kit.capacity.unwrap_or(count);
    most.ensure(
        count <= capacity,
        format_args!("{count} events, a page has {capacity}"),
    )?;
    for wrong in ["0", "10001", "-1", "many", ""] {
        let reply = kit
            .get(&kit.at(&[("after", "start"), ("limit", wrong)]), JSON)
            .await?;
        reply.expect_problem(400, "parameter-invalid")?;
    }
    Ok(format!(
        "limit=1 of {} events, and wrong ones",
        events.len()
    ))
}

async fn format(kit: &Kit) -> Verdict {
    for (format, accept, media_type) in [
        ("atom", JSON, Format::Atom.media_type()),
        ("json", ATOM, Format::Json.media_type()),
        (
            "json",
            &[("accept", "text/html")],
            Format::Json.media_type(),
        ),
    ] {
        for url in [
            kit.at(&[("format", format)]),
            kit.at(&[("after", "now"), ("format", format)]),
        ] {
            let reply = kit.get(&url, accept).await?;
            reply.expect(200)?.expect_media_type(media_type)?;
        }
    }
    let stream = kit
        .stream(&kit.at(&[("after", "now"), ("format", "sse")]), JSON)
        .await?;
    drop(stream);
    for url in [
        kit.at(&[("format", "yaml")]),
        kit.at(&[("format", "binary")]),
    ] {
        kit.get(&url, JSON)
            .await?
            .expect_problem(400, "parameter-invalid")?;
    }
    let event = &kit.need_events(1)?[0];
    for (format, accept, media_type) in [
        ("atom", JSON, "application/atom+xml"),
        ("json", ATOM, "application/cloudevents+json"),
    ] {
        let mut url = kit.below(&format!("events/{}", event.id));
        url.set_query(Some(&format!("format={format}")));
        let reply = kit.get(&url, accept).await?;
        reply.expect(200)?.expect_media_type(media_type)?;
    }
    let mut binary = kit.below(&format!("events/{}", event.id));
    binary.set_query(Some("format=binary"));
    let reply = kit.get(&binary, JSON).await?;
    reply.expect(200)?;
    let id = reply.need("ce-id")?;
    reply.ensure(id == event.id.to_string(), format_args!("ce-id is {id:?}"))?;
    Ok("atom, json and sse of the feed; atom, json and binary of an event".to_owned())
}

async fn wait(kit: &Kit) -> Verdict {
    let url = kit.at(&[("after", "now"), ("wait", "0")]);
    let headers = [JSON, &[("prefer", "wait=20")]].concat();
    let longest = kit.timeout + Duration::from_secs(25);
    let reply = kit
        .request_within(reqwest::Method::GET, &url, &headers, longest)
        .await?;
    reply.expect(200)?;
    reply.ensure(
        reply.took < Duration::from_millis(AT_ONCE_MS_MAX),
        format_args!("it took {} ms", reply.took.as_millis()),
    )?;
    reply.ensure(
        reply.header("preference-applied").is_none(),
        "it says Preference-Applied, though the parameter goes before the preference",
    )?;
    for wrong in ["long", "-1", "1.5", ""] {
        let reply = kit
            .get(&kit.at(&[("after", "now"), ("wait", wrong)]), JSON)
            .await?;
        reply.expect_problem(400, "parameter-invalid")?;
    }
    // More than is allowed is no mistake; with something to send nobody waits.
    if !kit.walk.events.is_empty() {
        let reply = kit
            .get(&kit.at(&[("after", "0"), ("wait", "3600")]), JSON)
            .await?;
        reply.expect(200)?;
    }
    Ok(format!(
        "wait=0 with Prefer: wait=20 took {} ms",
        reply.took.as_millis()
    ))
}

async fn http_feeds(kit: &Kit) -> Verdict {
    let events = kit.need_events(2)?;
    let cursor = events[0].cursor().to_string();
    let id = events[0].id.to_string();
    for (parameters, expected) in [
        (vec![("lastEventId", "")], 1),
        (vec![("lastEventId", id.as_str())], 2),
        (vec![("lastEventId", cursor.as_str())], 2),
        (vec![("lastEventId", id.as_str()), ("after", "start")], 2),
        (vec![("timeout", "0")], 1),
        (vec![("lastEventId", id.as_str()), ("timeout", "50")], 2),
    ] {
        for headers in [&[][..], &[("accept", "*/*")]] {
            let reply = kit.get(&kit.at(&parameters), headers).await?;
            reply
                .expect(200)?
                .expect_media_type(Format::Json.media_type())?;
            let found = first_position(&reply)?;
            reply.ensure(
                found == expected,
                format_args!("it begins with position {found}, expected {expected}"),
            )?;
        }
    }
    let atom = kit.get(&kit.at(&[("lastEventId", "")]), ATOM).await?;
    atom.expect(200)?
        .expect_media_type(Format::Atom.media_type())?;
    kit.get(&kit.at(&[("lastEventId", "nonsense")]), JSON)
        .await?
        .expect_problem(400, "cursor-malformed")?;
    kit.get(&kit.at(&[("timeout", "long")]), JSON)
        .await?
        .expect_problem(400, "parameter-invalid")?;
    // The end is waited at, in milliseconds.
    let newest = kit.newest().await?.to_string();
    let reply = kit
        .get(
            &kit.at(&[("lastEventId", &newest), ("timeout", "300")]),
            JSON,
        )
        .await?;
    let waited = reply.took >= Duration::from_millis(250) || first_position(&reply)? > 0;
    reply.expect(200)?;
    reply.ensure(
        waited && reply.took < Duration::from_millis(AT_ONCE_MS_MAX),
        format_args!("it took {} ms", reply.took.as_millis()),
    )?;
    Ok(format!(
        "lastEventId and timeout; timeout=300 took {} ms",
        reply.took.as_millis()
    ))
}

async fn carried(kit: &Kit) -> Verdict {
    let event = &kit.need_events(1)?[0];
    let (event_type, subject) = (event.event_type.to_string(), event.subject.to_string());
    let asked = [
        ("type", event_type.as_str()),
        ("subject", subject.as_str()),
        ("limit", "1"),
        ("format", "json"),
    ];
    let reply = kit
        .get(&kit.at(&[&[("after", "start")], &asked[..]].concat()), ATOM)
        .await?;
    reply.expect(200)?;
    for relation in ["next", "self"] {
        let link = reply.need_link(relation)?;
        for (name, value) in asked {
            let found = parameter(&link, name);
            reply.ensure(
                found.as_deref() == Some(value),
                format_args!("rel={relation} has {name}={found:?}, expected {value:?}"),
            )?;
        }
    }
    let head = kit
        .get(&kit.at(&[("limit", "1"), ("format", "json")]), ATOM)
        .await?;
    let tail = head.expect(200)?.need_link("urn:feedway:rel:tail")?;
    for (name, value) in [("limit", "1"), ("format", "json")] {
        let found = parameter(&tail, name);
        head.ensure(
            found.as_deref() == Some(value),
            format_args!("rel=urn:feedway:rel:tail has {name}={found:?}, expected {value:?}"),
        )?;
    }
    Ok("next and self carry type, subject, limit and format".to_owned())
}
