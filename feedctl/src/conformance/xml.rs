//! An Atom document as a tree, for the rules that the library's reader is too lenient for.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Deepest nesting of elements.
const DEPTH_MAX: usize = 64;

/// An element with all that is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Its namespace; empty without one.
    pub(super) space: String,
    pub(super) name: String,
    /// Names as they were written, prefix included.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// Its own text, without that of its children.
    pub(super) text: String,
}

impl Element {
    pub(super) fn is(&self, space: &str, name: &str) -> bool {
        self.space == space && self.name == name
    }

    /// The children of this name.
    pub(super) fn all<'e>(
        &'e self,
        space: &'e str,
        name: &'e str,
    ) -> impl Iterator<Item = &'e Element> {
        self.children
            .iter()
            .filter(move |child| child.is(space, name))
    }

    /// The only child of this name.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub(super) fn one<'e>(&'e self, space: &'e str, name: &'e str) -> Result<&'e Element, String> {
        let mut found = self.all(space, name);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(format!("<{}> has no <{name}>", self.name)),
            (Some(_), Some(_)) => Err(format!("<{}> has more than one <{name}>", self.name)),
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether it or anything in it has an attribute of this name.
    pub(super) fn has_anywhere(&self, name: &str) -> bool {
        self.attribute(name).is_some() || self.children.iter().any(|child| child.has_anywhere(name))
    }
}

/// The root element of a document.
///
/// # Errors
/// When it is not well-formed, has a DOCTYPE, or is nested too deeply.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut xml = NsReader::from_str(text);
    xml.config_mut().expand_empty_elements = true;
    let mut open = vec![Element::default()];
    loop {
        let event = xml
            .read_event()
            .map_err(|error| format!("at byte {}: {error}", xml.error_position()))?;
        let Some(inner) = open.last_mut() else {
            return Err("an end without its start".to_owned());
        };
        match event {
            Event::Start(start) | Event::Empty(start) => {
                if open.len() > DEPTH_MAX {
                    return Err(format!("more than {DEPTH_MAX} levels of elements"));
                }
                let space = match xml.resolver().resolve_element(start.name()).0 {
                    ResolveResult::Bound(space) => space.0.to_owned(),
                    ResolveResult::Unbound => String::new(),
                    ResolveResult::Unknown(_) => {
                        return Err("a prefix without a namespace".to_owned());
                    }
                };
                open.push(element(space, &start)?);
            }
            Event::End(_) => {
                let done = open.pop().unwrap_or_default();
                match open.last_mut() {
                    Some(outer) => outer.children.push(done),
                    None => return Err("an end without its start".to_owned()),
                }
            }
            Event::Text(text) => inner.text.push_str(&text.xml10_content()),
            Event::CData(text) => inner.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let resolved = reference
                    .resolve_char_ref()
                    .map_err(|error| error.to_string())?;
                match (resolved, resolve_xml_entity(&reference)) {
                    (Some(c), _) => inner.text.push(c),
                    (None, Some(text)) => inner.text.push_str(text),
                    (None, None) => return Err("an entity that XML does not know".to_owned()),
                }
            }
            Event::DocType(_) => return Err("it has a DOCTYPE".to_owned()),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match (open.len(), open.pop()) {
        (1, Some(mut document)) if document.children.len() == 1 => document
            .children
            .pop()
            .ok_or_else(|| "no element".to_owned()),
        _ => Err("it is cut off, or has not one root element".to_owned()),
    }
}

fn element(space: String, start: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| error.to_string())?;
        attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element {
        space,
        name: start.local_name().into_inner().to_owned(),
        attributes,
        ..Element::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_becomes_a_tree() {
        let root = parse(br#"<?xml version="1.0"?><f xmlns="a" xmlns:p="b" xml:base="x"><p:e n="1">x &lt;&#33;<![CDATA[&]]></p:e><e/></f>"#).unwrap();
        assert!(root.is("a", "f") && root.has_anywhere("xml:base"));
        let inner = root.one("b", "e").unwrap();
        assert_eq!(
            (inner.text.as_str(), inner.attribute("n")),
            ("x <!&", Some("1"))
        );
        assert!(root.one("a", "e").is_ok() && root.one("a", "x").is_err());
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for bad in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<!DOCTYPE a><a/>",
            "<p:a/>",
            "<a>&x;</a>",
            "</a>",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse("<a>".repeat(100).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text in "[<>/a&;!\\[\\]\"' =?-]{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
