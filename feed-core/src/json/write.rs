//! Events into JSON, straight into one buffer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use super::SPEC_VERSION;
use crate::event::{DataView, Event, EventId, EventView, Extension, format_time, time_digits};

/// Room for the attributes of a usual event, in bytes.
const ENVELOPE_BYTES: usize = 640;

/// `events` in the JSON batch format (CloudEvents 1.0 JSON format, section 4), in their order, one after another
/// on lines of their own. The same events give the same bytes.
pub fn write_batch(events: &[Event]) -> Vec<u8> {
    let size = events.iter().map(|event| size_of(&event.into())).sum();
    let mut batch = Batch::with_room(size);
    for event in events {
        batch.put(&event.into());
    }
    batch.finish()
}

/// One event in structured mode (CloudEvents 1.0 JSON format, section 3).
pub fn write_event(event: &Event) -> Vec<u8> {
    let event = EventView::from(event);
    let mut out = Vec::with_capacity(size_of(&event));
    put_event(&mut out, &event);
    out.push(b'\n');
    out
}

/// A batch that is written event by event, as they are read.
#[derive(Debug)]
pub(crate) struct Batch {
    out: Vec<u8>,
    is_empty: bool,
}

impl Batch {
    /// With room for events of so many bytes; more may come.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes + 4);
        out.push(b'[');
        Batch {
            out,
            is_empty: true,
        }
    }

    pub(crate) fn put(&mut self, event: &EventView<'_>) {
        self.out
            .extend_from_slice(if self.is_empty { b"\n" } else { b",\n" });
        self.is_empty = false;
        put_event(&mut self.out, event);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out
            .extend_from_slice(if self.is_empty { b"]\n" } else { b"\n]\n" });
        self.out
    }
}

/// About how many bytes `event` takes.
fn size_of(event: &EventView<'_>) -> usize {
    let data = event.data.map_or(0, |data| {
        // Base64 takes more; which of the two it will be is found out when it is written.
        data.bytes.len() + data.bytes.len() / 8
    });
    ENVELOPE_BYTES + data
}

fn put_event(out: &mut Vec<u8>, event: &EventView<'_>) {
    out.extend_from_slice(b"{\"specversion\":");
    put_string(out, SPEC_VERSION);
    put_id(out, "id", event.id);
    put_text(out, "source", event.source);
    put_text(out, "type", event.event_type);
    put_text(out, "subject", event.subject);
    put_time(out, "time", event.time);
    if let Some(data) = event.data {
        put_text(out, "datacontenttype", data.content_type);
    }
    put_optional(out, "dataschema", event.dataschema);
    put_name(out, "sequence");
    put_quoted(out, |out| {
        put_decimal(out, event.position.get(), SEQUENCE_DIGITS);
    });
    put_hex(out, "epoch", event.epoch.as_bytes());
    put_hex(out, "check", event.check.as_bytes());
    put_time(out, "recorded", event.recorded);
    put_name(out, "version");
    put_decimal(out, u64::from(event.version.get()), 1);
    put_optional(out, "traceparent", event.traceparent);
    if let Some(id) = event.causationid {
        put_id(out, "causationid", id);
    }
    put_optional(out, "correlationid", event.correlationid);
    for (name, value) in &*event.extensions {
        match value {
            Extension::Boolean(value) => put_plain(out, name.as_str(), &value.to_string()),
            Extension::Integer(value) => put_plain(out, name.as_str(), &value.to_string()),
            Extension::Text(value) => put_text(out, name.as_str(), value),
        }
    }
    if let Some(data) = event.data {
        put_data(out, data);
    }
    out.push(b'}');
}

/// JSON data is written as it is: parsing and printing it again could change numbers and order.
fn put_data(out: &mut Vec<u8>, data: DataView<'_>) {
    match data.json_text() {
        Some(text) => put_plain(out, "data", text),
        None => put_text(out, "data_base64", &STANDARD.encode(data.bytes)),
    }
}

/// The name of a further member; ours need no escape.
fn put_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn put_text(out: &mut Vec<u8>, name: &str, text: &str) {
    put_name(out, name);
    put_string(out, text);
}

fn put_optional(out: &mut Vec<u8>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        put_text(out, name, text);
    }
}

/// What is JSON already: a number, a boolean, data.
fn put_plain(out: &mut Vec<u8>, name: &str, json: &str) {
    put_name(out, name);
    out.extend_from_slice(json.as_bytes());
}

/// A string of characters that need no escape, such as digits.
fn put_quoted(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    put(out);
    out.push(b'"');
}

fn put_id(out: &mut Vec<u8>, name: &str, id: EventId) {
    let mut digits = uuid::Uuid::encode_buffer();
    let id = uuid::Uuid::from_bytes(*id.as_bytes());
    let text = id.hyphenated().encode_lower(&mut digits);
    put_name(out, name);
    put_quoted(out, |out| out.extend_from_slice(text.as_bytes()));
}

fn put_time(out: &mut Vec<u8>, name: &str, time: DateTime<Utc>) {
    match time_digits(time) {
        Some(digits) => {
            put_name(out, name);
            put_quoted(out, |out| out.extend_from_slice(&digits));
        }
        None => put_text(out, name, &format_time(time)),
    }
}

fn put_hex(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    put_name(out, name);
    put_quoted(out, |out| {
        for byte in bytes {
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    });
}

/// Digits of a sequence: all that a `u64` may have, so that texts are ordered as numbers are.
const SEQUENCE_DIGITS: usize = 20;

/// The number with zeros in front up to so many digits.
fn put_decimal(out: &mut Vec<u8>, mut number: u64, digits_min: usize) {
    let mut digits = [b'0'; SEQUENCE_DIGITS];
    let mut first = SEQUENCE_DIGITS;
    while number > 0 {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[first.min(SEQUENCE_DIGITS - digits_min)..]);
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        put_quoted(out, |out| out.extend_from_slice(text.as_bytes()));
    } else {
        // Neither a text nor writing into a Vec fails.
        let _ = serde_json::to_writer(out, text);
    }
}
