//! Feed documents taken apart and put together wrongly. Pure.

use feed_core::Format;
use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::value::RawValue;

use super::damage::Damage;

const ENTRY_BEGIN: &[u8] = b"<entry>";
const ENTRY_END: &[u8] = b"</entry>";
/// In UTF-8 no byte is this one.
const NO_UTF_8: u8 = 0xff;

/// A document: what stands before its events, the events as they are written, and what stands behind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts<'b> {
    before: &'b [u8],
    events: Vec<&'b [u8]>,
    /// What stands between two events.
    joint: &'static [u8],
    after: &'b [u8],
}

impl<'b> Parts<'b> {
    /// None when it is no document of this form, or written in another way than ours.
    fn of(format: Format, body: &'b [u8]) -> Option<Self> {
        match format {
            Format::Json => {
                let events: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
                let events = events.into_iter().map(|event| event.get().as_bytes());
                Some(Parts {
                    before: b"[\n",
                    events: events.collect(),
                    joint: b",\n",
                    after: b"\n]\n",
                })
            }
            Format::Atom => {
                let (before, mut rest) = body.split_at(find(body, ENTRY_BEGIN)?);
                let mut events = Vec::new();
                // In text `<` is escaped, so what looks like a tag is one.
                while let Some(begin) = find(rest, ENTRY_BEGIN) {
                    let end = begin + find(&rest[begin..], ENTRY_END)? + ENTRY_END.len();
                    events.push(&rest[begin..end]);
                    rest = &rest[end..];
                }
                Some(Parts {
                    before,
                    events,
                    joint: b"\n",
                    after: rest,
                })
            }
        }
    }

    fn written(&self) -> Vec<u8> {
        [self.before, &self.events.join(self.joint), self.after].concat()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// Whether the document has events.
pub(super) fn has_events(format: Format, body: &[u8]) -> bool {
    Parts::of(format, body).is_some_and(|parts| !parts.events.is_empty())
}

/// The document with its events told wrongly. None when it has too few for that, or the damage is none of this kind.
pub(super) fn told_wrongly(
    damage: Damage,
    format: Format,
    body: &[u8],
    random: &mut SmallRng,
) -> Option<Vec<u8>> {
    let mut parts = Parts::of(format, body)?;
    let events = &mut parts.events;
    let count = events.len();
    match damage {
        Damage::Doubled if count > 0 => {
            let at = random.random_range(0..count);
            events.insert(at, events[at]);
        }
        Damage::Gap if count > 1 => drop(events.remove(random.random_range(0..count - 1))),
        Damage::Short if count > 0 => drop(events.pop()),
        Damage::Swapped if count > 1 => {
            let at = random.random_range(0..count - 1);
            events.swap(at, random.random_range(at + 1..count));
        }
        Damage::Reversed if count > 1 => events.reverse(),
        _ => return None,
    }
    Some(parts.written())
}

/// The beginning of a document, never all that it says. None when it says nothing.
pub(super) fn truncated(body: &[u8], random: &mut SmallRng) -> Option<Vec<u8>> {
    let says = body.trim_ascii_end().len();
    (says > 0).then(|| body[..random.random_range(0..says)].to_vec())
}

/// The document with one byte more, by which nobody can take it for one. A byte that is only changed might change what an
/// event says, which no check would show.
pub(super) fn corrupted(body: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut body = body.to_vec();
    body.insert(random.random_range(0..=body.len()), NO_UTF_8);
    body
}

#[cfg(test)]
mod tests {
    use feed_core::{atom, json};
    use rand::SeedableRng;

    use super::*;

    const FORMATS: [Format; 2] = [Format::Json, Format::Atom];

    /// A sealed page of a few events.
    fn page(format: Format) -> Vec<u8> {
        match format {
            Format::Json => include_bytes!("../../fuzz/corpus/json_reader/archive").to_vec(),
            Format::Atom => include_bytes!("../../fuzz/corpus/atom_reader/archive").to_vec(),
        }
    }

    fn ids(format: Format, body: &[u8]) -> Option<Vec<String>> {
        let events = match format {
            Format::Json => json::read_batch(body).ok()?,
            Format::Atom => atom::read_feed(body).ok()?.events,
        };
        Some(events.iter().map(|event| event.id.to_string()).collect())
    }

    #[test]
    fn a_document_can_be_taken_apart_and_put_together() {
        for format in FORMATS {
            let page = page(format);
            let parts = Parts::of(format, &page).unwrap();
            assert_eq!(
                Some(parts.events.len()),
                ids(format, &page).map(|ids| ids.len())
            );
            assert_eq!(ids(format, &parts.written()), ids(format, &page));
            assert!(has_events(format, &page));
        }
        assert!(!has_events(Format::Json, b"[]\n"));
        assert!(!has_events(Format::Json, b"{}\n"));
        assert!(!has_events(Format::Atom, b"<feed></feed>"));
    }

    #[test]
    fn what_is_told_wrongly_can_still_be_read() {
        for format in FORMATS {
            let page = page(format);
            let right = ids(format, &page).unwrap();
            for seed in 0..50 {
                let told = |damage| {
                    let mut random = SmallRng::seed_from_u64(seed);
                    let told = told_wrongly(damage, format, &page, &mut random).unwrap();
                    ids(format, &told).unwrap()
                };
                let mut reversed = right.clone();
                reversed.reverse();
                assert_eq!(told(Damage::Reversed), reversed);
                let mut doubled = told(Damage::Doubled);
                assert_eq!(doubled.len(), right.len() + 1);
                doubled.dedup();
                assert_eq!(doubled, right);
                let gap = told(Damage::Gap);
                assert_eq!(gap.len(), right.len() - 1);
                assert_eq!(gap.last(), right.last());
                assert_eq!(told(Damage::Short), right[..right.len() - 1]);
                let mut swapped = told(Damage::Swapped);
                assert_ne!(swapped, right);
                swapped.sort();
                let mut sorted = right.clone();
                sorted.sort();
                assert_eq!(swapped, sorted);
            }
        }
    }

    #[test]
    fn what_has_no_events_is_not_told_wrongly() {
        let mut random = SmallRng::seed_from_u64(1);
        for damage in Damage::ALL {
            assert_eq!(
                told_wrongly(damage, Format::Json, b"[]\n", &mut random),
                None
            );
        }
    }

    #[test]
    fn nobody_reads_what_is_truncated_or_corrupted() {
        for format in FORMATS {
            for page in [page(format), b"[]\n".to_vec()] {
                for seed in 0..500 {
                    let mut random = SmallRng::seed_from_u64(seed);
                    let truncated = truncated(&page, &mut random).unwrap();
                    assert_eq!(ids(format, &truncated), None);
                    assert_eq!(ids(format, &corrupted(&page, &mut random)), None);
                }
            }
        }
        assert_eq!(truncated(b"\n", &mut SmallRng::seed_from_u64(1)), None);
    }
}
