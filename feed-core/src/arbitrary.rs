//! Strategies for every legal event and document: what the codecs are tested with.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::document::{Document, DocumentKind, Links};
use crate::event::{Data, Event, EventId, EventType, Extension, ExtensionName, Subject, Version};
use crate::feed::{FeedIdentity, Visibility};
use crate::limits::{EXTENSIONS_MAX, POSITION_MAX, VERSION_MAX};
use crate::position::{Check, Cursor, Epoch, Position};
use crate::{FeedName, PageCapacity};

/// Any event that a feed can hold.
pub(crate) fn events() -> impl Strategy<Value = Event> {
    let names = (
        any::<[u8; 16]>(),
        attribute_texts(),
        "[!-~]{1,24}",
        "[!-~]{1,24}",
    );
    let place = (
        1..=VERSION_MAX,
        times(),
        times(),
        1..=POSITION_MAX,
        any::<[u8; 8]>(),
        any::<[u8; 6]>(),
    );
    let context = (
        option::of(attribute_texts()),
        option::of(attribute_texts()),
        option::of(any::<[u8; 16]>()),
        option::of(attribute_texts()),
    );
    (names, place, context, extensions(), option::of(data())).prop_map(
        |(names, place, context, extensions, data)| Event {
            id: EventId::from_bytes(names.0),
            source: names.1.into(),
            event_type: EventType::new(names.2).unwrap(),
            subject: Subject::new(names.3).unwrap(),
            version: Version::new(place.0).unwrap(),
            time: place.1,
            recorded: place.2,
            position: Position::new(place.3).unwrap(),
            epoch: Epoch::from_bytes(place.4),
            check: Check::from_bytes(place.5),
            dataschema: context.0,
            traceparent: context.1,
            causationid: context.2.map(EventId::from_bytes),
            correlationid: context.3,
            extensions,
            data,
        },
    )
}

/// Any document of up to six events.
pub(crate) fn documents() -> impl Strategy<Value = Document> {
    let kind = prop_oneof![
        Just(DocumentKind::Head),
        Just(DocumentKind::Tail),
        Just(DocumentKind::Archive)
    ];
    let links = (
        option::of(attribute_texts()),
        option::of(attribute_texts()),
        option::of(attribute_texts()),
    );
    let head = option::of((any::<[u8; 8]>(), 1..=POSITION_MAX, any::<[u8; 6]>()));
    let feed = (attribute_texts(), "\\PC{0,20}");
    (
        kind,
        feed,
        times(),
        vec(events(), 0..6),
        links,
        head,
        any::<Option<bool>>(),
    )
        .prop_map(
            |(kind, feed, updated, events, links, head, caught_up)| Document {
                kind,
                feed: Arc::new(identity(&feed.0, &feed.1)),
                updated,
                events,
                links: Links {
                    this: "orders".to_owned(),
                    current: "orders".to_owned(),
                    next: links.0,
                    prev_archive: links.1,
                    tail: links.2,
                    events: "orders/events/".to_owned(),
                },
                head: head.map(|(epoch, position, check)| Cursor {
                    epoch: Epoch::from_bytes(epoch),
                    position: Position::new(position).unwrap(),
                    check: Check::from_bytes(check),
                }),
                caught_up,
            },
        )
}

/// `bytes` with some of them replaced, removed, repeated or inserted: nearly a document.
pub(crate) fn mutated(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        "[<>&;/\"'\\[\\]{}:, 0-9a-z\u{0}]{0,3}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..3),
        Just(b"<!DOCTYPE a>".to_vec()),
        Just(b"<![CDATA[".to_vec()),
        Just(b"&#0;".to_vec()),
    ];
    let changes = vec(
        (
            any::<prop::sample::Index>(),
            0..40usize,
            pieces,
            any::<bool>(),
        ),
        0..4,
    );
    (bytes, changes).prop_map(|(mut bytes, changes)| {
        for (at, length, piece, repeat) in changes {
            let begin = at.index(bytes.len() + 1);
            let end = bytes.len().min(begin + length);
            let old: Vec<u8> = bytes.splice(begin..end, piece).collect();
            if repeat {
                let again = [&old[..], &old[..]].concat();
                bytes.splice(begin..begin, again);
            }
        }
        bytes
    })
}

/// An archive with one event of every kind that is written in its own way; its bytes are frozen.
pub(crate) fn golden() -> Document {
    let time = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let epoch: Epoch = "0123456789abcdef".parse().unwrap();
    let mut check = Check::START;
    let mut event = |number: u32, event_type: &str, data: Option<Data>| {
        let id = format!("0190b6e2-1111-7000-8000-{number:012}");
        let id: EventId = id.parse().unwrap();
        check = check.next(id);
        Event {
            id,
            source: "/order-svc/orders".into(),
            event_type: EventType::new(event_type).unwrap(),
            subject: Subject::new("order-7f3a").unwrap(),
            version: Version::new(number).unwrap(),
            time: time("2026-01-02T03:04:05.000006Z"),
            recorded: time("2026-01-02T03:04:05.100006Z"),
            position: Position::new(number.into()).unwrap(),
            epoch,
            check,
            dataschema: None,
            traceparent: None,
            causationid: None,
            correlationid: None,
            extensions: Default::default(),
            data,
        }
    };
    let json = "{\"customer\" : \"Zoë <&> ]]> 😀\",\r\n\t\"price\": 1.50}";
    let data = |kind: &str, bytes: &[u8]| Some(Data::new(kind, bytes.to_vec()).unwrap());
    let mut full = event(1, "OrderCreated", data("application/json", json.as_bytes()));
    full.dataschema = Some("https://example.com/order.json?a=1&b=2".to_owned());
    full.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    full.causationid = Some(EventId::from_bytes([7; 16]));
    full.correlationid = Some("conversation \"1\"".to_owned());
    for (name, value) in [
        ("partitionkey", Extension::Text(" <line> 4 ".to_owned())),
        ("priority", Extension::Integer(-3)),
        ("replayed", Extension::Boolean(false)),
    ] {
        full.extensions
            .insert(ExtensionName::new(name).unwrap(), value);
    }
    let events = vec![
        full,
        event(
            2,
            "OrderPhotographed",
            data("image/png", &[0x89, b'P', b'N', b'G', 0, 255]),
        ),
        event(
            3,
            "OrderNoted",
            data("text/plain; charset=utf-8", "grün\n".as_bytes()),
        ),
        event(4, "OrderPrinted", data("application/octet-stream", &[])),
        event(
            5,
            "OrderMarked",
            data("application/json", "\"\u{ffff}\"".as_bytes()),
        ),
        event(6, "OrderClosed", None),
    ];
    Document {
        kind: DocumentKind::Archive,
        feed: Arc::new(identity("order-svc", "Orders & \"lines\"")),
        updated: time("2026-01-02T03:04:05.100006Z"),
        events,
        links: Links {
            this: "../0123456789abcdef/2.r1.atom".to_owned(),
            current: "../../../orders".to_owned(),
            next: Some("../0123456789abcdef/3.r1.atom".to_owned()),
            prev_archive: Some("../0123456789abcdef/1.r1.atom".to_owned()),
            tail: None,
            events: "../../events/".to_owned(),
        },
        head: None,
        caught_up: None,
    }
}

/// A feed `orders`.
pub(crate) fn identity(author: &str, title: &str) -> FeedIdentity {
    FeedIdentity {
        name: FeedName::new("orders").unwrap(),
        id: uuid::Uuid::from_u128(0x0190b6e2_0000_7000_8000_00000000feed),
        author: author.to_owned(),
        title: title.to_owned(),
        source: "/order-svc/orders".into(),
        visibility: Visibility::Public,
        capacity: PageCapacity::DEFAULT,
        event_bytes_max: 65_536,
        created: DateTime::UNIX_EPOCH,
    }
}

/// Every microsecond of the years 0000 to 9999, with more of our own.
fn times() -> impl Strategy<Value = DateTime<Utc>> {
    prop_oneof![
        -62_167_219_200_000_000..=253_402_300_799_999_999i64,
        1_700_000_000_000_000..1_800_000_000_000_000i64,
    ]
    .prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

/// Texts that attributes may have, with all that must be escaped, and white space at the ends.
fn attribute_texts() -> impl Strategy<Value = String> {
    let texts = prop_oneof![
        "[ -~]{1,20}",
        "[<>&\"'\\\\/ \\]]{1,12}",
        "[a-zäß€ \u{a0}\u{2028}\u{fffd}\u{1f600}]{1,8}",
        "\\PC{1,10}",
    ];
    texts.prop_filter("an attribute's text", |text| {
        crate::event::is_attribute_text(text)
    })
}

fn extensions() -> impl Strategy<Value = std::collections::BTreeMap<ExtensionName, Extension>> {
    let names = "x[a-z0-9]{0,19}".prop_map(|name| ExtensionName::new(name).unwrap());
    let values = prop_oneof![
        any::<bool>().prop_map(Extension::Boolean),
        any::<i32>().prop_map(Extension::Integer),
        attribute_texts().prop_map(Extension::Text),
    ];
    btree_map(names, values, 0..=EXTENSIONS_MAX)
}

fn data() -> impl Strategy<Value = Data> {
    let json_types = prop_oneof![
        4 => Just("application/json"),
        1 => Just("application/JSON"),
        1 => Just("application/vnd.lamp+json;v=\"1\""),
    ];
    let binary_types = prop_oneof![
        Just("application/octet-stream"),
        Just("image/png; a=b "),
        Just("text/plain"),
        Just("TEXT/html;charset=utf-8"),
        Just("application/xml"),
        Just("image/svg+XML ; a=\"b\""),
        Just("multipart/mixed"),
        Just("message/http"),
        Just("application/jsonx"),
    ];
    let bytes = prop_oneof![
        any::<Vec<u8>>(),
        Just(Vec::new()),
        "[ \t\r\n<&>a]{0,8}".prop_map(String::into_bytes),
    ];
    prop_oneof![
        (json_types, json_texts())
            .prop_map(|(kind, text)| Data::new(kind, text.into_bytes()).unwrap()),
        (binary_types, bytes).prop_map(|(kind, bytes)| Data::new(kind, bytes).unwrap()),
    ]
}

/// JSON texts as others print them: white space, escapes, raw noncharacters, numbers beyond `f64`.
pub(crate) fn json_texts() -> impl Strategy<Value = String> {
    let leaves = prop_oneof![
        prop_oneof![
            Just("null"),
            Just("true"),
            Just("-0"),
            Just("1.50"),
            Just("1e400"),
            Just("12345678901234567890123")
        ]
        .prop_map(str::to_owned),
        json_strings(),
    ];
    leaves.prop_recursive(3, 16, 3, |inner| {
        let array = vec(inner.clone(), 0..3)
            .prop_map(|items| items.join(","))
            .prop_map(|items| format!("[{items}]"));
        let object = vec((json_strings(), inner), 0..3).prop_map(|members| {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{name}:{value}"))
                .collect();
            format!("{{{}}}", members.join(","))
        });
        (
            prop_oneof![array, object],
            "[ \t\r\n]{0,4}",
            "[ \t\r\n]{0,3}",
        )
            .prop_map(|(text, before, within)| {
                let (open, rest) = text.split_at(1);
                let (inside, close) = rest.split_at(rest.len() - 1);
                format!("{before}{open}{within}{inside}{within}{close}")
            })
    })
}

fn json_strings() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        Just("\\u0000"),
        Just("\\u001f"),
        Just("\\ud83d\\ude00"),
        Just("\\r\\n\\t\\\"\\\\\\/"),
        Just("\u{ffff}"),
        Just("\u{fffe}"),
        Just("\u{fdd0}"),
        Just("\u{1ffff}"),
        Just("\u{7f}\u{85}\u{2028}\u{feff}"),
        Just("😀"),
        Just("]]>"),
        Just("<![CDATA[&amp;&#13;"),
        Just("  "),
        Just("ü'a"),
    ];
    // Mostly without what XML cannot hold, so that both ways of writing JSON are met.
    vec(parts, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
}
