//! Every URL of a feed, relative to the document that it stands in, so that a path prefix changes nothing.

use std::fmt;
use std::str::FromStr;

use crate::error::InvalidValue;
use crate::event::{EventId, FeedName};
use crate::page::PageNumber;
use crate::position::{Cursor, Epoch};

/// Version of the bytes that a sealed page is rendered to. Stands in the URL and in the ETag: whoever changes
/// one byte of a sealed document raises it and keeps the old one working.
pub const RENDER_VERSION: u32 = 1;

/// The representations that an archive file exists in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/atom+xml` (RFC 4287).
    Atom,
    /// `application/cloudevents-batch+json` (CloudEvents 1.0 JSON format, section 4).
    Json,
}

impl Format {
    /// The media type of a document with many events.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Atom => "application/atom+xml",
            Format::Json => "application/cloudevents-batch+json",
        }
    }

    /// The media type of a single event.
    pub fn event_media_type(self) -> &'static str {
        match self {
            Format::Atom => "application/atom+xml;type=entry",
            Format::Json => "application/cloudevents+json",
        }
    }

    /// The ending of an archive file.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Atom => "atom",
            Format::Json => "json",
        }
    }
}

/// Name of an archive file, such as `12.r1.atom`: page, render version, format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArchiveFile {
    /// The page.
    pub page: PageNumber,
    /// The representation.
    pub format: Format,
}

impl ArchiveFile {
    /// The page behind this one, in the same representation.
    #[must_use]
    pub fn next(self) -> ArchiveFile {
        ArchiveFile {
            page: self.page.next(),
            ..self
        }
    }
}

impl fmt::Display for ArchiveFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.r{RENDER_VERSION}.{}",
            self.page,
            self.format.extension()
        )
    }
}

impl FromStr for ArchiveFile {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let parsed = || {
            let (page, rest) = text.split_once('.')?;
            let (version, extension) = rest.strip_prefix('r')?.split_once('.')?;
            let format = [Format::Atom, Format::Json]
                .into_iter()
                .find(|format| extension == format.extension())?;
            let page = PageNumber::new(number(page)?).ok()?;
            (number(version)? == u64::from(RENDER_VERSION)).then_some(ArchiveFile { page, format })
        };
        parsed()
            .ok_or_else(|| InvalidValue::new("archive file", text, "PAGE.r1.atom or PAGE.r1.json"))
    }
}

/// A number in its one form, so that a page has one URL: "+1" and "01" are other texts for it.
fn number(digits: &str) -> Option<u64> {
    let is_one = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_one)
}

/// The links of a document. Each is a relative reference (RFC 3986, section 4.2) to be resolved against the
/// document's own URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// `self`: the document.
    pub this: String,
    /// `current`: the head document (RFC 5005, section 4).
    pub current: String,
    /// `next`: what comes after the document's last event. Only in oldest-first documents.
    pub next: Option<String>,
    /// `prev-archive`: the sealed page before (RFC 5005, section 4).
    pub prev_archive: Option<String>,
    /// [`Links::TAIL_RELATION`]: where to follow the feed from the newest event on. Only in the head document.
    pub tail: Option<String>,
    /// What an event's id is put behind to make the event's own URL.
    pub events: String,
}

impl Links {
    /// The relation of the link from the head document to the tail (an extension relation, RFC 8288, section 2.1.2).
    pub const TAIL_RELATION: &'static str = "urn:feedway:rel:tail";

    /// What [`Links::events`] is in a sealed page.
    #[cfg(feature = "store")]
    pub(crate) const EVENTS_FROM_ARCHIVE: &'static str = "../../events/";

    /// Path of a sealed page below the feed's own URL's last segment, such as `archive/0123456789abcdef/12.r1.atom`.
    pub fn archive_path(epoch: Epoch, page: PageNumber, format: Format) -> String {
        format!("archive/{epoch}/{}", ArchiveFile { page, format })
    }

    /// A sealed page, from a document at the feed's own URL (`…/feeds/{feed}`).
    pub fn archive_from_feed(
        feed: &FeedName,
        epoch: Epoch,
        page: PageNumber,
        format: Format,
    ) -> String {
        format!("{feed}/{}", Self::archive_path(epoch, page, format))
    }

    /// A sealed page, from another one (`…/feeds/{feed}/archive/{epoch}/{file}`).
    pub fn archive_from_archive(epoch: Epoch, page: PageNumber, format: Format) -> String {
        format!("../{epoch}/{}", ArchiveFile { page, format })
    }

    /// The tail, from a document at the feed's own URL.
    pub fn tail_from_feed(feed: &FeedName, after: Cursor) -> String {
        format!("{feed}?after={after}")
    }

    /// The feed's own URL, from a sealed page.
    pub fn feed_from_archive(feed: &FeedName) -> String {
        format!("../../../{feed}")
    }

    /// URL of the event `id`, relative as the other links.
    pub fn event(&self, id: EventId) -> String {
        format!("{}{id}", self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolve(base: &str, link: &str) -> String {
        url::Url::parse(base)
            .unwrap()
            .join(link)
            .unwrap()
            .to_string()
    }

    #[test]
    fn links_survive_a_path_prefix() {
        let feed = FeedName::new("orders").unwrap();
        let epoch: Epoch = "0123456789abcdef".parse().unwrap();
        let page = PageNumber::new(12).unwrap();
        for prefix in ["http://h", "http://h/some/prefix"] {
            let own = format!("{prefix}/feeds/orders");
            let sealed = format!("{own}/archive/{epoch}/12.r1.json");
            let from_feed = Links::archive_from_feed(&feed, epoch, page, Format::Json);
            assert_eq!(resolve(&format!("{own}?after=start"), &from_feed), sealed);
            let next = Links::archive_from_archive(epoch, page.next(), Format::Json);
            assert_eq!(
                resolve(&sealed, &next),
                format!("{own}/archive/{epoch}/13.r1.json")
            );
            assert_eq!(resolve(&sealed, &Links::feed_from_archive(&feed)), own);
            let tail = Links::tail_from_feed(&feed, Cursor::start(epoch));
            assert_eq!(resolve(&own, &tail), format!("{own}?after={epoch}.0.0"));
        }
    }

    proptest! {
        #[test]
        fn an_archive_file_has_one_name(text in "[0-9+]{0,4}\\.?r?[0-9]{0,2}\\.?(atom|json|xml)?") {
            if let Ok(file) = text.parse::<ArchiveFile>() {
                prop_assert_eq!(file.to_string(), text);
            }
        }

        #[test]
        fn archive_file_names_come_back(page in 1..1_000_000u64, json in any::<bool>()) {
            let file = ArchiveFile { page: PageNumber::new(page).unwrap(), format: if json { Format::Json } else { Format::Atom } };
            prop_assert_eq!(file.to_string().parse::<ArchiveFile>().unwrap(), file);
        }
    }
}
