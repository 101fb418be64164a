//! Documents and events into Atom. The same document gives the same bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::xml_write::XmlWriter;
use super::{ATOM_NS, HISTORY_NS, NAMESPACE, OPAQUE, UUID_URN, is_inline_type, is_xml_char};
use crate::document::{Document, DocumentKind, Format, Links};
use crate::event::{DataView, Event, EventView, Extension, format_time};

/// Room for the elements of a usual entry or feed, in bytes, beside the data.
const ENVELOPE_BYTES: usize = 1_536;

/// A feed document (RFC 4287, section 4.1.1), for an archive with `fh:archive` (RFC 5005, section 4).
pub fn write_feed(document: &Document) -> Vec<u8> {
    let size = document
        .events
        .iter()
        .map(|event| size_of(&event.into()))
        .sum::<usize>();
    let mut xml = head(document, size + ENVELOPE_BYTES);
    for event in &document.events {
        put_feed_entry(&mut xml, &event.into(), &document.links.events);
    }
    xml.finish()
}

/// Entries of a feed document that are written one by one, as the events are read.
#[derive(Debug)]
pub(crate) struct Entries {
    xml: XmlWriter,
    /// As [`Links::events`].
    events_link: String,
}

impl Entries {
    /// With room for `bytes` bytes; more may come.
    pub(crate) fn with_room(bytes: usize, events_link: String) -> Self {
        Entries {
            xml: XmlWriter::inside("feed", bytes),
            events_link,
        }
    }

    pub(crate) fn put(&mut self, event: &EventView<'_>) {
        put_feed_entry(&mut self.xml, event, &self.events_link);
    }
}

/// The same as [`write_feed`], whose entries were written before; `document` has no events.
pub(crate) fn write_feed_of(document: &Document, entries: Entries) -> Vec<u8> {
    debug_assert!(document.events.is_empty(), "they are written already");
    let entries = entries.xml.finish();
    let mut out = head(document, ENVELOPE_BYTES + entries.len()).unfinished();
    out.extend_from_slice(&entries);
    out
}

/// The document up to its first entry.
fn head(document: &Document, bytes: usize) -> XmlWriter {
    let mut xml = XmlWriter::new(bytes);
    xml.open(
        "feed",
        &[
            ("xmlns", ATOM_NS),
            ("xmlns:fh", HISTORY_NS),
            ("xmlns:fw", NAMESPACE),
        ],
    );
    xml.text("id", &format!("{UUID_URN}{}", document.feed.id));
    xml.text("title", &document.feed.title);
    xml.text("updated", &format_time(document.updated));
    put_author(&mut xml, &document.feed.author);
    put_links(&mut xml, &document.links);
    if document.kind == DocumentKind::Archive {
        xml.empty("fh:archive", &[]);
    }
    if let Some(head) = document.head {
        xml.text("fw:head", &head.to_string());
    }
    if let Some(caught_up) = document.caught_up {
        xml.text("fw:caught-up", if caught_up { "true" } else { "false" });
    }
    xml
}

/// An entry document (RFC 4287, section 2).
///
/// An entry outside of a feed needs an author of its own (section 4.1.2): it is the event's source.
pub fn write_entry(event: &Event, links: &Links) -> Vec<u8> {
    let event = EventView::from(event);
    let mut xml = XmlWriter::new(size_of(&event));
    xml.open("entry", &[("xmlns", ATOM_NS), ("xmlns:fw", NAMESPACE)]);
    put_author(&mut xml, event.source);
    put_entry(&mut xml, &event, &links.events);
    xml.finish()
}

/// About how many bytes `event` takes, escapes included.
fn size_of(event: &EventView<'_>) -> usize {
    ENVELOPE_BYTES + event.data.map_or(0, |data| data.bytes.len() / 2 * 3)
}

fn put_author(xml: &mut XmlWriter, name: &str) {
    xml.open("author", &[]);
    xml.text("name", name);
    xml.close();
}

fn put_links(xml: &mut XmlWriter, links: &Links) {
    let all = [
        ("self", Some(&links.this)),
        ("current", Some(&links.current)),
        ("next", links.next.as_ref()),
        ("prev-archive", links.prev_archive.as_ref()),
        (Links::TAIL_RELATION, links.tail.as_ref()),
    ];
    for (relation, href) in all {
        if let Some(href) = href {
            xml.empty(
                "link",
                &[
                    ("rel", relation),
                    ("type", Format::Atom.media_type()),
                    ("href", href),
                ],
            );
        }
    }
}

fn put_feed_entry(xml: &mut XmlWriter, event: &EventView<'_>, events_link: &str) {
    xml.open("entry", &[]);
    put_entry(xml, event, events_link);
    xml.close();
}

/// What is inside of an entry, but for the author.
fn put_entry(xml: &mut XmlWriter, event: &EventView<'_>, events_link: &str) {
    let (event_type, subject) = (event.event_type, event.subject);
    let id = event.id.to_string();
    xml.texts("id", &[UUID_URN, &id]);
    xml.texts("title", &[event_type, " ", subject]);
    xml.text("updated", &format_time(event.recorded));
    xml.text("published", &format_time(event.time));
    xml.empty("category", &[("term", event_type)]);
    let href = format!("{events_link}{id}");
    xml.empty("link", &[("rel", "alternate"), ("href", &href)]);
    // An entry whose content is Base64 needs a summary (RFC 4287, section 4.1.2).
    let version = event.version.to_string();
    xml.texts(
        "summary",
        &[event_type, " of ", subject, ", version ", &version],
    );
    put_content(xml, event.data);
    xml.text("fw:position", &event.position.to_string());
    xml.text("fw:epoch", &event.epoch.to_string());
    xml.text("fw:check", &event.check.to_string());
    xml.text("fw:subject", subject);
    xml.text("fw:version", &version);
    xml.text("fw:source", event.source);
    let content_type = event.data.map(|data| data.content_type);
    xml.optional("fw:datacontenttype", content_type);
    xml.optional("fw:dataschema", event.dataschema);
    xml.optional("fw:traceparent", event.traceparent);
    let causation = event.causationid.map(|id| id.to_string());
    xml.optional("fw:causationid", causation.as_deref());
    xml.optional("fw:correlationid", event.correlationid);
    for (name, value) in &*event.extensions {
        let (kind, text) = match value {
            Extension::Boolean(value) => ("boolean", value.to_string()),
            Extension::Integer(value) => ("integer", value.to_string()),
            Extension::Text(text) => ("string", text.clone()),
        };
        let attributes = [("name", name.as_str()), ("type", kind)];
        xml.text_with("fw:attribute", &attributes, &text);
    }
}

fn put_content(xml: &mut XmlWriter, data: Option<DataView<'_>>) {
    // Some readers refuse Base64 of nothing; whether there is data of no bytes or none is told by fw:datacontenttype.
    let Some(data) = data.filter(|data| !data.bytes.is_empty()) else {
        xml.empty("content", &[("type", "text")]);
        return;
    };
    let (media_type, text) = match data.json_text() {
        Some(text) if text.chars().all(is_xml_char) => {
            xml.text_with("content", &[("type", "text")], text);
            return;
        }
        Some(text) => (OPAQUE, text.as_bytes()),
        None if is_inline_type(data.content_type) => (OPAQUE, data.bytes),
        None => (data.content_type, data.bytes),
    };
    xml.text_with("content", &[("type", media_type)], &STANDARD.encode(text));
}
