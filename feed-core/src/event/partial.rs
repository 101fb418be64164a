//! An event while a document is being read: attributes come in any order, each is checked where it comes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};

use super::names::is_attribute_text;
use super::{Data, Event, EventId, EventType, Extension, ExtensionName, Subject, Version};
use crate::limits::EXTENSIONS_MAX;
use crate::position::{Check, Epoch, Position};

/// The attributes that have a place of their own in an [`Event`], apart from those of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Id,
    Source,
    Type,
    Subject,
    Version,
    Time,
    Recorded,
    Position,
    Epoch,
    Check,
    Schema,
    Traceparent,
    Causation,
    Correlation,
}

/// What is known of an event so far.
pub(crate) struct Partial {
    /// What the representation calls an attribute, for errors.
    name: fn(Attribute) -> &'static str,
    id: Option<EventId>,
    source: Option<String>,
    event_type: Option<EventType>,
    subject: Option<Subject>,
    version: Option<Version>,
    time: Option<DateTime<Utc>>,
    recorded: Option<DateTime<Utc>>,
    position: Option<Position>,
    epoch: Option<Epoch>,
    check: Option<Check>,
    dataschema: Option<String>,
    traceparent: Option<String>,
    causationid: Option<EventId>,
    correlationid: Option<String>,
    extensions: BTreeMap<ExtensionName, Extension>,
}

impl Partial {
    /// Nothing yet, of a representation in which attributes are called as `name` says.
    pub(crate) fn new(name: fn(Attribute) -> &'static str) -> Self {
        Partial {
            name,
            id: None,
            source: None,
            event_type: None,
            subject: None,
            version: None,
            time: None,
            recorded: None,
            position: None,
            epoch: None,
            check: None,
            dataschema: None,
            traceparent: None,
            causationid: None,
            correlationid: None,
            extensions: BTreeMap::new(),
        }
    }

    /// Takes an attribute from its text; the error is a reason that names the attribute.
    pub(crate) fn set(&mut self, attribute: Attribute, text: &str) -> Result<(), String> {
        let taken = match attribute {
            Attribute::Id => put(&mut self.id, parsed(text)),
            Attribute::Source => put(&mut self.source, attribute_text(text)),
            Attribute::Type => put(&mut self.event_type, parsed(text)),
            Attribute::Subject => put(&mut self.subject, parsed(text)),
            Attribute::Version => put(&mut self.version, version(text)),
            Attribute::Time => put(&mut self.time, time(text)),
            Attribute::Recorded => put(&mut self.recorded, time(text)),
            Attribute::Position => put(&mut self.position, position(text)),
            Attribute::Epoch => put(&mut self.epoch, parsed(text)),
            Attribute::Check => put(&mut self.check, parsed(text)),
            Attribute::Schema => put(&mut self.dataschema, attribute_text(text)),
            Attribute::Traceparent => put(&mut self.traceparent, attribute_text(text)),
            Attribute::Causation => put(&mut self.causationid, parsed(text)),
            Attribute::Correlation => put(&mut self.correlationid, attribute_text(text)),
        };
        taken.map_err(|reason| format!("{}: {reason}", (self.name)(attribute)))
    }

    /// Takes an extension attribute.
    pub(crate) fn extend(&mut self, name: &str, value: Extension) -> Result<(), String> {
        let key = ExtensionName::new(name).map_err(|error| error.to_string())?;
        // From here on the name is known to be a short one.
        if !value.is_valid() {
            return Err(format!("{name}: {ATTRIBUTE_TEXT}"));
        }
        if self.extensions.insert(key, value).is_some() {
            return Err(format!("{name}: it is there twice"));
        }
        if self.extensions.len() > EXTENSIONS_MAX {
            return Err(format!("more than {EXTENSIONS_MAX} extensions"));
        }
        Ok(())
    }

    /// The event, once all of it was read; the error names what is missing.
    pub(crate) fn finish(self, data: Option<Data>) -> Result<Event, String> {
        let missing = |attribute| format!("{} is missing", (self.name)(attribute));
        Ok(Event {
            id: self.id.ok_or_else(|| missing(Attribute::Id))?,
            source: self
                .source
                .ok_or_else(|| missing(Attribute::Source))?
                .into(),
            event_type: self.event_type.ok_or_else(|| missing(Attribute::Type))?,
            subject: self.subject.ok_or_else(|| missing(Attribute::Subject))?,
            version: self.version.ok_or_else(|| missing(Attribute::Version))?,
            time: self.time.ok_or_else(|| missing(Attribute::Time))?,
            recorded: self.recorded.ok_or_else(|| missing(Attribute::Recorded))?,
            position: self.position.ok_or_else(|| missing(Attribute::Position))?,
            epoch: self.epoch.ok_or_else(|| missing(Attribute::Epoch))?,
            check: self.check.ok_or_else(|| missing(Attribute::Check))?,
            dataschema: self.dataschema,
            traceparent: self.traceparent,
            causationid: self.causationid,
            correlationid: self.correlationid,
            extensions: self.extensions,
            data,
        })
    }
}

/// What is allowed in an attribute without a type of its own.
const ATTRIBUTE_TEXT: &str = "text without control characters, 1 to 1024 bytes";

fn put<T>(place: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    match place.replace(value?) {
        None => Ok(()),
        Some(_) => Err("it is there twice".to_owned()),
    }
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn attribute_text(text: &str) -> Result<String, String> {
    if is_attribute_text(text) {
        Ok(text.to_owned())
    } else {
        Err(ATTRIBUTE_TEXT.to_owned())
    }
}

/// Digits only, since `parse` would take a sign as well.
fn digits(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn version(text: &str) -> Result<Version, String> {
    let allowed = || "a number from 1 to 2^31 - 1".to_owned();
    let number: u32 = text.parse().map_err(|_| allowed())?;
    match Version::new(number) {
        Ok(version) if version != Version::NONE && digits(text) => Ok(version),
        _ => Err(allowed()),
    }
}

/// With leading zeros or without: the `sequence` of CloudEvents is ordered as a text, so it is padded.
fn position(text: &str) -> Result<Position, String> {
    let allowed = || "a number from 1 to 2^40 - 1 in 1 to 20 digits".to_owned();
    let number: u64 = text.parse().map_err(|_| allowed())?;
    match Position::new(number) {
        Ok(position) if position != Position::START && digits(text) => Ok(position),
        _ => Err(allowed()),
    }
}

/// RFC 3339, as CloudEvents and RFC 4287, section 3.3 ask, cut to the microsecond.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| error.to_string())?;
    let time = super::to_micros(time.with_timezone(&Utc));
    // An offset can move the year out of the four digits in which it could be written again.
    if (0..=9999).contains(&time.year()) {
        Ok(time)
    } else {
        Err("a year from 0000 to 9999 in UTC".to_owned())
    }
}
