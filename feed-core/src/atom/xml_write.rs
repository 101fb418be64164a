//! XML as text: one element a line, and nothing added to any content.

use super::is_xml_char;

/// Attributes of an element, as names and values.
pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

/// An XML document that is being written.
#[derive(Debug)]
pub(super) struct XmlWriter {
    out: String,
    open: Vec<&'static str>,
}

impl XmlWriter {
    /// A document with room for `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        XmlWriter {
            out,
            open: Vec::new(),
        }
    }

    /// What stands inside of an element that is opened elsewhere, and its end.
    pub(super) fn inside(element: &'static str, bytes: usize) -> Self {
        XmlWriter {
            out: String::with_capacity(bytes),
            open: vec![element],
        }
    }

    /// Opens an element that has elements.
    pub(super) fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.start(name, attributes);
        self.out.push_str(">\n");
        self.open.push(name);
    }

    /// Closes the element that was opened last.
    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.end(name);
        }
    }

    /// An element with a text.
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.text_with(name, &[], text);
    }

    /// An element with a text that is put together from these.
    pub(super) fn texts(&mut self, name: &'static str, texts: &[&str]) {
        self.start(name, &[]);
        self.out.push('>');
        for text in texts {
            escape_text(&mut self.out, text);
        }
        self.end(name);
    }

    /// An element with a text that may be missing.
    pub(super) fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// An element with attributes and a text.
    pub(super) fn text_with(&mut self, name: &'static str, attributes: Attributes<'_>, text: &str) {
        self.start(name, attributes);
        self.out.push('>');
        escape_text(&mut self.out, text);
        self.end(name);
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.start(name, attributes);
        self.out.push_str("/>\n");
    }

    /// The document.
    pub(super) fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close();
        }
        self.out.into_bytes()
    }

    /// The document so far: somebody else writes on.
    pub(super) fn unfinished(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    fn start(&mut self, name: &str, attributes: Attributes<'_>) {
        self.indent();
        self.out.push('<');
        self.out.push_str(name);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape_attribute(&mut self.out, value);
            self.out.push('"');
        }
    }

    fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    fn indent(&mut self) {
        for _ in &self.open {
            self.out.push_str("  ");
        }
    }
}

/// A carriage return would be read as a line feed (XML 1.0, section 2.11), and `]]>` may not occur in text.
fn escape_text(out: &mut String, text: &str) {
    escape(out, text, |c| match c {
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        '\r' => Some("&#13;"),
        _ => None,
    });
}

/// In attributes other white space than the space would be read as one (XML 1.0, section 3.3.3).
fn escape_attribute(out: &mut String, text: &str) {
    escape(out, text, |c| match c {
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        _ => None,
    });
}

/// A character that XML cannot hold becomes U+FFFD: only a feed's title can have one, which is for people.
fn escape(out: &mut String, text: &str, replacement: impl Fn(char) -> Option<&'static str>) {
    // Printable ASCII that stays as it is: what nearly all texts are made of.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && replacement(byte.into()).is_none();
    if text.bytes().all(is_plain) {
        return out.push_str(text);
    }
    let mut copied = 0;
    for (at, c) in text.char_indices() {
        let replacement = match replacement(c) {
            None if is_xml_char(c) => continue,
            None => "\u{fffd}",
            Some(replacement) => replacement,
        };
        out.push_str(&text[copied..at]);
        out.push_str(replacement);
        copied = at + c.len_utf8();
    }
    out.push_str(&text[copied..]);
}
