//! The batches that our own writer writes, read in one pass over their bytes.
//!
//! Whoever catches up reads millions of events, and nearly all of them as `write.rs` lays them out: the same members in
//! the same order, without white space. What follows that layout to the letter is read here; at the first byte that
//! does not, the general reader begins anew. It decides what is valid: this one takes nothing that the general reader
//! refuses, and reads the same events from what both take.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::read::{CONTENT_TYPE_DEFAULT, binary_data, json_data};
use super::scan;
use crate::event::{
    Data, Event, EventId, EventType, Extension, ExtensionName, Subject, Version, is_attribute_text,
};
use crate::limits::{DOCUMENT_EVENTS_MAX, EXTENSIONS_MAX, POSITION_MAX};
use crate::position::{Check, Epoch, Position};

/// The events of `page`; none when it is not laid out as ours are, or not valid. Their JSON data is shared with `page`.
pub(super) fn read_batch(page: &Bytes) -> Option<Vec<Event>> {
    let mut ours = Ours::new(page.len());
    if ours.read(page)? < page.len() {
        return None;
    }
    ours.finish()
}

/// A batch as far as it was read.
pub(super) struct Ours {
    events: Vec<Event>,
    next: Next,
    last: Last,
    /// How long all of it is, as far as that is known: for how many events there should be room.
    bytes: usize,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Begin,
    Event,
    /// What stands behind an event.
    Behind,
    Nothing,
}

impl Ours {
    pub(super) fn new(bytes: usize) -> Self {
        Ours {
            events: Vec::new(),
            next: Next::Begin,
            last: Last::default(),
            bytes,
        }
    }

    /// All events, if the batch is over.
    pub(super) fn finish(self) -> Option<Vec<Event>> {
        (self.next == Next::Nothing).then_some(self.events)
    }

    /// Reads on in `piece`, as far as it goes and follows the layout. Returns how many bytes that were; none when there are
    /// too many events.
    pub(super) fn read(&mut self, piece: &Bytes) -> Option<usize> {
        // Most are, and that is seen faster than whether it is UTF-8.
        let is_ascii = piece.is_ascii();
        let mut read = 0;
        while self.next != Next::Nothing {
            let mut reader = Reader {
                page: piece,
                at: read,
                last: &mut self.last,
            };
            let next = match self.next {
                Next::Begin if reader.skip(b"[\n") => Next::Event,
                Next::Begin if reader.skip(b"[]\n") => Next::Nothing,
                Next::Behind if reader.skip(b",\n") => Next::Event,
                Next::Behind if reader.skip(b"\n]\n") => Next::Nothing,
                Next::Event => {
                    let Some(event) = reader.event() else { break };
                    let text = &piece[read..reader.at];
                    if !is_ascii && std::str::from_utf8(text).is_err() {
                        break;
                    }
                    if self.events.is_empty() {
                        let about = self.bytes / text.len() + 1;
                        self.events.reserve(about.min(DOCUMENT_EVENTS_MAX));
                    } else if self.events.len() == DOCUMENT_EVENTS_MAX {
                        return None;
                    }
                    self.events.push(event);
                    Next::Behind
                }
                Next::Begin | Next::Behind | Next::Nothing => break,
            };
            (self.next, read) = (next, reader.at);
        }
        Some(read)
    }
}

struct Reader<'p, 'l> {
    page: &'p Bytes,
    /// What comes next.
    at: usize,
    last: &'l mut Last,
}

/// What the last event had: the next one mostly has the same, which is then not checked again.
#[derive(Default)]
struct Last {
    source: Option<Arc<str>>,
    event_type: Option<EventType>,
    date: Option<([u8; 10], NaiveDate)>,
}

/// `YYYY-MM-DDTHH:MM:SS.ffffffZ`: how we print times.
const TIME_BYTES: usize = 27;

impl<'p> Reader<'p, '_> {
    fn rest(&self) -> &'p [u8] {
        self.page.get(self.at..).unwrap_or_default()
    }

    /// Passes `text`, if it comes next.
    fn skip<const N: usize>(&mut self, text: &[u8; N]) -> bool {
        let comes = self.rest().first_chunk::<N>() == Some(text);
        if comes {
            self.at += N;
        }
        comes
    }

    fn literal<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        self.skip(text).then_some(())
    }

    fn fixed<const N: usize>(&mut self) -> Option<&'p [u8; N]> {
        let fixed = self.rest().first_chunk::<N>()?;
        self.at += N;
        Some(fixed)
    }

    /// A string without escapes, up to and with its closing quote.
    fn plain(&mut self) -> Option<&'p [u8]> {
        let end = scan::plain(self.page, self.at)?;
        let plain = self.page.get(self.at..end)?;
        self.at = end + 1;
        Some(plain)
    }

    fn plain_text(&mut self) -> Option<&'p str> {
        std::str::from_utf8(self.plain()?).ok()
    }

    /// The text of an attribute without a type of its own.
    fn attribute(&mut self) -> Option<String> {
        self.plain_text()
            .filter(|text| is_attribute_text(text))
            .map(str::to_owned)
    }

    /// Such a text, if this beginning of a member comes next: the outer none is for one that is not valid.
    fn optional<const N: usize>(&mut self, begin: &[u8; N]) -> Option<Option<String>> {
        if self.skip(begin) {
            self.attribute().map(Some)
        } else {
            Some(None)
        }
    }

    fn event(&mut self) -> Option<Event> {
        self.literal(br#"{"specversion":"1.0","id":""#)?;
        let id = self.id()?;
        self.literal(br#"","source":""#)?;
        let source = self.source()?;
        self.literal(br#","type":""#)?;
        let event_type = self.event_type()?;
        self.literal(br#","subject":""#)?;
        let subject = Subject::new(self.plain_text()?).ok()?;
        self.literal(br#","time":""#)?;
        let time = self.time()?;
        self.literal(b"\"")?;
        let content_type = if self.skip(br#","datacontenttype":""#) {
            Some(self.plain_text()?)
        } else {
            None
        };
        let dataschema = self.optional(br#","dataschema":""#)?;
        self.literal(br#","sequence":""#)?;
        let position = self.position()?;
        self.literal(br#"","epoch":""#)?;
        let epoch = Epoch::from_hex(self.fixed::<16>()?)?;
        self.literal(br#"","check":""#)?;
        let check = Check::from_hex(self.fixed::<12>()?)?;
        self.literal(br#"","recorded":""#)?;
        let recorded = self.time()?;
        self.literal(br#"","version":"#)?;
        let version = self.version()?;
        let traceparent = self.optional(br#","traceparent":""#)?;
        let causationid = if self.skip(br#","causationid":""#) {
            let id = self.id()?;
            self.literal(b"\"")?;
            Some(id)
        } else {
            None
        };
        let mut event = Event {
            id,
            source,
            event_type,
            subject,
            version,
            time,
            recorded,
            position,
            epoch,
            check,
            dataschema,
            traceparent,
            causationid,
            correlationid: self.optional(br#","correlationid":""#)?,
            extensions: Default::default(),
            data: None,
        };
        self.end_of_event(&mut event, content_type)?;
        Some(event)
    }

    /// Data, and the extensions before it.
    fn end_of_event(&mut self, event: &mut Event, content_type: Option<&str>) -> Option<()> {
        loop {
            if self.skip(br#","data":"#) {
                event.data = Some(self.json(content_type?)?);
                return self.literal(b"}");
            }
            if self.skip(br#","data_base64":""#) {
                let text = self.plain_text()?;
                event.data = Some(binary_data(content_type?, text).ok()?);
                return self.literal(b"}");
            }
            if self.skip(b"}") {
                // We write no type of data that is not there.
                return content_type.is_none().then_some(());
            }
            self.extension(event)?;
        }
    }

    /// In the order of their names, so that none comes twice.
    fn extension(&mut self, event: &mut Event) -> Option<()> {
        self.literal(b",\"")?;
        let name = ExtensionName::new(self.plain_text()?).ok()?;
        self.literal(b":")?;
        let last = event.extensions.last_key_value();
        let in_order = last.is_none_or(|(last, _)| *last < name);
        if !in_order || event.extensions.len() == EXTENSIONS_MAX {
            return None;
        }
        let value = if self.skip(b"\"") {
            Extension::Text(self.attribute()?)
        } else if self.skip(b"true") {
            Extension::Boolean(true)
        } else if self.skip(b"false") {
            Extension::Boolean(false)
        } else {
            Extension::Integer(self.integer()?)
        };
        event.extensions.insert(name, value);
        Some(())
    }

    /// As an integer is printed: neither zeros before it, nor a zero with a sign.
    fn integer(&mut self) -> Option<i32> {
        let rest = self.rest();
        let signed = usize::from(rest.first() == Some(&b'-'));
        let digits = rest.iter().skip(signed).take(11);
        let count = digits.take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(rest.get(..signed + count)?).ok()?;
        let number: i32 = text.parse().ok()?;
        let canonical = rest.get(signed) != Some(&b'0') || text == "0";
        self.at += text.len();
        canonical.then_some(number)
    }

    fn json(&mut self, content_type: &str) -> Option<Data> {
        let Range { start, end } = self.at..scan::value(self.page, self.at)?;
        self.at = end;
        if content_type == CONTENT_TYPE_DEFAULT {
            return Some(Data::from_checked(self.page.slice(start..end)));
        }
        json_data(content_type, self.page.get(start..end)?).ok()
    }

    fn id(&mut self) -> Option<EventId> {
        let id = Uuid::try_parse_ascii(self.fixed::<36>()?).ok()?;
        Some(EventId::from_bytes(*id.as_bytes()))
    }

    fn source(&mut self) -> Option<Arc<str>> {
        let text = self.plain()?;
        if let Some(source) = &self.last.source
            && source.as_bytes() == text
        {
            return Some(source.clone());
        }
        let source = std::str::from_utf8(text).ok()?;
        let source: Arc<str> = is_attribute_text(source).then_some(source)?.into();
        self.last.source = Some(source.clone());
        Some(source)
    }

    fn event_type(&mut self) -> Option<EventType> {
        let text = self.plain()?;
        if let Some(event_type) = &self.last.event_type
            && event_type.as_str().as_bytes() == text
        {
            return Some(event_type.clone());
        }
        let event_type = EventType::new(std::str::from_utf8(text).ok()?).ok()?;
        self.last.event_type = Some(event_type.clone());
        Some(event_type)
    }

    /// Padded to twenty digits, of which no position needs more than thirteen.
    fn position(&mut self) -> Option<Position> {
        self.literal(b"0000000")?;
        let number = decimal(self.fixed::<13>()?)?;
        (1..=POSITION_MAX).contains(&number).then_some(())?;
        Position::new(number).ok()
    }

    fn version(&mut self) -> Option<Version> {
        let number = u32::try_from(self.integer()?).ok()?;
        Version::new(number)
            .ok()
            .filter(|version| *version != Version::NONE)
    }

    fn time(&mut self) -> Option<DateTime<Utc>> {
        let text = self.fixed::<TIME_BYTES>()?;
        let date = self.date(text.first_chunk()?)?;
        let part = |range: Range<usize>| decimal(text.get(range)?)?.try_into().ok();
        let (hour, minute, second) = (part(11..13)?, part(14..16)?, part(17..19)?);
        let marks = [10, 13, 16, 19, 26].map(|at| text[at]);
        // A leap second would be a number of microseconds beyond a million: none is taken here.
        (marks == *b"T::.Z").then_some(())?;
        let time = date.and_hms_micro_opt(hour, minute, second, part(20..26)?)?;
        Some(time.and_utc())
    }

    fn date(&mut self, text: &[u8; 10]) -> Option<NaiveDate> {
        if let Some((last, date)) = &self.last.date
            && last == text
        {
            return Some(*date);
        }
        let part = |range: Range<usize>| decimal(text.get(range)?);
        let year = i32::try_from(part(0..4)?).ok()?;
        let (month, day) = (part(5..7)?.try_into().ok()?, part(8..10)?.try_into().ok()?);
        (text[4] == b'-' && text[7] == b'-').then_some(())?;
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        self.last.date = Some((*text, date));
        Some(date)
    }
}

/// The number that a few digits are.
fn decimal(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    for digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        number = number * 10 + u64::from(value);
    }
    Some(number)
}

#[cfg(test)]
mod tests;
