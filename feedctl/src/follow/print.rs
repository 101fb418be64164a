//! Events as they are shown. Pure.

use chrono::SecondsFormat;
use clap::ValueEnum;
use feed_core::{Event, json};

use crate::output::{Color, Painted};
use crate::text::{cut, printable};

/// Longest part of the data that a line for people shows, in characters.
const DATA_CHARS_MAX: usize = 120;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line an event: when it was recorded, position, type, subject, the beginning of its data
    Text,
    /// One JSON array of CloudEvents, closed at the end
    Json,
    /// One CloudEvent in JSON a line
    Jsonl,
}

/// Writes events one after another.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    colors: bool,
    /// Whether nothing was written yet.
    first: bool,
}

impl Printer {
    pub(crate) fn new(format: Format, colors: bool) -> Self {
        Printer {
            format,
            colors,
            first: true,
        }
    }

    /// The text of these events.
    pub(crate) fn print(&mut self, events: &[Event]) -> Vec<u8> {
        let mut text = Vec::new();
        for event in events {
            match self.format {
                Format::Text => text.extend_from_slice(self.line(event).as_bytes()),
                Format::Jsonl => text.extend(one_line(json::write_event(event))),
                Format::Json => {
                    text.extend_from_slice(if self.first { b"[\n" } else { b",\n" });
                    text.extend(json::write_event(event).trim_ascii());
                }
            }
            if self.format == Format::Jsonl {
                text.push(b'\n');
            }
            self.first = false;
        }
        text
    }

    /// What stands behind the last event.
    pub(crate) fn end(&self) -> &'static [u8] {
        match (self.format, self.first) {
            (Format::Json, true) => b"[]\n",
            (Format::Json, false) => b"\n]\n",
            (Format::Text | Format::Jsonl, _) => b"",
        }
    }

    fn line(&self, event: &Event) -> String {
        let paint = |color| self.colors.then_some(color);
        format!(
            "{} {:>8} {} {} {}\n",
            Painted(
                event.recorded.to_rfc3339_opts(SecondsFormat::Millis, true),
                paint(Color::Dim)
            ),
            event.position.get(),
            Painted(&event.event_type, paint(Color::Cyan)),
            event.subject,
            data(event),
        )
    }
}

/// The beginning of the data, fit for a terminal.
fn data(event: &Event) -> String {
    match &event.data {
        None => "-".to_owned(),
        Some(data) => match data.json_text() {
            Some(text) => cut(
                &printable(&text.replace(['\n', '\r', '\t'], " ")),
                DATA_CHARS_MAX,
            ),
            None => printable(&format!(
                "{}, {} bytes",
                data.content_type(),
                data.bytes().len()
            )),
        },
    }
}

/// JSON on one line: a line break can stand between its tokens only, where a space says the same.
fn one_line(mut json: Vec<u8>) -> Vec<u8> {
    for byte in &mut json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    json.trim_ascii().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use feed_core::Data;

    fn event(data: Option<Data>) -> Event {
        let json = br#"{"specversion":"1.0","id":"0190b6e2-1111-7000-8000-000000000001","source":"/l/l","type":"Lit",
            "subject":"lamp-7","time":"2026-01-02T03:04:05Z","sequence":"00000000000000000007","epoch":"0123456789abcdef",
            "check":"85d46803c40a","recorded":"2026-01-02T03:04:05.123456Z","version":1}"#;
        Event {
            data,
            ..json::read_event(json).unwrap()
        }
    }

    fn json_data(text: &str) -> Option<Data> {
        Some(Data::new("application/json", text.as_bytes().to_vec()).unwrap())
    }

    fn printed(format: Format, events: &[Event]) -> String {
        let mut printer = Printer::new(format, false);
        let mut text = printer.print(events);
        text.extend_from_slice(printer.end());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn text_is_one_line_an_event() {
        let line = printed(Format::Text, &[event(json_data("{\"a\":\n1}"))]);
        assert_eq!(
            line,
            "2026-01-02T03:04:05.123Z        7 Lit lamp-7 {\"a\": 1}\n"
        );
        assert!(printed(Format::Text, &[event(None)]).ends_with("lamp-7 -\n"));
        let png = Data::new("image/png", vec![0; 4]).unwrap();
        assert!(printed(Format::Text, &[event(Some(png))]).ends_with("image/png, 4 bytes\n"));
        let long = event(json_data(&format!("\"{}\u{9b}\"", "x".repeat(500))));
        let line = printed(Format::Text, &[long]);
        assert!(
            line.chars().count() < 200 && line.ends_with("…\n"),
            "{line}"
        );
        let tricky = printed(Format::Text, &[event(json_data("\"\u{9b}2J\""))]);
        assert!(tricky.contains('\u{fffd}'), "{tricky:?}");
        let mut colored = Printer::new(Format::Text, true);
        assert!(
            String::from_utf8(colored.print(&[event(None)]))
                .unwrap()
                .contains("\u{1b}[36mLit\u{1b}[0m")
        );
    }

    #[test]
    fn json_comes_back_as_the_same_events() {
        let events = [event(json_data("{\"a\":\r\n1}")), event(None)];
        let array = printed(Format::Json, &events);
        assert_eq!(json::read_batch(array.as_bytes()).unwrap(), events);
        assert_eq!(printed(Format::Json, &[]), "[]\n");
        let lines = printed(Format::Jsonl, &events);
        assert_eq!(lines.lines().count(), 2);
        let first = json::read_event(lines.lines().next().unwrap().as_bytes()).unwrap();
        assert_eq!(first.data.unwrap().json_text(), Some("{\"a\":  1}"));
        assert_eq!(printed(Format::Jsonl, &[]), "");
    }
}
