//! E and C: the events' attributes, and the running check.

use std::collections::{BTreeMap, HashSet};

use chrono::DateTime;
use feed_core::limits::{
    ATTRIBUTE_BYTES_MAX, EVENT_TYPE_BYTES_MAX, EXTENSION_NAME_BYTES_MAX, EXTENSIONS_MAX,
    SUBJECT_BYTES_MAX, VERSION_MAX,
};
use feed_core::{Check, Position};
use serde_json::{Map, Value};

use super::kit::Kit;
use super::reply::short;
use super::rule::{Fault, Rule, Verdict, failed, rule};

pub(super) const RULES: &[Rule] = &[
    rule!("E1", Must, "required attributes", required),
    rule!("E2", Must, "positions without holes", positions),
    rule!("E3", Must, "recorded does not go backwards", recorded),
    rule!("E4", Must, "versions of a subject", versions),
    rule!("E5", Must, "ids are unique", ids),
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
