//! Events: what services tell each other, with the attributes of CloudEvents 1.0.

mod data;
mod id;
mod names;
mod new_event;
mod partial;
mod view;

pub use data::{Data, DecodeError};
pub use id::EventId;
pub(crate) use names::is_attribute_text;
#[cfg(feature = "store")]
pub(crate) use names::is_name;
pub use names::{
    EventType, Extension, ExtensionName, FeedName, Subject, SubscriptionName, Version,
};
pub use new_event::{NewEvent, domain_event, domain_parts};
pub(crate) use partial::{Attribute, Partial};
pub(crate) use view::{DataView, EventView, time_digits};

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Timelike, Utc};
use serde::de::DeserializeOwned;

use crate::position::{Check, Cursor, Epoch, Position};

/// An immutable fact, as it stands in a feed.
///
/// The CloudEvents attributes, and what the feed knows of it: its place, its version within its subject, and
/// the running check, which together let a reader go on behind it and notice anything skipped.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique within the feed.
    pub id: EventId,
    /// URI reference of the publisher; with the id it is unique in the world.
    pub source: Arc<str>,
    /// What happened, such as `OrderCreated`.
    pub event_type: EventType,
    /// The aggregate that the event is about.
    pub subject: Subject,
    /// Number of the event within its subject: 1, 2, 3 …
    pub version: Version,
    /// The producer's time, to the microsecond. Orders nothing.
    pub time: DateTime<Utc>,
    /// When the event got its position, to the microsecond; never goes backwards along the feed.
    pub recorded: DateTime<Utc>,
    /// Its place in the feed.
    pub position: Position,
    /// The epoch in which it got its position.
    pub epoch: Epoch,
    /// The running check up to and with this event.
    pub check: Check,
    /// URI of the schema of the data.
    pub dataschema: Option<String>,
    /// W3C trace context of the request that caused the event.
    pub traceparent: Option<String>,
    /// Id of the event that this one follows up.
    pub causationid: Option<EventId>,
    /// What all events of one conversation share.
    pub correlationid: Option<String>,
    /// Further CloudEvents attributes.
    pub extensions: BTreeMap<ExtensionName, Extension>,
    /// The payload.
    pub data: Option<Data>,
}

impl Event {
    /// The cursor of a reader who has seen this event.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch,
            position: self.position,
            check: self.check,
        }
    }

    /// The JSON data as a `T`.
    ///
    /// # Errors
    /// When there is no data, it is not JSON, or it is not a `T`; the error names the event.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        match &self.data {
            Some(data) => data.decode().map_err(|error| error.of(self)),
            None => Err(DecodeError::missing().of(self)),
        }
    }
}

/// `time` to the microsecond: what both stores keep.
pub(crate) fn to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    // A smaller number of nanoseconds is always a valid one, in a leap second too.
    time.with_nanosecond(time.nanosecond() / 1_000 * 1_000)
        .unwrap_or(time)
}

/// RFC 3339 with six digits and `Z`: one text for a time, wherever it is printed.
pub(crate) fn format_time(time: DateTime<Utc>) -> String {
    match time_digits(time) {
        Some(digits) => digits.iter().map(|digit| char::from(*digit)).collect(),
        None => time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
    }
}
