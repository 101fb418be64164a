use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::document::DocumentError;
use crate::event::{Data, Extension, ExtensionName};
use crate::limits::{DOCUMENT_EVENTS_MAX, EXTENSIONS_MAX};

/// A valid event whose members the tests change.
const EVENT: &str = r#"{"specversion":"1.0","id":"0190b6e2-1111-7000-8000-000000000001","source":"/s","type":"T","subject":"s","time":"2026-01-02T03:04:05Z","sequence":"1","epoch":"0123456789abcdef","check":"00aa11bb22cc","recorded":"2026-01-02T03:04:05Z","version":1}"#;

/// The event with further members.
fn with(members: &str) -> String {
    format!("{},{members}}}", EVENT.trim_end_matches('}'))
}

/// The event with one text in place of another.
fn changed(from: &str, to: &str) -> String {
    assert!(EVENT.contains(from), "{from}");
    EVENT.replacen(from, to, 1)
}

/// Checks that `event` is refused as the second of a batch, with `reason`.
#[track_caller]
fn refused(event: &str, reason: &str) {
    match read_batch(format!("[{EVENT},{event}]").as_bytes()) {
        Err(DocumentError::Event {
            index: 1,
            reason: found,
            ..
        }) => assert!(found.contains(reason), "{found}"),
        other => panic!("{reason}: {other:?}"),
    }
    assert!(read_event(event.as_bytes()).is_err());
}

#[track_caller]
fn malformed(bytes: &[u8]) {
    let error = read_batch(bytes).unwrap_err();
    assert!(
        matches!(error, DocumentError::Malformed { .. }),
        "{error:?}"
    );
}

proptest! {
    #[test]
    fn batches_come_back(events in vec(arbitrary::events(), 0..4)) {
        let bytes = write_batch(&events);
        prop_assert_eq!(read_batch(&bytes).unwrap(), events);
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok());
    }

    #[test]
    fn events_come_back(event in arbitrary::events()) {
        prop_assert_eq!(read_event(&write_event(&event)).unwrap(), event);
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = read_batch(&bytes);
        let _ = read_event(&bytes);
    }

    #[test]
    fn what_is_taken_can_be_written(bytes in arbitrary::mutated(arbitrary::events().prop_map(|event| write_event(&event)))) {
        if let Ok(event) = read_event(&bytes) {
            prop_assert_eq!(read_event(&write_event(&event)).unwrap(), event);
        }
    }

    #[test]
    fn times_are_cut_to_microseconds(nanos in 0..1_000_000_000u32, year in 0..10_000u32) {
        let time = format!("{year:04}-01-02T03:04:05.{nanos:09}Z");
        let event = read_event(changed("2026-01-02T03:04:05Z", &time).as_bytes()).unwrap();
        prop_assert_eq!(event.time.timestamp_subsec_nanos(), nanos / 1_000 * 1_000);
        prop_assert_eq!(read_event(&write_event(&event)).unwrap(), event);
    }
}

/// Whoever changes these bytes raises [`RENDER_VERSION`](crate::RENDER_VERSION).
#[test]
fn the_bytes_of_version_1_stay() {
    let golden = include_bytes!("../golden/archive.r1.json");
    let events = arbitrary::golden().events;
    let written = write_batch(&events);
    assert_eq!(
        String::from_utf8_lossy(&written),
        String::from_utf8_lossy(golden)
    );
    assert_eq!(read_batch(golden).unwrap(), events);
}

#[test]
fn events_and_batches_end_as_lines_do() {
    assert_eq!(write_batch(&[]), b"[]\n");
    let event = read_event(EVENT.as_bytes()).unwrap();
    let one = write_event(&event);
    let batch = write_batch(&[event.clone(), event]);
    assert_eq!(batch.split(|b| *b == b'\n').count(), 5);
    assert!(
        batch
            .windows(one.len() - 1)
            .any(|part| part == &one[..one.len() - 1])
    );
}

#[test]
fn members_are_written_in_one_order() {
    let event = with(
        r#""zz":true,"aa":-1,"correlationid":"c","causationid":"0190b6e2-1111-7000-8000-000000000001","traceparent":"t","dataschema":"d","data": [1, 1.50]"#,
    );
    let written = write_event(&read_event(event.as_bytes()).unwrap());
    let expected = r#"{"specversion":"1.0","id":"0190b6e2-1111-7000-8000-000000000001","source":"/s","type":"T","subject":"s","time":"2026-01-02T03:04:05.000000Z","datacontenttype":"application/json","dataschema":"d","sequence":"00000000000000000001","epoch":"0123456789abcdef","check":"00aa11bb22cc","recorded":"2026-01-02T03:04:05.000000Z","version":1,"traceparent":"t","causationid":"0190b6e2-1111-7000-8000-000000000001","correlationid":"c","aa":-1,"zz":true,"data":[1, 1.50]}
"#;
    assert_eq!(String::from_utf8(written).unwrap(), expected);
}

#[test]
fn each_required_attribute_is_required_once() {
    let members: Vec<&str> = EVENT.trim_matches(['{', '}']).split(',').collect();
    assert_eq!(members.len(), 11);
    for (index, member) in members.iter().enumerate() {
        let name = member.split('"').nth(1).unwrap();
        let mut without = members.clone();
        without.remove(index);
        refused(
            &format!("{{{}}}", without.join(",")),
            &format!("{name} is missing"),
        );
        refused(&with(member), &format!("{name}: it is there twice"));
        let null = format!("\"{name}\":null");
        refused(&with(&null), &format!("{name}: it is there twice"));
        without.push(&null);
        refused(
            &format!("{{{}}}", without.join(",")),
            &format!("{name} is missing"),
        );
    }
}

#[test]
fn wrong_attributes_are_refused() {
    let id = "0190b6e2-1111-7000-8000-000000000001";
    for (from, to, reason) in [
        (r#""1.0""#, r#""0.3""#, "specversion"),
        (r#""1.0""#, "1.0", "specversion"),
        (id, "1", "id: "),
        (r#""/s""#, r#""""#, "source: "),
        (r#""/s""#, r#""\u0007""#, "source: "),
        (r#""T""#, r#""a b""#, "type: "),
        (r#""T""#, "{}", "type: "),
        (r#""s""#, "5", "subject: "),
        ("2026-01-02T", "2026-01-02 at ", "time: "),
        (
            "2026-01-02T03:04:05Z",
            "9999-12-31T23:59:59-01:00",
            "time: ",
        ),
        ("0123456789abcdef", "0123456789ABCDEF", "epoch: "),
        ("00aa11bb22cc", "00aa", "check: "),
        (r#""version":1"#, r#""version":0"#, "version: "),
        (r#""version":1"#, r#""version":-1"#, "version: "),
        (r#""version":1"#, r#""version":1.5"#, "version: "),
        (r#""version":1"#, r#""version":"1""#, "version: "),
        (r#""version":1"#, r#""version":2147483648"#, "version: "),
        (
            r#""version":1"#,
            r#""version":18446744073709551615"#,
            "version: ",
        ),
    ] {
        refused(&changed(from, to), reason);
    }
}

#[test]
fn sequences_are_1_to_20_digits_and_not_zero() {
    let sequence = |text: &str| changed(r#""sequence":"1""#, &format!("\"sequence\":\"{text}\""));
    for (text, position) in [
        ("7", 7),
        ("00000000000000000042", 42),
        ("1099511627775", 1_099_511_627_775),
    ] {
        let event = read_event(sequence(text).as_bytes()).unwrap();
        assert_eq!(event.position.get(), position);
    }
    for text in [
        "",
        "0",
        "00000000000000000000",
        "+1",
        "-1",
        "1 ",
        "000000000000000000001",
        "1099511627776",
        "99999999999999999999",
    ] {
        refused(&sequence(text), "sequence: ");
    }
    refused(
        &changed(r#""sequence":"1""#, r#""sequence":1"#),
        "sequence: ",
    );
}

#[test]
fn data_is_taken_as_it_is() {
    let data = |members: &str| read_event(with(members).as_bytes()).unwrap().data;
    let json = |text: &str| Some(Data::new("application/json", text.into()).unwrap());
    assert_eq!(data(r#""datacontenttype":"text/plain""#), None);
    assert_eq!(data(r#""data_base64":null"#), None);
    assert_eq!(data(r#""data": null "#), json("null"));
    assert_eq!(data(r#""data": {"a" : 1.50} "#), json("{\"a\" : 1.50}"));
    assert_eq!(data(r#""data_base64":"e30=""#), json("{}"));
    let text = Data::new("text/plain", b"{}".to_vec()).unwrap();
    assert_eq!(
        data(r#""data_base64":"e30=","datacontenttype":"text/plain""#),
        Some(text)
    );
    let empty = Data::new("text/plain", vec![]).unwrap();
    assert_eq!(
        data(r#""datacontenttype":"text/plain","data_base64":"""#),
        Some(empty)
    );
    let other = Data::new("application/vnd.x+json", b"[ ]".to_vec()).unwrap();
    assert_eq!(
        data(r#""data":[ ],"datacontenttype":"application/vnd.x+json""#),
        Some(other)
    );
}

#[test]
fn wrong_data_is_refused() {
    for (members, reason) in [
        (r#""data":1,"data_base64":"MQ==""#, "both"),
        (r#""data":null,"data_base64":"MQ==""#, "both"),
        (
            r#""data":1,"datacontenttype":"text/plain""#,
            "data_base64 is expected",
        ),
        (r#""data":1,"datacontenttype":"nonsense""#, "nonsense"),
        (r#""data_base64":"MQ""#, "data_base64: "),
        (r#""data_base64":"*""#, "data_base64: "),
        (r#""data_base64":1"#, "data_base64: "),
        (r#""data_base64":"YQ==""#, "JSON"),
        (r#""data":1,"datacontenttype":7"#, "datacontenttype: "),
        (r#""data":1,"data":1"#, "data: it is there twice"),
    ] {
        refused(&with(members), reason);
    }
}

#[test]
fn unknown_members_are_extensions() {
    let event = with(r#""a":true,"b":-2147483648,"c":"\u0041","d":null"#);
    let event = read_event(event.as_bytes()).unwrap();
    let extension = |name: &str| {
        event
            .extensions
            .get(&ExtensionName::new(name).unwrap())
            .cloned()
    };
    assert_eq!(extension("a"), Some(Extension::Boolean(true)));
    assert_eq!(extension("b"), Some(Extension::Integer(i32::MIN)));
    assert_eq!(extension("c"), Some(Extension::Text("A".to_owned())));
    assert_eq!(extension("d"), None);
    for (members, reason) in [
        (r#""a":2147483648"#, "a: "),
        (r#""a":1.5"#, "a: "),
        (r#""a":[[1]]"#, "a: "),
        (r#""a":{"b":{}}"#, "a: "),
        (r#""a":"""#, "a: "),
        (r#""a":"\n""#, "a: "),
        (r#""a_b":"x""#, "a_b"),
        (r#""database64":"x""#, "database64"),
        (r#""a":1,"\u0061":1"#, "a: it is there twice"),
        (r#""a":null,"a":1"#, "a: it is there twice"),
    ] {
        refused(&with(members), reason);
    }
}

#[test]
fn extensions_are_limited() {
    let many = |count: usize, value: &str| {
        let members: Vec<_> = (0..count).map(|n| format!("\"x{n}\":{value}")).collect();
        with(&members.join(","))
    };
    assert!(read_event(many(EXTENSIONS_MAX, "1").as_bytes()).is_ok());
    refused(&many(EXTENSIONS_MAX + 1, "1"), "more than 16 extensions");
    refused(&many(1_000, "null"), "more than 16 extensions");
}

#[test]
fn events_are_limited() {
    let batch = |count: usize| format!("[{}]", vec![EVENT; count].join(","));
    let full = read_batch(batch(DOCUMENT_EVENTS_MAX).as_bytes()).unwrap();
    assert_eq!(full.len(), DOCUMENT_EVENTS_MAX);
    // What follows the first event beyond the limit is not even looked at.
    let mut more = batch(DOCUMENT_EVENTS_MAX + 1);
    more.truncate(more.len() - 1);
    let error = read_batch(more.as_bytes()).unwrap_err();
    assert!(
        matches!(
            error,
            DocumentError::Limit {
                what: "events",
                max: DOCUMENT_EVENTS_MAX,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn what_is_no_json_is_refused() {
    let batch = format!("[{EVENT}]");
    for bad in [
        "",
        "[",
        "[] []",
        "{}",
        "null",
        &format!("\u{feff}{batch}"),
        &format!("{batch}x"),
        &batch[..batch.len() - 1],
        &format!("[{EVENT},]"),
        &format!("[{}]", with(r#""data":{]"#)),
        &format!("[{}", with(r#""data":"#)),
    ] {
        malformed(bad.as_bytes());
    }
    let marked = read_batch(format!("\u{feff}{batch}").as_bytes()).unwrap_err();
    assert!(marked.to_string().contains("byte order mark"), "{marked}");
    let mut latin = with(r#""a":"?""#).into_bytes();
    let at = latin.iter().position(|b| *b == b'?').unwrap();
    latin[at] = 0xe9;
    malformed(&latin);
    let utf16: Vec<u8> = batch.encode_utf16().flat_map(u16::to_le_bytes).collect();
    malformed(&utf16);
    refused("1", "a CloudEvent");
    refused("[]", "a CloudEvent");
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let _ = read_event(with(&format!("\"a\":{}", deep(200_000))).as_bytes());
    let _ = read_event(with(&format!("\"data\":{}", deep(200_000))).as_bytes());
    let _ = read_batch(deep(200_000).as_bytes());
}
