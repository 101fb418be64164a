//! J: CloudEvents JSON, and the binary mode.

use feed_core::{Event, Format, json};
use serde_json::Value;

use super::events::{Raw, raw_events};
use super::kit::Kit;
use super::reply::{Reply, short};
use super::rule::{Fault, Rule, Verdict, failed, rule};

pub(super) const RULES: &[Rule] = &[
    rule!(
        "J1",
        Must,
        "a batch is an array in the document's order",
        batch
    ),
    rule!(
        "J2",
        Must,
        "JSON data in data, other data in data_base64",
        data
    ),
    rule!("J3", Must, "binary mode", binary),
];

/// Events that are asked for one by one.
const EVENTS_MAX: usize = 5;

async fn batch(kit: &Kit) -> Verdict {
    let head = kit.document(&kit.feed, Format::Json).await?;
    let tail = kit
        .get(&kit.after("now"), &[("accept", Format::Json.media_type())])
        .await?;
    let walked = kit.walk.documents.iter().map(|walked| &walked.reply);
    let mut count = 0;
    for reply in [&head, &tail].into_iter().chain(walked) {
        reply.expect_media_type(Format::Json.media_type())?;
        reply.ensure(reply.json()?.is_array(), "the body is no JSON array")?;
        let positions = reply.positions()?;
        let rises = positions.windows(2).all(|pair| pair[0] < pair[1]);
        let falls = positions.windows(2).all(|pair| pair[0] > pair[1]);
        reply.ensure(
            if std::ptr::eq(reply, &head) {
                falls
            } else {
                rises
            },
            "the events are not in the document's order",
        )?;
        count += 1;
    }
    kit.need_events(1)?;
    Ok(format!("{count} documents"))
}

/// Whether a media type says JSON (RFC 6839, section 3.1); without one, it is JSON.
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return true;
    };
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || (essence.ends_with("+json") && essence.len() > 5)
}

async fn data(kit: &Kit) -> Verdict {
    let raws = raw_events(kit)?;
    let (mut texts, mut base64) = (0, 0);
    for raw in &raws {
        let Raw { at, members } = raw;
        let content_type = members.get("datacontenttype").and_then(Value::as_str);
        let encoded = members.get("data_base64").filter(|value| !value.is_null());
        match (members.contains_key("data"), encoded) {
            (true, Some(_)) => return failed(format!("{at}: both data and data_base64")),
            (true, None) if is_json(content_type) => texts += 1,
            (true, None) => {
                return failed(format!(
                    "{at}: {content_type:?} stands in data, expected data_base64"
                ));
            }
            (false, Some(_)) if is_json(content_type) => {
                return failed(format!("{at}: JSON stands in data_base64, expected data"));
            }
            (false, Some(Value::String(_))) => base64 += 1,
            (false, Some(_)) => return failed(format!("{at}: data_base64 is no text")),
            (false, None) => {}
        }
    }
    for event in some_with_data(kit)? {
        let reply = one(kit, event, &[("accept", "application/cloudevents+json")]).await?;
        let found = json::read_event(&reply.body).map_err(|error| reply.fault(error))?;
        reply.ensure(
            found.data == event.data,
            "the data is not, byte for byte, that of the batch",
        )?;
    }
    Ok(format!("{texts} with JSON, {base64} in Base64"))
}

async fn one(kit: &Kit, event: &Event, headers: &[(&str, &str)]) -> Result<Reply, Fault> {
    let reply = kit
        .get(&kit.below(&format!("events/{}", event.id)), headers)
        .await?;
    reply.expect(200)?;
    Ok(reply)
}

/// A few events of each media type, and with extension attributes.
fn some_with_data(kit: &Kit) -> Result<Vec<&Event>, Fault> {
    let events = kit.need_events(1)?;
    let mut some: Vec<&Event> = Vec::new();
    let kind = |event: &Event| {
        (
            event
                .data
                .as_ref()
                .map(|data| data.content_type().to_owned()),
            event.extensions.is_empty(),
        )
    };
    for event in events {
        if some.len() < EVENTS_MAX && !some.iter().any(|other| kind(other) == kind(event)) {
            some.push(event);
        }
    }
    Ok(some)
}

async fn binary(kit: &Kit) -> Verdict {
    let raws = raw_events(kit)?;
    let mut headers = 0;
    let some = some_with_data(kit)?;
    for event in &some {
        let mut url = kit.below(&format!("events/{}", event.id));
        url.set_query(Some("format=binary"));
        let reply = kit.get(&url, &[]).await?;
        reply.expect(200)?;
        let body = event.data.as_ref().map_or(&[][..], |data| data.bytes());
        reply.ensure(reply.body == body, "the body is not the event's data")?;
        if let Some(data) = &event.data {
            reply.expect_header("content-type", data.content_type())?;
        }
        let id = event.id.to_string();
        let raw = raws
            .iter()
            .find(|raw| raw.members.get("id").and_then(Value::as_str) == Some(id.as_str()));
        let Some(raw) = raw else { continue };
        for (name, value) in &raw.members {
            if ["data", "data_base64", "datacontenttype"].contains(&name.as_str())
                || value.is_null()
            {
                continue;
            }
            let expected = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let found = decoded(reply.need(&format!("ce-{name}"))?);
            reply.ensure(
                found.as_deref() == Some(expected.as_str()),
                format_args!(
                    "ce-{name} is {:?}, expected {:?}",
                    found.as_deref().map(short),
                    short(&expected)
                ),
            )?;
            headers += 1;
        }
    }
    Ok(format!("{} events, {headers} ce- headers", some.len()))
}

/// A header of the CloudEvents HTTP binding (3.1.3.2) without its percent-encoding; none when that is broken.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_decoded() {
        assert_eq!(decoded("Zo%C3%ab%20%25").as_deref(), Some("Zoë %"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }

    #[test]
    fn media_types_say_whether_they_are_json() {
        for json in [
            None,
            Some("application/json"),
            Some("Application/JSON; charset=utf-8"),
            Some("a/b+json"),
        ] {
            assert!(is_json(json), "{json:?}");
        }
        for other in ["text/json", "application/jsonl", "image/png", "+json"] {
            assert!(!is_json(Some(other)), "{other}");
        }
    }
}
