//! E and C: the events themselves, and the running check.

use std::collections::{BTreeMap, HashSet};

use chrono::DateTime;
use feed_core::limits::{
    ATTRIBUTE_BYTES_MAX, EVENT_TYPE_BYTES_MAX, EXTENSION_NAME_BYTES_MAX, EXTENSIONS_MAX,
    SUBJECT_BYTES_MAX, VERSION_MAX,
};
use feed_core::{Check, Event, Format, Position};
use serde_json::{Map, Value};

use super::kit::Kit;
use super::reply::{Reply, short};
use super::rule::{Fault, Rule, Verdict, failed, rule};
use super::xml;

pub(super) const RULES: &[Rule] = &[
    rule!("E1", Must, "required attributes", required),
    rule!("E2", Must, "positions without holes", positions),
    rule!("E3", Must, "recorded does not go backwards", recorded),
    rule!("E4", Must, "versions of a subject", versions),
    rule!("E5", Must, "ids are unique", ids),
    rule!("E6", Must, "data stands nowhere else", elsewhere),
    rule!("E7", Must, "data is the same in every representation", data),
    rule!("E8", Must, "names and values keep their limits", limits),
    rule!("C1", Must, "the running check", check),
];

/// The attributes that every event has (E1).
const REQUIRED: [&str; 11] = [
    "id",
    "source",
    "type",
    "subject",
    "time",
    "specversion",
    "sequence",
    "epoch",
    "check",
    "recorded",
    "version",
];

/// What is no extension attribute, beside [`REQUIRED`].
const KNOWN: [&str; 7] = [
    "datacontenttype",
    "dataschema",
    "traceparent",
    "causationid",
    "correlationid",
    "data",
    "data_base64",
];

/// Shortest text in the data that is looked for elsewhere, in bytes: shorter ones stand there by chance.
const TELLING_BYTES_MIN: usize = 8;
/// Documents that are fetched in every representation.
const COMPARED_MAX: usize = 5;

/// An event as it stands in a JSON document, before anything is believed of it.
pub(super) struct Raw {
    pub(super) at: String,
    pub(super) members: Map<String, Value>,
}

impl Raw {
    fn fault<T>(&self, seen: impl std::fmt::Display) -> Result<T, Fault> {
        failed(format!("{}: {seen}", self.at))
    }

    fn text(&self, name: &str) -> Result<&str, Fault> {
        match self.members.get(name) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => self.fault(format_args!(
                "{name} is {}, no text",
                short(&other.to_string())
            )),
            None => self.fault(format_args!("there is no {name}")),
        }
    }

    fn is_extension(name: &str) -> bool {
        !REQUIRED.contains(&name) && !KNOWN.contains(&name)
    }
}

/// All events of the walk, raw.
///
/// # Errors
/// Skips when there is none; fails when a document is no array of objects.
pub(super) fn raw_events(kit: &Kit) -> Result<Vec<Raw>, Fault> {
    let mut raws = Vec::new();
    for document in &kit.walk.documents {
        let reply = &document.reply;
        let Value::Array(items) = reply.json()? else {
            return Err(reply.fault("the body is no JSON array"));
        };
        for (index, item) in items.into_iter().enumerate() {
            let at = format!("{}, event number {index}", reply.request);
            match item {
                Value::Object(members) => raws.push(Raw { at, members }),
                other => return failed(format!("{at}: {} is no event", short(&other.to_string()))),
            }
        }
    }
    if raws.is_empty() {
        kit.need_events(1)?;
    }
    Ok(raws)
}

async fn required(kit: &Kit) -> Verdict {
    let raws = raw_events(kit)?;
    for raw in &raws {
        for name in REQUIRED.iter().filter(|name| **name != "version") {
            raw.text(name)?;
        }
        if raw.text("specversion")? != "1.0" {
            return raw.fault(format_args!(
                "specversion is {:?}",
                short(raw.text("specversion")?)
            ));
        }
        let id = raw.text("id")?;
        if id.len() != 36 || uuid::Uuid::try_parse(id).is_err() {
            return raw.fault(format_args!(
                "id {:?} is no UUID in its 36-character form",
                short(id)
            ));
        }
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        for (name, digits) in [("epoch", 16), ("check", 12)] {
            let text = raw.text(name)?;
            if !is_hex(text, digits) {
                return raw.fault(format_args!(
                    "{name} {:?} is not {digits} lowercase hex digits",
                    short(text)
                ));
            }
        }
        match raw.members.get("version") {
            Some(Value::Number(number)) if number.as_u64().is_some_and(|n| n > 0) => {}
            Some(other) => {
                return raw.fault(format_args!("version is {}", short(&other.to_string())));
            }
            None => return raw.fault("there is no version"),
        }
    }
    Ok(format!("{} events", raws.len()))
}

async fn positions(kit: &Kit) -> Verdict {
    let raws = raw_events(kit)?;
    for (expected, raw) in (1_u64..).zip(&raws) {
        let sequence = raw.text("sequence")?;
        if sequence.len() != 20 || !sequence.bytes().all(|b| b.is_ascii_digit()) {
            return raw.fault(format_args!(
                "sequence {:?} is not 20 digits",
                short(sequence)
            ));
        }
        let position = sequence
            .parse()
            .ok()
            .and_then(|position| Position::new(position).ok());
        match position {
            None => return raw.fault(format_args!("sequence {sequence} is not below 2^40")),
            Some(position) if position.get() != expected => {
                return raw.fault(format_args!(
                    "position {position} came where {expected} was expected"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(format!("positions 1 to {}", raws.len()))
}

async fn recorded(kit: &Kit) -> Verdict {
    let raws = raw_events(kit)?;
    let mut before = None;
    for raw in &raws {
        for name in ["time", "recorded"] {
            let text = raw.text(name)?;
            let time = DateTime::parse_from_rfc3339(text);
            let Some(time) = time
                .ok()
                .filter(|time| time.offset().local_minus_utc() == 0)
            else {
                return raw.fault(format_args!(
                    "{name} {:?} is not RFC 3339 in UTC",
                    short(text)
                ));
            };
            if name == "recorded" {
                if before.is_some_and(|before| time < before) {
                    return raw.fault(format_args!(
                        "recorded {text} is before that of the event before"
                    ));
                }
                before = Some(time);
            }
        }
    }
    Ok(format!(
        "{} events, the last one recorded {}",
        raws.len(),
        before.unwrap_or_default()
    ))
}

async fn versions(kit: &Kit) -> Verdict {
    let raws = raw_events(kit)?;
    let mut subjects = BTreeMap::new();
    for raw in &raws {
        let version = raw
            .members
            .get("version")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let last = subjects.entry(raw.text("subject")?).or_insert(0_u64);
        if version != *last + 1 || version > u64::from(VERSION_MAX) {
            return raw.fault(format_args!(
                "version {version} of its subject came after {last}"
            ));
        }
        *last = version;
    }
    let most = subjects.values().max().copied().unwrap_or_default();
    Ok(format!(
        "{} subjects, {most} versions at most",
        subjects.len()
    ))
}

async fn ids(kit: &Kit) -> Verdict {
    let raws = raw_events(kit)?;
    let mut seen = HashSet::new();
    for raw in &raws {
        let id = raw.text("id")?;
        if !seen.insert(id.to_ascii_lowercase()) {
            return raw.fault(format_args!("id {} is there twice", short(id)));
        }
    }
    Ok(format!("{} ids", seen.len()))
}

/// Texts in JSON data that stand in no attribute of the event, so that they can have come from nowhere else.
fn telling(kit: &Kit, event: &Event) -> Vec<String> {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::String(text) if text.len() >= TELLING_BYTES_MIN => texts.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
            Value::Object(members) => members.values().for_each(|member| collect(member, texts)),
            _ => {}
        }
    }
    let mut texts = Vec::new();
    let data = event.data.as_ref().and_then(|data| data.json_text());
    if let Some(value) = data.and_then(|text| serde_json::from_str(text).ok()) {
        collect(&value, &mut texts);
    }
    let bare = Event {
        data: None,
        ..event.clone()
    };
    let attributes = format!("{bare:?} {} {} {}", event.id, event.time, kit.feed);
    texts.retain(|text| !attributes.contains(text.as_str()));
    texts
}

async fn elsewhere(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let with_data: Vec<&Event> = events
        .iter()
        .filter(|event| !telling(kit, event).is_empty())
        .collect();
    let mut looked_for = 0;
    for event in with_data.iter().take(COMPARED_MAX) {
        let texts = telling(kit, event);
        looked_for += texts.len();
        let url = kit.below(&format!("events/{}", event.id));
        for accept in ["application/atom+xml", "application/cloudevents+json"] {
            let reply = kit.get(&url, &[("accept", accept)]).await?;
            reply.expect(200)?;
            nowhere_in_headers(&reply, &texts)?;
            if accept == "application/atom+xml" {
                let entry = xml::parse(&reply.body).map_err(|error| reply.fault(error))?;
                for part in entry.children.iter().filter(|part| part.name != "content") {
                    let told = format!("{:?}", (&part.text, &part.attributes, &part.children));
                    if let Some(text) = texts.iter().find(|text| told.contains(text.as_str())) {
                        return Err(reply.fault(format_args!(
                            "<{}> shows the data's {:?}",
                            part.name,
                            short(text)
                        )));
                    }
                }
            }
        }
    }
    for document in &kit.walk.documents {
        let texts: Vec<String> = events[document.events.clone()]
            .iter()
            .flat_map(|event| telling(kit, event))
            .collect();
        nowhere_in_headers(&document.reply, &texts)?;
    }
    Ok(format!(
        "{looked_for} texts of {} events' data, looked for in titles, links and headers",
        with_data.len().min(COMPARED_MAX)
    ))
}

fn nowhere_in_headers(reply: &Reply, texts: &[String]) -> Result<(), Fault> {
    for (name, value) in &reply.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if let Some(text) = texts.iter().find(|text| value.contains(text.as_str())) {
            return Err(reply.fault(format_args!(
                "the header {name} shows the data's {:?}",
                short(text)
            )));
        }
    }
    Ok(())
}

async fn data(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let mut compared = 0;
    for document in kit
        .walk
        .documents
        .iter()
        .filter(|document| !document.events.is_empty())
        .take(COMPARED_MAX)
    {
        let expected = &events[document.events.clone()];
        let url = match document.is_sealed() {
            true => document
                .reply
                .url
                .as_str()
                .replace(".json", ".atom")
                .parse()
                .unwrap_or(document.reply.url.clone()),
            false => document.reply.url.clone(),
        };
        let reply = kit.document(&url, Format::Atom).await?;
        reply.expect_media_type(Format::Atom.media_type())?;
        let found = reply.events()?;
        // The open page may have grown since.
        for (expected, found) in expected.iter().zip(&found) {
            reply.ensure(
                expected == found,
                format_args!(
                    "position {} is not the event that it is in JSON",
                    expected.position
                ),
            )?;
        }
        reply.ensure(
            found.len() >= expected.len(),
            format_args!("{} events, in JSON {}", found.len(), expected.len()),
        )?;
        compared += expected.len();
    }
    for event in events
        .iter()
        .filter(|event| event.data.is_some())
        .take(COMPARED_MAX)
    {
        let Some(data) = &event.data else { continue };
        let mut url = kit.below(&format!("events/{}", event.id));
        url.set_query(Some("format=binary"));
        let reply = kit.get(&url, &[]).await?;
        reply.expect(200)?;
        reply.ensure(
            reply.body == data.bytes(),
            format_args!(
                "{} bytes of data, in the batch {}, or not the same",
                reply.body.len(),
                data.bytes().len()
            ),
        )?;
    }
    Ok(format!("{compared} events in JSON and Atom"))
}

async fn limits(kit: &Kit) -> Verdict {
    let raws = raw_events(kit)?;
    let is_noncharacter = |c: char| {
        matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff) || ('\u{fdd0}'..='\u{fdef}').contains(&c)
    };
    let is_string = |text: &str| {
        (1..=ATTRIBUTE_BYTES_MAX).contains(&text.len())
            && !text.chars().any(|c| c.is_control() || is_noncharacter(c))
    };
    for raw in &raws {
        for (name, max) in [
            ("subject", SUBJECT_BYTES_MAX),
            ("type", EVENT_TYPE_BYTES_MAX),
        ] {
            let text = raw.text(name)?;
            if text.is_empty() || text.len() > max || !text.bytes().all(|b| b.is_ascii_graphic()) {
                return raw.fault(format_args!(
                    "{name} {:?} is not visible ASCII of 1 to {max} bytes",
                    short(text)
                ));
            }
        }
        let mut extensions = 0;
        for (name, value) in &raw.members {
            if name == "data" || name == "data_base64" || value.is_null() {
                continue;
            }
            if Raw::is_extension(name) {
                extensions += 1;
                let is_name = (1..=EXTENSION_NAME_BYTES_MAX).contains(&name.len())
                    && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
                if !is_name {
                    return raw.fault(format_args!("{:?} is no name of an attribute", short(name)));
                }
            }
            let holds = match value {
                Value::String(text) => is_string(text),
                Value::Number(number) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                Value::Bool(_) => true,
                Value::Null | Value::Array(_) | Value::Object(_) => false,
            };
            if !holds {
                return raw.fault(format_args!(
                    "{name} is {}, beyond its limits",
                    short(&value.to_string())
                ));
            }
        }
        if extensions > EXTENSIONS_MAX {
            return raw.fault(format_args!("{extensions} extension attributes"));
        }
    }
    Ok(format!("{} events", raws.len()))
}

async fn check(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let mut check = Check::START;
    for event in events {
        check = check.next(event.id);
        if event.check != check {
            return failed(format!(
                "position {}: check {}, computed {check} from the id {} and the check before",
                event.position, event.check, event.id
            ));
        }
    }
    Ok(format!("computed up to position {}: {check}", events.len()))
}
