//! Events as Atom: feeds (RFC 4287) with paging and archiving (RFC 5005), and single entries.
//!
//! What Atom has no place for stands in elements of the namespace [`NAMESPACE`]. JSON data is the entry's text
//! content: with `application/json` as its type, RFC 4287, section 4.1.3.3 would ask for Base64, which nobody can
//! read. All other data is Base64. The media type of the data is in `fw:datacontenttype`, which is there exactly
//! when the event has data.

mod read;
mod write;
mod xml_read;
mod xml_write;

#[cfg(test)]
mod tests;

pub use read::{read_entry, read_feed};
#[cfg(all(feature = "server", feature = "store"))]
pub(crate) use write::{Entries, write_feed_of};
pub use write::{write_entry, write_feed};

/// The namespace of Atom (RFC 4287, section 1.2).
pub const ATOM_NS: &str = "http://www.w3.org/2005/Atom";

/// The namespace of feed paging and archiving (RFC 5005, section 1.2), written with the prefix `fh`.
pub const HISTORY_NS: &str = "http://purl.org/syndication/history/1.0";

/// The namespace of our own elements, written with the prefix `fw`.
pub const NAMESPACE: &str = "urn:feedway:atom:1";

/// What errors call the format.
const FORMAT: &str = "Atom";

/// What stands before a UUID to make it the IRI that Atom asks for in ids (RFC 9562, section 4).
const UUID_URN: &str = "urn:uuid:";

/// Media type of content that cannot be written under its own.
const OPAQUE: &str = "application/octet-stream";

/// Whether XML 1.0 can hold `c` at all, escaped or not (XML 1.0, section 2.2).
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Whether content of this media type is not Base64 by RFC 4287: text (section 4.1.3.3), XML, or composite
/// (section 4.1.3.1), which is not allowed at all.
fn is_inline_type(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    ["text/", "multipart/", "message/"]
        .iter()
        .any(|kind| essence.starts_with(kind))
        || ["/xml", "+xml", "/xml-dtd", "/xml-external-parsed-entity"]
            .iter()
            .any(|ending| essence.ends_with(ending))
}
