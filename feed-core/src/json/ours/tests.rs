use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::json::read::read_any_batch;
use crate::json::write_batch;

fn ours(bytes: &[u8]) -> Option<Vec<Event>> {
    read_batch(&Bytes::copy_from_slice(bytes))
}

/// Events whose attributes need no escapes in JSON, as nearly all.
fn usual_events() -> impl Strategy<Value = Event> {
    arbitrary::events().prop_map(|mut event| {
        let plain = |text: &str| text.replace(['"', '\\'], "'");
        let of = |text: Option<String>| text.map(|text| plain(&text));
        event.source = plain(&event.source).into();
        event.event_type = EventType::new(plain(event.event_type.as_str())).unwrap();
        event.subject = Subject::new(plain(event.subject.as_str())).unwrap();
        event.dataschema = of(event.dataschema);
        event.traceparent = of(event.traceparent);
        event.correlationid = of(event.correlationid);
        for value in event.extensions.values_mut() {
            if let Extension::Text(text) = value {
                *text = plain(text);
            }
        }
        // A media type with a quoted parameter is the one that is left to the general reader.
        event.data = event.data.filter(|data| !data.content_type().contains('"'));
        event
    })
}

fn batches(events: impl Strategy<Value = Event>) -> impl Strategy<Value = Vec<u8>> {
    vec(events, 0..4).prop_map(|events| write_batch(&events))
}

proptest! {
    #[test]
    fn what_we_write_is_read_here(events in vec(usual_events(), 0..4)) {
        let bytes = write_batch(&events);
        prop_assert_eq!(ours(&bytes), Some(events.clone()));
        prop_assert_eq!(read_any_batch(&bytes).unwrap(), events);
    }

    #[test]
    fn whatever_we_write_is_read_the_same_or_left(bytes in batches(arbitrary::events())) {
        if let Some(events) = ours(&bytes) {
            prop_assert_eq!(read_any_batch(&bytes).unwrap(), events);
        }
    }

    #[test]
    fn nothing_is_taken_that_the_general_reader_refuses(bytes in arbitrary::mutated(batches(usual_events()))) {
        if let Some(events) = ours(&bytes) {
            prop_assert_eq!(read_any_batch(&bytes).unwrap(), events);
        }
    }

    #[test]
    fn one_byte_more_or_less_is_decided_as_the_general_reader_does(
        bytes in batches(usual_events()), at in any::<prop::sample::Index>(), byte in prop_oneof![any::<u8>(), Just(b'0'), Just(b'"')], kind in 0..3
    ) {
        let mut bytes = bytes;
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
        if let Some(events) = ours(&bytes) {
            prop_assert_eq!(read_any_batch(&bytes).unwrap(), events);
        }
    }
}

/// The document that is frozen has one event of every kind; two have quotes where most have none.
#[test]
fn the_golden_document_is_read_the_same() {
    let golden = arbitrary::golden().events;
    let usual: Vec<Event> = golden
        .into_iter()
        .filter(|event| event.correlationid.is_none())
        .collect();
    assert_eq!(ours(&write_batch(&usual)), Some(usual));
    assert_eq!(ours(include_bytes!("../../golden/archive.r1.json")), None);
}

#[test]
fn data_is_shared_with_the_document() {
    let events = arbitrary::golden().events;
    let bytes = Bytes::from(write_batch(&events[4..5]));
    let read = read_batch(&bytes).unwrap();
    let data = read[0].data.as_ref().unwrap().bytes();
    assert!(bytes.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn what_is_laid_out_otherwise_is_left() {
    let usual = arbitrary::golden().events.split_off(4);
    let text = String::from_utf8(write_batch(&usual)).unwrap();
    for (from, to) in [
        ("[\n", "[ "),
        ("\n]\n", "]"),
        ("\"check\":", "\"check\": "),
        ("\"version\":5", "\"version\":05"),
        ("\"version\":5", "\"version\":0"),
        ("\"sequence\":\"0000000", "\"sequence\":\"0000001"),
        (
            "\"sequence\":\"00000000000000000005",
            "\"sequence\":\"00000000000000000000",
        ),
        ("\"time\":\"2026-01-02T", "\"time\":\"2026-02-30T"),
        (
            "\"time\":\"2026-01-02T03:04:05",
            "\"time\":\"2026-01-02T03:04:60",
        ),
        ("\"datacontenttype\":\"application/json\",", ""),
        ("\"data\":", "\"data\" :"),
        ("\"data\":", "\"data\":null,\"data\":"),
        ("\"data\":", "\"b\":1,\"a\":2,\"data\":"),
        ("\"data\":", "\"a\":-0,\"data\":"),
        ("\"data\":", "\"a\":1.0,\"data\":"),
        ("\"data\":", "\"a\":2147483648,\"data\":"),
        ("\"data\":", "\"subject\":\"s\",\"data\":"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(ours(text.replacen(from, to, 1).as_bytes()), None, "{to}");
    }
    assert_eq!(ours(text.as_bytes()), Some(usual));
}

#[test]
fn a_batch_that_is_too_long_is_left() {
    let event = arbitrary::golden().events.remove(5);
    let mut events = vec![event.clone(); DOCUMENT_EVENTS_MAX];
    let most = ours(&write_batch(&events));
    assert_eq!(most.map(|most| most.len()), Some(DOCUMENT_EVENTS_MAX));
    events.push(event);
    assert_eq!(ours(&write_batch(&events)), None);
}
