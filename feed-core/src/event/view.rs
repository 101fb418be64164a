//! An event as it is written into a document: borrowed from wherever it is, so that nothing of it is copied twice.

use std::borrow::Cow;
use std::collections::BTreeMap;
#[cfg(feature = "store")]
use std::sync::Arc;

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::data::is_json_type;
use super::{Event, EventId, Extension, ExtensionName, Version};
#[cfg(feature = "store")]
use super::{EventType, Subject};
#[cfg(feature = "store")]
use crate::error::InvalidValue;
use crate::position::{Check, Cursor, Epoch, Position};

/// What [`Event`] has, borrowed from an event or from the row that it stands in.
#[derive(Debug, Clone)]
pub(crate) struct EventView<'a> {
    pub(crate) id: EventId,
    pub(crate) source: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) version: Version,
    pub(crate) time: DateTime<Utc>,
    pub(crate) recorded: DateTime<Utc>,
    pub(crate) position: Position,
    pub(crate) epoch: Epoch,
    pub(crate) check: Check,
    pub(crate) dataschema: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) causationid: Option<EventId>,
    pub(crate) correlationid: Option<&'a str>,
    pub(crate) extensions: Cow<'a, BTreeMap<ExtensionName, Extension>>,
    pub(crate) data: Option<DataView<'a>>,
}

/// What [`Data`](super::Data) has, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataView<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) bytes: &'a [u8],
}

impl<'a> From<&'a Event> for EventView<'a> {
    fn from(event: &'a Event) -> Self {
        EventView {
            id: event.id,
            source: &event.source,
            event_type: event.event_type.as_str(),
            subject: event.subject.as_str(),
            version: event.version,
            time: event.time,
            recorded: event.recorded,
            position: event.position,
            epoch: event.epoch,
            check: event.check,
            dataschema: event.dataschema.as_deref(),
            traceparent: event.traceparent.as_deref(),
            causationid: event.causationid,
            correlationid: event.correlationid.as_deref(),
            extensions: Cow::Borrowed(&event.extensions),
            data: event.data.as_ref().map(|data| DataView {
                content_type: data.content_type(),
                bytes: data.bytes(),
            }),
        }
    }
}

impl EventView<'_> {
    /// The cursor of a reader who has seen this event.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch,
            position: self.position,
            check: self.check,
        }
    }

    /// The event itself; `source` is what it has borrowed, shared by all events of its feed.
    ///
    /// # Errors
    /// When type or subject are none that an event can have.
    #[cfg(feature = "store")]
    pub(crate) fn to_event(&self, source: &Arc<str>) -> Result<Event, InvalidValue> {
        Ok(Event {
            id: self.id,
            source: source.clone(),
            event_type: EventType::new(self.event_type)?,
            subject: Subject::new(self.subject)?,
            version: self.version,
            time: self.time,
            recorded: self.recorded,
            position: self.position,
            epoch: self.epoch,
            check: self.check,
            dataschema: self.dataschema.map(str::to_owned),
            traceparent: self.traceparent.map(str::to_owned),
            causationid: self.causationid,
            correlationid: self.correlationid.map(str::to_owned),
            extensions: self.extensions.clone().into_owned(),
            data: self.data.map(DataView::to_data),
        })
    }
}

impl<'a> DataView<'a> {
    /// From a store, where only checked data is.
    #[cfg(feature = "store")]
    pub(crate) fn stored(content_type: Option<&'a str>, bytes: &'a [u8]) -> Self {
        DataView {
            content_type: content_type.unwrap_or(super::data::JSON),
            bytes,
        }
    }

    /// The JSON text; none when the data is not JSON.
    pub(crate) fn json_text(self) -> Option<&'a str> {
        if is_json_type(self.content_type) {
            std::str::from_utf8(self.bytes).ok()
        } else {
            None
        }
    }

    #[cfg(feature = "store")]
    fn to_data(self) -> super::Data {
        super::Data::stored(self.content_type, self.bytes.to_vec())
    }
}

/// The bytes of a time in RFC 3339 with six digits and `Z`; none for a year that does not have four digits.
pub(crate) fn time_digits(time: DateTime<Utc>) -> Option<[u8; 27]> {
    let (date, time) = (time.naive_utc().date(), time.naive_utc().time());
    let year = u32::try_from(date.year())
        .ok()
        .filter(|year| *year <= 9_999)?;
    // A leap second is second 60, whose nanoseconds go on behind those of the one before.
    let (leap, nanos) = match time.nanosecond() {
        nanos @ 1_000_000_000.. => (1, nanos - 1_000_000_000),
        nanos => (0, nanos),
    };
    let mut digits = *b"0000-00-00T00:00:00.000000Z";
    put_digits(&mut digits[0..4], year);
    put_digits(&mut digits[5..7], date.month());
    put_digits(&mut digits[8..10], date.day());
    put_digits(&mut digits[11..13], time.hour());
    put_digits(&mut digits[14..16], time.minute());
    put_digits(&mut digits[17..19], time.second() + leap);
    put_digits(&mut digits[20..26], nanos / 1_000);
    Some(digits)
}

/// The number in decimal digits, with zeros in front.
fn put_digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    fn by_chrono(time: DateTime<Utc>) -> String {
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    proptest! {
        #[test]
        fn times_are_written_as_chrono_writes_them(seconds in -62_167_219_200..253_402_300_800i64, nanos in 0..2_000_000_000u32) {
            if let Some(time) = DateTime::from_timestamp(seconds, nanos) {
                let digits = time_digits(time).unwrap();
                prop_assert_eq!(std::str::from_utf8(&digits).unwrap(), by_chrono(time));
            }
        }
    }

    #[test]
    fn years_beyond_four_digits_are_left_to_chrono() {
        for seconds in [-62_167_219_201, 253_402_300_800] {
            let time = DateTime::from_timestamp(seconds, 0).unwrap();
            assert_eq!(time_digits(time), None);
            assert_eq!(crate::event::format_time(time), by_chrono(time));
        }
    }
}
