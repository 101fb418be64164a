//! Events into JSON, straight into one buffer.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::SPEC_VERSION;
use crate::event::{Data, Event, Extension, format_time};

/// Room for the attributes of a usual event, in bytes.
const ENVELOPE_BYTES: usize = 640;

/// `events` in the JSON batch format (CloudEvents 1.0 JSON format, section 4), in their order, one after another
/// on lines of their own. The same events give the same bytes.
pub fn write_batch(events: &[Event]) -> Vec<u8> {
    let size = events.iter().map(size_of).sum::<usize>() + 4;
    let mut out = Vec::with_capacity(size);
    out.push(b'[');
    for (index, event) in events.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        put_event(&mut out, event);
    }
    out.extend_from_slice(if events.is_empty() { b"]\n" } else { b"\n]\n" });
    out
}

/// One event in structured mode (CloudEvents 1.0 JSON format, section 3).
pub fn write_event(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(size_of(event));
    put_event(&mut out, event);
    out.push(b'\n');
    out
}

/// About how many bytes `event` takes.
fn size_of(event: &Event) -> usize {
    let data = event.data.as_ref().map_or(0, |data| {
        if data.is_json() {
            data.bytes().len()
        } else {
            data.bytes().len() / 3 * 4 + 4
        }
    });
    ENVELOPE_BYTES + data
}

fn put_event(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(b"{\"specversion\":");
    put_string(out, SPEC_VERSION);
    put_display(out, "id", event.id);
    put_text(out, "source", &event.source);
    put_text(out, "type", event.event_type.as_str());
    put_text(out, "subject", event.subject.as_str());
    put_display(out, "time", format_time(event.time));
    if let Some(data) = &event.data {
        put_text(out, "datacontenttype", data.content_type());
    }
    put_optional(out, "dataschema", event.dataschema.as_deref());
    put_display(
        out,
        "sequence",
        format_args!("{:020}", event.position.get()),
    );
    put_display(out, "epoch", event.epoch);
    put_display(out, "check", event.check);
    put_display(out, "recorded", format_time(event.recorded));
    put_number(out, "version", event.version);
    put_optional(out, "traceparent", event.traceparent.as_deref());
    if let Some(id) = event.causationid {
        put_display(out, "causationid", id);
    }
    put_optional(out, "correlationid", event.correlationid.as_deref());
    for (name, value) in &event.extensions {
        match value {
            Extension::Boolean(value) => put_number(out, name.as_str(), value),
            Extension::Integer(value) => put_number(out, name.as_str(), value),
            Extension::Text(value) => put_text(out, name.as_str(), value),
        }
    }
    if let Some(data) = &event.data {
        put_data(out, data);
    }
    out.push(b'}');
}

/// JSON data is written as it is: parsing and printing it again could change numbers and order.
fn put_data(out: &mut Vec<u8>, data: &Data) {
    match data.json_text() {
        Some(text) => {
            put_name(out, "data");
            out.extend_from_slice(text.as_bytes());
        }
        None => put_display(out, "data_base64", STANDARD.encode(data.bytes())),
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

/// A string of characters that need no escape, such as digits.
fn put_display(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    put_name(out, name);
    // Writing into a Vec does not fail.
    let _ = write!(out, "\"{value}\"");
}

/// A number or a boolean, whose text is the same in JSON.
fn put_number(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    put_name(out, name);
    let _ = write!(out, "{value}");
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    // Neither a text nor writing into a Vec fails.
    let _ = serde_json::to_writer(out, text);
}
