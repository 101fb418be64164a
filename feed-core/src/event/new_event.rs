//! Events that are not in an outbox yet.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Datelike, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::names::is_attribute_text;
use super::{Data, DecodeError, Event, EventId, EventType, Extension, ExtensionName};
use crate::error::InvalidValue;
use crate::limits::EXTENSIONS_MAX;

/// An event to be appended.
///
/// Its id and time are given when it is appended, unless they were set; in a handler the id, `causationid`,
/// `correlationid` and `traceparent` come from the event that is being handled.
///
/// ```
/// use feed_core::NewEvent;
/// #[derive(serde::Serialize)]
/// struct OrderCreated { order_id: String }
/// let event = NewEvent::json("OrderCreated", &OrderCreated { order_id: "7f3a".into() })?;
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub(crate) id: Option<EventId>,
    pub(crate) event_type: EventType,
    pub(crate) time: Option<DateTime<Utc>>,
    pub(crate) dataschema: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) causationid: Option<EventId>,
    pub(crate) correlationid: Option<String>,
    pub(crate) extensions: BTreeMap<ExtensionName, Extension>,
    pub(crate) data: Option<Data>,
}

impl NewEvent {
    /// An event with `data`.
    ///
    /// # Errors
    /// When `event_type` is not a valid type.
    pub fn new(event_type: &str, data: Option<Data>) -> Result<Self, InvalidValue> {
        Ok(NewEvent {
            id: None,
            event_type: EventType::new(event_type)?,
            time: None,
            dataschema: None,
            traceparent: None,
            causationid: None,
            correlationid: None,
            extensions: BTreeMap::new(),
            data,
        })
    }

    /// An event with `data` as JSON.
    ///
    /// # Errors
    /// When `event_type` is not a valid type, or `data` has no JSON form.
    pub fn json(event_type: &str, data: &impl Serialize) -> Result<Self, InvalidValue> {
        let data = Data::json(data).map_err(|error| {
            InvalidValue::new("event data", &error.to_string(), "a value with a JSON form")
        })?;
        NewEvent::new(event_type, Some(data))
    }

    /// With this id: appending it again is a no-op.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// With this time of the producer, instead of the transaction's.
    ///
    /// # Errors
    /// When the year has no RFC 3339 form (before 0 or after 9999).
    pub fn at(mut self, time: DateTime<Utc>) -> Result<Self, InvalidValue> {
        if !(0..=9999).contains(&time.year()) {
            return Err(InvalidValue::new(
                "time",
                &time.to_string(),
                "a year from 0 to 9999",
            ));
        }
        self.time = Some(super::to_micros(time));
        Ok(self)
    }

    /// As a consequence of `cause`, in its conversation and its trace.
    #[must_use]
    pub fn caused_by(mut self, cause: &Event) -> Self {
        self.causationid = Some(cause.id);
        self.correlationid = Some(
            cause
                .correlationid
                .clone()
                .unwrap_or_else(|| cause.id.to_string()),
        );
        self.traceparent.clone_from(&cause.traceparent);
        self
    }

    /// With what all events of one conversation share.
    ///
    /// # Errors
    /// When the text is empty, too long or has control characters.
    pub fn correlated(mut self, correlationid: &str) -> Result<Self, InvalidValue> {
        self.correlationid = Some(attribute("correlationid", correlationid)?);
        Ok(self)
    }

    /// With the W3C trace context of the request.
    ///
    /// # Errors
    /// When the text is empty, too long or has control characters.
    pub fn traced(mut self, traceparent: &str) -> Result<Self, InvalidValue> {
        self.traceparent = Some(attribute("traceparent", traceparent)?);
        Ok(self)
    }

    /// With the URI of the data's schema.
    ///
    /// # Errors
    /// When the text is empty, too long or has control characters.
    pub fn with_schema(mut self, dataschema: &str) -> Result<Self, InvalidValue> {
        self.dataschema = Some(attribute("dataschema", dataschema)?);
        Ok(self)
    }

    /// With a further CloudEvents attribute.
    ///
    /// # Errors
    /// When the name or the value is not allowed, or the event has [`EXTENSIONS_MAX`] already.
    pub fn with_extension(mut self, name: &str, value: Extension) -> Result<Self, InvalidValue> {
        let name = ExtensionName::new(name)?;
        if !value.is_valid() {
            return Err(InvalidValue::new(
                "extension",
                name.as_str(),
                "a value without control characters, 1 to 1024 bytes",
            ));
        }
        if self.extensions.len() >= EXTENSIONS_MAX {
            return Err(InvalidValue::new(
                "extension",
                name.as_str(),
                "16 extensions at most",
            ));
        }
        self.extensions.insert(name, value);
        Ok(self)
    }

    /// Bytes of its data and attributes: what a feed's largest event is measured by.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let extensions = self
            .extensions
            .iter()
            .map(|(name, value)| name.as_str().len() + value.bytes());
        self.event_type.as_str().len()
            + text(&self.dataschema)
            + text(&self.traceparent)
            + text(&self.correlationid)
            + extensions.sum::<usize>()
            + self.data.as_ref().map_or(0, |data| data.bytes().len())
    }
}

fn attribute(what: &'static str, text: &str) -> Result<String, InvalidValue> {
    if is_attribute_text(text) {
        Ok(text.to_owned())
    } else {
        Err(InvalidValue::new(
            what,
            text,
            "text without control characters, 1 to 1024 bytes",
        ))
    }
}

/// A variant of a domain's event enum as an event: the variant's name is the type, its fields are the data.
///
/// The enum derives `Serialize` with serde's default (external) tagging and every variant has fields.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// enum LampEvent { Lit { lamp_id: u32 } }
/// let event = feed_core::domain_event(&LampEvent::Lit { lamp_id: 7 })?;
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
///
/// # Errors
/// When the value is not serialised as one variant with fields.
pub fn domain_event(event: &impl Serialize) -> Result<NewEvent, InvalidValue> {
    let invalid =
        |reason: &str| InvalidValue::new("domain event", reason, "an enum variant with fields");
    let text = serde_json::to_string(event).map_err(|error| invalid(&error.to_string()))?;
    let variant: HashMap<String, &RawValue> =
        serde_json::from_str(&text).map_err(|_| invalid(&text))?;
    let mut variants = variant.iter();
    match (variants.next(), variants.next()) {
        (Some((name, fields)), None) => NewEvent::new(name, Some(Data::from_raw(fields))),
        _ => Err(invalid(&text)),
    }
}

/// The opposite of [`domain_event`]: the variant of `E` that a type and its data name.
///
/// # Errors
/// When `E` has no such variant, or the data does not fit it.
pub fn domain_parts<E: DeserializeOwned>(
    event_type: &EventType,
    data: Option<&Data>,
) -> Result<E, DecodeError> {
    let data = data
        .and_then(Data::json_text)
        .ok_or_else(DecodeError::missing)?;
    let name = serde_json::to_string(event_type)
        .map_err(|error| DecodeError::because(error.to_string()))?;
    serde_json::from_str(&format!("{{{name}:{data}}}"))
        .map_err(|error| DecodeError::because(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    enum Lamp {
        Lit { lamp_id: u32 },
        Broken { lamp_id: u32, why: String },
    }

    #[test]
    fn domain_events_come_back() {
        for event in [
            Lamp::Lit { lamp_id: 1 },
            Lamp::Broken {
                lamp_id: 2,
                why: "\"}{".into(),
            },
        ] {
            let new = domain_event(&event).unwrap();
            assert_eq!(
                domain_parts::<Lamp>(&new.event_type, new.data.as_ref()).unwrap(),
                event
            );
        }
        let new = domain_event(&Lamp::Lit { lamp_id: 1 }).unwrap();
        assert_eq!(new.event_type.as_str(), "Lit");
        assert_eq!(new.data.unwrap().bytes(), br#"{"lamp_id":1}"#);
    }

    #[test]
    fn what_is_no_domain_event_is_refused() {
        assert!(domain_event(&"text").is_err());
        assert!(domain_event(&HashMap::from([("a", 1), ("b", 2)])).is_err());
        let unknown = EventType::new("Dimmed").unwrap();
        assert!(domain_parts::<Lamp>(&unknown, Some(&Data::json(&1).unwrap())).is_err());
    }

    #[test]
    fn attributes_are_checked() {
        let event = || NewEvent::new("T", None).unwrap();
        assert!(event().correlated("line\nbreak").is_err());
        assert!(event().traced("").is_err());
        assert!(
            event()
                .with_extension("id", Extension::Boolean(true))
                .is_err()
        );
        assert!(
            event()
                .with_extension("ok", Extension::Text("\u{7}".into()))
                .is_err()
        );
        let full = (0..16).fold(event(), |event, n| {
            event
                .with_extension(&format!("x{n}"), Extension::Integer(n))
                .unwrap()
        });
        assert!(full.with_extension("x16", Extension::Integer(0)).is_err());
    }
}
