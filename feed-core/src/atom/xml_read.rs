//! XML as elements and texts, with the limits of a document from outside.
//!
//! Only what stands in the document itself is taken: no DTD, so no entities but the five of XML, and nothing is
//! fetched. What the XML parser leaves unchecked of well-formedness and matters to content is checked here.

use std::borrow::Cow;
use std::fmt::Display;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event as XmlEvent};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::{ATOM_NS, FORMAT, NAMESPACE, is_xml_char};
use crate::document::DocumentError;
use crate::limits::{XML_ATTRIBUTES_MAX, XML_DEPTH_MAX};

/// The namespaces that are told apart; the prefix means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Atom,
    Feedway,
    Other,
}

/// The start of an element. Its attributes are checked.
pub(super) struct Element<'i> {
    pub(super) space: Space,
    start: BytesStart<'i>,
}

impl Element<'_> {
    /// The name without prefix.
    pub(super) fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }

    /// The value of the attribute `name` in no namespace.
    pub(super) fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut attributes = self.start.attributes().flatten();
        let attribute = attributes.find(|attribute| attribute.key.as_ref() == name)?;
        attribute.normalized_value(XmlVersion::Implicit1_0).ok()
    }
}

enum Token<'i> {
    Start(Element<'i>),
    Text(Cow<'i, str>),
    End,
    Eof,
}

/// An XML document that is being read.
pub(super) struct XmlReader<'i> {
    xml: NsReader<&'i [u8]>,
    /// Elements that are open.
    depth: usize,
    /// Whether anything was read, behind which no XML declaration may stand.
    begun: bool,
}

impl<'i> XmlReader<'i> {
    /// Begins to read `bytes`, which are UTF-8. A byte order mark (XML 1.0, section 4.3.3) is dropped by the parser.
    pub(super) fn new(bytes: &'i [u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(bytes).map_err(malformed)?;
        if let Some(c) = text.chars().find(|c| !is_xml_char(*c)) {
            return Err(malformed(format_args!("it has a character {c:?}")));
        }
        let mut xml = NsReader::from_str(text);
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Ok(XmlReader {
            xml,
            depth: 0,
            begun: false,
        })
    }

    /// The element that all others are in.
    pub(super) fn root(&mut self) -> Result<Element<'i>, DocumentError> {
        loop {
            match self.token()? {
                Token::Start(element) => return Ok(element),
                Token::Text(text) if is_blank(&text) => {}
                Token::Text(_) => return Err(self.wrong("text before the first element")),
                Token::End | Token::Eof => return Err(self.wrong("no element")),
            }
        }
    }

    /// The next element of the open one, whose own text means nothing; none at its end.
    pub(super) fn child(&mut self) -> Result<Option<Element<'i>>, DocumentError> {
        loop {
            match self.token()? {
                Token::Start(element) => return Ok(Some(element)),
                Token::Text(_) => {}
                Token::End => return Ok(None),
                Token::Eof => return Err(self.wrong("the document is cut off")),
            }
        }
    }

    /// The text of the open element up to its end, of all its parts; it has no elements.
    pub(super) fn text(&mut self) -> Result<Cow<'i, str>, DocumentError> {
        let mut whole = Cow::Borrowed("");
        loop {
            match self.token()? {
                Token::Text(part) if whole.is_empty() => whole = part,
                Token::Text(part) => whole.to_mut().push_str(&part),
                Token::End => return Ok(whole),
                Token::Start(_) => return Err(self.wrong("an element where text is expected")),
                Token::Eof => return Err(self.wrong("the document is cut off")),
            }
        }
    }

    /// Passes over the rest of the open element.
    pub(super) fn skip(&mut self) -> Result<(), DocumentError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            if let Token::Eof = self.token()? {
                return Err(self.wrong("the document is cut off"));
            }
        }
        Ok(())
    }

    /// Makes sure that nothing follows the root element.
    pub(super) fn end(&mut self) -> Result<(), DocumentError> {
        loop {
            match self.token()? {
                Token::Eof => return Ok(()),
                Token::Text(text) if is_blank(&text) => {}
                _ => return Err(self.wrong("something stands behind the last element")),
            }
        }
    }

    fn token(&mut self) -> Result<Token<'i>, DocumentError> {
        loop {
            let first = !std::mem::replace(&mut self.begun, true);
            let event = match self.xml.read_event() {
                Ok(event) => event,
                Err(error) => {
                    let at = self.xml.error_position();
                    return Err(malformed(format_args!("at byte {at}: {error}")));
                }
            };
            match event {
                XmlEvent::Start(start) | XmlEvent::Empty(start) => {
                    return self.start(start).map(Token::Start);
                }
                XmlEvent::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Token::End);
                }
                XmlEvent::Text(text) if text.contains("]]>") => {
                    return Err(self.wrong("]]> in text"));
                }
                XmlEvent::Text(text) => return Ok(Token::Text(text.xml10_content())),
                XmlEvent::CData(_) if self.depth == 0 => {
                    return Err(self.wrong("CDATA outside of the root element"));
                }
                XmlEvent::CData(text) => return Ok(Token::Text(text.xml10_content())),
                XmlEvent::GeneralRef(_) if self.depth == 0 => {
                    return Err(self.wrong("a reference outside of the root element"));
                }
                XmlEvent::GeneralRef(reference) => {
                    return self.resolve(&reference).map(Token::Text);
                }
                XmlEvent::DocType(_) => return Err(self.wrong("a DOCTYPE is not taken")),
                XmlEvent::Decl(_) if !first => {
                    return Err(self.wrong("an XML declaration that is not at the beginning"));
                }
                XmlEvent::Decl(declaration) => self.check_declaration(&declaration)?,
                XmlEvent::Comment(_) | XmlEvent::PI(_) => {}
                XmlEvent::Eof => return Ok(Token::Eof),
            }
        }
    }

    fn start(&mut self, start: BytesStart<'i>) -> Result<Element<'i>, DocumentError> {
        self.depth += 1;
        if self.depth > XML_DEPTH_MAX {
            return Err(DocumentError::Limit {
                format: FORMAT,
                what: "levels of elements",
                max: XML_DEPTH_MAX,
            });
        }
        self.check_attributes(&start)?;
        let space = match self.xml.resolver().resolve_element(start.name()).0 {
            ResolveResult::Bound(space) if space.0 == ATOM_NS => Space::Atom,
            ResolveResult::Bound(space) if space.0 == NAMESPACE => Space::Feedway,
            ResolveResult::Bound(_) | ResolveResult::Unbound => Space::Other,
            ResolveResult::Unknown(_) => {
                return Err(self.wrong("a prefix without a namespace"));
            }
        };
        Ok(Element { space, start })
    }

    /// Goes through all attributes once, since the parser looks at them only when they are asked for.
    fn check_attributes(&self, start: &BytesStart<'_>) -> Result<(), DocumentError> {
        for (index, attribute) in start.attributes().enumerate() {
            if index == XML_ATTRIBUTES_MAX {
                return Err(DocumentError::Limit {
                    format: FORMAT,
                    what: "attributes in an element",
                    max: XML_ATTRIBUTES_MAX,
                });
            }
            let attribute = attribute.map_err(|error| self.wrong(error))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| self.wrong(error))?;
            // The characters of the document are checked already, but not those that references make.
            if attribute.value.contains('<') || !value.chars().all(is_xml_char) {
                return Err(self.wrong("a character that may not stand in an attribute"));
            }
        }
        Ok(())
    }

    /// One of the five entities of XML, or a character by its number.
    fn resolve(&self, reference: &BytesRef<'i>) -> Result<Cow<'i, str>, DocumentError> {
        if let Some(text) = resolve_xml_entity(reference) {
            return Ok(Cow::Borrowed(text));
        }
        match reference.resolve_char_ref() {
            Ok(Some(c)) if is_xml_char(c) => Ok(Cow::Owned(c.to_string())),
            Ok(Some(_)) => Err(self.wrong("a reference to a character that XML does not have")),
            Ok(None) => Err(self.wrong("an entity that XML does not define")),
            Err(error) => Err(self.wrong(error)),
        }
    }

    fn check_declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), DocumentError> {
        let version = declaration.version().map_err(|error| self.wrong(error))?;
        if version != "1.0" {
            return Err(self.wrong("XML 1.0 is expected"));
        }
        match declaration.encoding().transpose() {
            Ok(None) => Ok(()),
            Ok(Some(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
            Ok(Some(_)) => Err(self.wrong("the encoding UTF-8 is expected")),
            Err(error) => Err(self.wrong(error)),
        }
    }

    /// An error at the place that was read last.
    pub(super) fn wrong(&self, reason: impl Display) -> DocumentError {
        let at = self.xml.buffer_position();
        malformed(format_args!("at byte {at}: {reason}"))
    }
}

fn malformed(reason: impl Display) -> DocumentError {
    DocumentError::Malformed {
        format: FORMAT,
        reason: reason.to_string(),
    }
}

/// White space of XML only (XML 1.0, section 2.3).
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'))
}
