//! JSON into events, with every attribute checked.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::StrRead;
use serde_json::value::RawValue;

use super::scalar::Scalar;
use super::{FORMAT, SPEC_VERSION, ours};
use crate::document::DocumentError;
use crate::event::{Attribute, Data, Event, Extension, Partial};
use crate::limits::{DOCUMENT_EVENTS_MAX, EXTENSIONS_MAX};

/// Members of an event beside its extensions: 14 attributes, `specversion`, and three for the data.
const MEMBERS_MAX: usize = 18 + EXTENSIONS_MAX;

/// Media type of data that says none (CloudEvents JSON format, section 3.1.1).
pub(super) const CONTENT_TYPE_DEFAULT: &str = "application/json";

/// Reads a batch (CloudEvents 1.0 JSON format, section 4).
///
/// Unknown members are extensions; `null` is the same as absent (section 2.2), except as `data`, where it is the
/// JSON text `null`. A `datacontenttype` without data is dropped.
///
/// # Errors
/// When the bytes are not a JSON array in UTF-8 without a byte order mark, an event in it is not valid, or there
/// are more than [`DOCUMENT_EVENTS_MAX`].
pub fn read_batch(bytes: &[u8]) -> Result<Vec<Event>, DocumentError> {
    read_batch_shared(&Bytes::copy_from_slice(bytes))
}

/// Reads a batch as [`read_batch`] does. The JSON data of its events is a part of `bytes` where it can be, and not a copy.
///
/// # Errors
/// As [`read_batch`].
pub fn read_batch_shared(bytes: &Bytes) -> Result<Vec<Event>, DocumentError> {
    match ours::read_batch(bytes) {
        Some(events) => Ok(events),
        None => read_any_batch(bytes),
    }
}

/// Reads a batch however it is laid out.
pub(super) fn read_any_batch(bytes: &[u8]) -> Result<Vec<Event>, DocumentError> {
    read(bytes, |json, progress| {
        json.deserialize_seq(Batch { progress })
    })
}

/// Reads one event in structured mode (CloudEvents 1.0 JSON format, section 3), by the rules of [`read_batch`].
///
/// ```
/// let event = feed_core::json::read_event(br#"{
///     "specversion": "1.0", "id": "0190b6e2-1111-7000-8000-000000000001", "source": "/lamp-svc/lamps",
///     "type": "Lit", "subject": "lamp-7", "time": "2026-01-02T03:04:05Z", "sequence": "00000000000000000001",
///     "epoch": "0123456789abcdef", "check": "85d46803c40a", "recorded": "2026-01-02T03:04:05Z", "version": 1,
///     "data": { "lamp_id": 7 }
/// }"#)?;
/// assert_eq!(event.cursor().to_string(), "0123456789abcdef.1.85d46803c40a");
/// assert_eq!(event.data.as_ref().and_then(|data| data.json_text()), Some("{ \"lamp_id\": 7 }"));
/// # Ok::<(), feed_core::DocumentError>(())
/// ```
///
/// # Errors
/// When the bytes are not a JSON object in UTF-8 without a byte order mark, or the event is not valid.
pub fn read_event(bytes: &[u8]) -> Result<Event, DocumentError> {
    read(bytes, |json, progress| {
        progress.index = Some(0);
        let event = One.deserialize(json)?;
        progress.index = None;
        Ok(event)
    })
}

type Json<'de> = serde_json::Deserializer<StrRead<'de>>;

fn read<'de, T>(
    bytes: &'de [u8],
    parse: impl FnOnce(&mut Json<'de>, &mut Progress) -> Result<T, serde_json::Error>,
) -> Result<T, DocumentError> {
    let malformed = |reason: String| DocumentError::Malformed {
        format: FORMAT,
        reason,
    };
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    if text.starts_with('\u{feff}') {
        // RFC 8259, section 8.1.
        return Err(malformed("it begins with a byte order mark".to_owned()));
    }
    let mut progress = Progress::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let value = parse(&mut json, &mut progress).map_err(|error| progress.explain(&error))?;
    json.end().map_err(|error| malformed(error.to_string()))?;
    Ok(value)
}

/// How far reading has come, which serde's errors do not tell.
#[derive(Default)]
struct Progress {
    /// Number of the event that is being read.
    index: Option<usize>,
    /// Whether another event came behind the last one that is taken.
    exceeded: bool,
}

impl Progress {
    fn explain(&self, error: &serde_json::Error) -> DocumentError {
        let reason = error.to_string();
        match self.index {
            _ if self.exceeded => DocumentError::Limit {
                format: FORMAT,
                what: "events",
                max: DOCUMENT_EVENTS_MAX,
            },
            Some(index) if error.is_data() => DocumentError::Event {
                format: FORMAT,
                index,
                reason,
            },
            _ => DocumentError::Malformed {
                format: FORMAT,
                reason,
            },
        }
    }
}

/// Takes the events one by one, so that nothing is kept of a document with too many.
struct Batch<'p> {
    progress: &'p mut Progress,
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Event>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of CloudEvents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut batch: A) -> Result<Vec<Event>, A::Error> {
        let mut events = Vec::new();
        while events.len() < DOCUMENT_EVENTS_MAX {
            self.progress.index = Some(events.len());
            match batch.next_element_seed(One)? {
                Some(event) => events.push(event),
                None => return Ok(events),
            }
        }
        self.progress.exceeded = batch.next_element::<IgnoredAny>()?.is_some();
        if self.progress.exceeded {
            return Err(A::Error::custom("too many events"));
        }
        Ok(events)
    }
}

/// One event.
struct One;

impl<'de> DeserializeSeed<'de> for One {
    type Value = Event;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Event, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudEvent")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Event, A::Error> {
        let mut names: Vec<Cow<'de, str>> = Vec::with_capacity(MEMBERS_MAX);
        let mut members = Members::new();
        while let Some(Text(name)) = object.next_key()? {
            // Few and short: comparing them all is cheaper than hashing them.
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!(
                    "{}: it is there twice",
                    shortened(&name)
                )));
            }
            if names.len() == MEMBERS_MAX {
                return Err(A::Error::custom(format_args!(
                    "more than {EXTENSIONS_MAX} extensions"
                )));
            }
            if name == "data" {
                members.data = Some(object.next_value()?);
            } else {
                members
                    .take(&name, object.next_value()?)
                    .map_err(A::Error::custom)?;
            }
            names.push(name);
        }
        members.finish().map_err(A::Error::custom)
    }
}

/// The members of one event as far as they were read.
struct Members<'de> {
    event: Partial,
    has_version: bool,
    content_type: Option<Cow<'de, str>>,
    data: Option<&'de RawValue>,
    data_base64: Option<Cow<'de, str>>,
}

impl<'de> Members<'de> {
    fn new() -> Self {
        Members {
            event: Partial::new(name_of),
            has_version: false,
            content_type: None,
            data: None,
            data_base64: None,
        }
    }

    /// Takes any member but `data`.
    fn take(&mut self, name: &str, value: Scalar<'de>) -> Result<(), String> {
        let attribute = attribute_of(name);
        let text = match value {
            Scalar::Null => return Ok(()),
            Scalar::Text(text) => text,
            Scalar::Integer(number) if attribute == Some(Attribute::Version) => {
                return self.event.set(Attribute::Version, &number.to_string());
            }
            Scalar::Integer(number) if is_extension(name) => {
                let number = i32::try_from(number)
                    .map_err(|_| format!("{}: more than 32 bits", shortened(name)))?;
                return self.event.extend(name, Extension::Integer(number));
            }
            Scalar::Boolean(value) if is_extension(name) => {
                return self.event.extend(name, Extension::Boolean(value));
            }
            Scalar::Integer(_) | Scalar::Boolean(_) | Scalar::Other => {
                return Err(format!(
                    "{}: a value of another type is expected",
                    shortened(name)
                ));
            }
        };
        match (name, attribute) {
            (_, Some(Attribute::Version)) => Err(format!("{name}: a number is expected")),
            (_, Some(attribute)) => self.event.set(attribute, &text),
            ("specversion", _) if text == SPEC_VERSION => {
                self.has_version = true;
                Ok(())
            }
            ("specversion", _) => Err(format!("specversion: {SPEC_VERSION} is expected")),
            ("datacontenttype", _) => {
                self.content_type = Some(text);
                Ok(())
            }
            ("data_base64", _) => {
                self.data_base64 = Some(text);
                Ok(())
            }
            _ => self.event.extend(name, Extension::Text(text.into_owned())),
        }
    }

    fn finish(self) -> Result<Event, String> {
        if !self.has_version {
            return Err("specversion is missing".to_owned());
        }
        let content_type = self.content_type.as_deref().unwrap_or(CONTENT_TYPE_DEFAULT);
        let data = match (self.data, self.data_base64) {
            (None, None) => None,
            (Some(_), Some(_)) => return Err("both data and data_base64".to_owned()),
            (Some(raw), None) if content_type == CONTENT_TYPE_DEFAULT => Some(Data::from_raw(raw)),
            (Some(raw), None) => Some(json_data(content_type, raw.get().as_bytes())?),
            (None, Some(text)) => Some(binary_data(content_type, &text)?),
        };
        self.event.finish(data)
    }
}

pub(super) fn json_data(content_type: &str, json: &[u8]) -> Result<Data, String> {
    let data = Data::new(content_type, json.to_vec()).map_err(|error| error.to_string())?;
    if data.is_json() {
        Ok(data)
    } else {
        Err("data: datacontenttype is not JSON, so data_base64 is expected".to_owned())
    }
}

pub(super) fn binary_data(content_type: &str, text: &str) -> Result<Data, String> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| format!("data_base64: {error}"))?;
    Data::new(content_type, bytes).map_err(|error| error.to_string())
}

/// A text that is borrowed from the document where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn attribute_of(name: &str) -> Option<Attribute> {
    ATTRIBUTES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, attribute)| *attribute)
}

fn name_of(attribute: Attribute) -> &'static str {
    ATTRIBUTES
        .iter()
        .find(|(_, known)| *known == attribute)
        .map_or("attribute", |(name, _)| name)
}

fn is_extension(name: &str) -> bool {
    attribute_of(name).is_none()
        && !["specversion", "datacontenttype", "data_base64"].contains(&name)
}

/// The beginning of a name from outside: an error never repeats a huge input.
fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

/// What our attributes are called in JSON.
const ATTRIBUTES: [(&str, Attribute); 14] = [
    ("id", Attribute::Id),
    ("source", Attribute::Source),
    ("type", Attribute::Type),
    ("subject", Attribute::Subject),
    ("time", Attribute::Time),
    ("dataschema", Attribute::Schema),
    ("sequence", Attribute::Position),
    ("epoch", Attribute::Epoch),
    ("check", Attribute::Check),
    ("recorded", Attribute::Recorded),
    ("version", Attribute::Version),
    ("traceparent", Attribute::Traceparent),
    ("causationid", Attribute::Causation),
    ("correlationid", Attribute::Correlation),
];
