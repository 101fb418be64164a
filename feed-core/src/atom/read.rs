//! Atom into events, with every attribute checked. Elements are known by their namespace, never by a prefix;
//! unknown elements and attributes are passed over (RFC 4287, section 6.3).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::xml_read::{Element, Space, XmlReader};
use super::{FORMAT, UUID_URN, is_inline_type};
use crate::document::{DocumentError, ReadDocument};
use crate::event::{Attribute, Data, Event, Extension, Partial};
use crate::limits::DOCUMENT_EVENTS_MAX;

/// Reads a feed document. Its links are given as they were written; `xml:base` is not regarded.
///
/// # Errors
/// When the bytes are not well-formed XML 1.0 in UTF-8, have a DOCTYPE, are no Atom feed, an entry in it is not an
/// event, or a limit is exceeded.
pub fn read_feed(bytes: &[u8]) -> Result<ReadDocument, DocumentError> {
    let mut xml = XmlReader::new(bytes)?;
    expect_root(&mut xml, "feed")?;
    let mut document = ReadDocument::default();
    while let Some(element) = xml.child()? {
        match (element.space, element.name()) {
            (Space::Atom, "entry") => {
                let index = document.events.len();
                if index == DOCUMENT_EVENTS_MAX {
                    return Err(DocumentError::Limit {
                        format: FORMAT,
                        what: "events",
                        max: DOCUMENT_EVENTS_MAX,
                    });
                }
                document.events.push(entry(&mut xml, index)?);
            }
            (Space::Atom, "link") => link(&mut xml, &element, &mut document)?,
            (Space::Feedway, "head") => {
                let head = xml.text()?.parse().map_err(|error| xml.wrong(error))?;
                once(&xml, "fw:head", &mut document.head, head)?;
            }
            (Space::Feedway, "caught-up") => {
                let text = xml.text()?;
                let caught_up = boolean(&text)
                    .ok_or_else(|| xml.wrong("fw:caught-up: true or false is expected"))?;
                once(&xml, "fw:caught-up", &mut document.caught_up, caught_up)?;
            }
            _ => xml.skip()?,
        }
    }
    xml.end()?;
    Ok(document)
}

/// Reads an entry document.
///
/// # Errors
/// When the bytes are not well-formed XML 1.0 in UTF-8, have a DOCTYPE, are no Atom entry, the entry is not an
/// event, or a limit is exceeded.
pub fn read_entry(bytes: &[u8]) -> Result<Event, DocumentError> {
    let mut xml = XmlReader::new(bytes)?;
    expect_root(&mut xml, "entry")?;
    let event = entry(&mut xml, 0)?;
    xml.end()?;
    Ok(event)
}

fn expect_root(xml: &mut XmlReader<'_>, name: &str) -> Result<(), DocumentError> {
    let root = xml.root()?;
    if (root.space, root.name()) == (Space::Atom, name) {
        Ok(())
    } else {
        Err(xml.wrong(format_args!("the root element is not an Atom {name}")))
    }
}

/// A link of the feed; a relation may be written as the IRI that it stands for (RFC 4287, section 4.2.7.2).
fn link(
    xml: &mut XmlReader<'_>,
    element: &Element<'_>,
    document: &mut ReadDocument,
) -> Result<(), DocumentError> {
    xml.skip()?;
    let Some(relation) = element.attribute("rel") else {
        return Ok(());
    };
    let name = relation
        .strip_prefix("http://www.iana.org/assignments/relation/")
        .unwrap_or(&relation);
    let (name, place) = match name {
        "next" => ("the link next", &mut document.next),
        "prev-archive" => ("the link prev-archive", &mut document.prev_archive),
        _ => return Ok(()),
    };
    let href = element
        .attribute("href")
        .ok_or_else(|| xml.wrong(format_args!("{name}: href is missing")))?;
    once(xml, name, place, href.into_owned())
}

fn once<T>(
    xml: &XmlReader<'_>,
    name: &str,
    place: &mut Option<T>,
    value: T,
) -> Result<(), DocumentError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(xml.wrong(format_args!("{name}: it is there twice"))),
    }
}

/// The rest of an open entry, which is the event number `index`.
fn entry(xml: &mut XmlReader<'_>, index: usize) -> Result<Event, DocumentError> {
    let invalid = |reason| DocumentError::Event {
        format: FORMAT,
        index,
        reason,
    };
    let mut entry = Entry::new();
    while let Some(element) = xml.child()? {
        match Part::of(&element) {
            Part::Text(attribute) => {
                let text = xml.text()?;
                entry.set(attribute, &text).map_err(invalid)?;
            }
            Part::Category => {
                xml.skip()?;
                let term = element.attribute("term").unwrap_or_default();
                entry.set(Attribute::Type, &term).map_err(invalid)?;
            }
            Part::Content => {
                let kind = content_kind(&element).map_err(invalid)?;
                let content = (kind, xml.text()?);
                put_once("content", &mut entry.content, content).map_err(invalid)?;
            }
            Part::ContentType => {
                let text = xml.text()?;
                put_once("fw:datacontenttype", &mut entry.content_type, text).map_err(invalid)?;
            }
            Part::Extension => {
                let text = xml.text()?;
                let (name, value) = extension(&element, &text).map_err(invalid)?;
                entry.event.extend(&name, value).map_err(invalid)?;
            }
            Part::Foreign => xml.skip()?,
        }
    }
    entry.finish().map_err(invalid)
}

/// What an element of an entry is to us.
enum Part {
    Text(Attribute),
    Category,
    Content,
    ContentType,
    Extension,
    Foreign,
}

impl Part {
    fn of(element: &Element<'_>) -> Part {
        match (element.space, element.name()) {
            (Space::Atom, "id") => Part::Text(Attribute::Id),
            (Space::Atom, "updated") => Part::Text(Attribute::Recorded),
            (Space::Atom, "published") => Part::Text(Attribute::Time),
            // One of a scheme is somebody else's (RFC 4287, section 4.2.2.2).
            (Space::Atom, "category") if element.attribute("scheme").is_none() => Part::Category,
            (Space::Atom, "content") => Part::Content,
            (Space::Feedway, "position") => Part::Text(Attribute::Position),
            (Space::Feedway, "epoch") => Part::Text(Attribute::Epoch),
            (Space::Feedway, "check") => Part::Text(Attribute::Check),
            (Space::Feedway, "subject") => Part::Text(Attribute::Subject),
            (Space::Feedway, "version") => Part::Text(Attribute::Version),
            (Space::Feedway, "source") => Part::Text(Attribute::Source),
            (Space::Feedway, "datacontenttype") => Part::ContentType,
            (Space::Feedway, "dataschema") => Part::Text(Attribute::Schema),
            (Space::Feedway, "traceparent") => Part::Text(Attribute::Traceparent),
            (Space::Feedway, "causationid") => Part::Text(Attribute::Causation),
            (Space::Feedway, "correlationid") => Part::Text(Attribute::Correlation),
            (Space::Feedway, "attribute") => Part::Extension,
            _ => Part::Foreign,
        }
    }
}

/// What an attribute is called in Atom, for errors.
fn name_of(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Id => "id",
        Attribute::Source => "fw:source",
        Attribute::Type => "category",
        Attribute::Subject => "fw:subject",
        Attribute::Version => "fw:version",
        Attribute::Time => "published",
        Attribute::Recorded => "updated",
        Attribute::Position => "fw:position",
        Attribute::Epoch => "fw:epoch",
        Attribute::Check => "fw:check",
        Attribute::Schema => "fw:dataschema",
        Attribute::Traceparent => "fw:traceparent",
        Attribute::Causation => "fw:causationid",
        Attribute::Correlation => "fw:correlationid",
    }
}

/// How the data stands in the content.
#[derive(Clone, Copy)]
enum ContentKind {
    Text,
    Base64,
}

/// The elements of one entry as far as they were read.
struct Entry<'i> {
    event: Partial,
    content: Option<(ContentKind, Cow<'i, str>)>,
    content_type: Option<Cow<'i, str>>,
}

impl Entry<'_> {
    fn new() -> Self {
        Entry {
            event: Partial::new(name_of),
            content: None,
            content_type: None,
        }
    }

    fn set(&mut self, attribute: Attribute, text: &str) -> Result<(), String> {
        let text = match attribute {
            Attribute::Id => text
                .strip_prefix(UUID_URN)
                .ok_or_else(|| format!("id: {UUID_URN}… is expected"))?,
            _ => text,
        };
        self.event.set(attribute, text)
    }

    fn finish(self) -> Result<Event, String> {
        let data = match (self.content_type, self.content) {
            (None, None) => None,
            (None, Some((_, text))) if text.is_empty() => None,
            (None, Some(_)) => return Err("fw:datacontenttype is missing".to_owned()),
            (Some(_), None) => return Err("content is missing".to_owned()),
            (Some(media_type), Some(content)) => Some(data(&media_type, content)?),
        };
        self.event.finish(data)
    }
}

fn put_once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name}: it is there twice")),
    }
}

/// By the rules of RFC 4287, section 4.1.3.3.
fn content_kind(element: &Element<'_>) -> Result<ContentKind, String> {
    if element.attribute("src").is_some() {
        return Err("content: it is elsewhere".to_owned());
    }
    match element.attribute("type").as_deref() {
        None | Some("text") => Ok(ContentKind::Text),
        Some(media_type) if media_type.contains('/') && !is_inline_type(media_type) => {
            Ok(ContentKind::Base64)
        }
        Some(_) => Err("content: neither text nor Base64".to_owned()),
    }
}

fn data(media_type: &str, (kind, text): (ContentKind, Cow<'_, str>)) -> Result<Data, String> {
    let bytes = match kind {
        ContentKind::Text => text.into_owned().into_bytes(),
        // Base64 may be broken into lines (RFC 4287, section 4.1.3.3).
        ContentKind::Base64 if text.contains([' ', '\t', '\r', '\n']) => {
            decode(&text.replace([' ', '\t', '\r', '\n'], ""))?
        }
        ContentKind::Base64 => decode(&text)?,
    };
    Data::new(media_type, bytes).map_err(|error| error.to_string())
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|error| format!("content: {error}"))
}

/// The name and the value of an `fw:attribute`.
fn extension<'e>(
    element: &'e Element<'_>,
    text: &str,
) -> Result<(Cow<'e, str>, Extension), String> {
    let name = element
        .attribute("name")
        .ok_or("fw:attribute: name is missing")?;
    let value = match element.attribute("type").as_deref() {
        Some("string") => Some(Extension::Text(text.to_owned())),
        Some("boolean") => boolean(text).map(Extension::Boolean),
        Some("integer") => integer(text).map(Extension::Integer),
        _ => return Err("fw:attribute: type is string, integer or boolean".to_owned()),
    };
    let value = value.ok_or("fw:attribute: a value of another type is expected")?;
    Ok((name, value))
}

fn boolean(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// Without a plus sign or leading zeros: one text for a number.
fn integer(text: &str) -> Option<i32> {
    let number: i32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
