//! Events that are easily broken on the way.

use chrono::{TimeZone, Utc};
use feed_core::{Data, Extension, InvalidValue, NewEvent};

/// JSON texts that are easily broken on the way.
pub(crate) const TEXTS: [&str; 14] = [
    r#"{"lamp_id":7}"#,
    r#"{"emoji":"💡👩‍👩‍👧","accents":"äßé","rtl":"שלום","zero width":"a\u200bb"}"#,
    r#"{"cdata":"]]>","markup":"<b>&amp;</b>","comment":"<!-- -- -->","pi":"<?x?>"}"#,
    r#"{"controls":"\u0000\u0001\u001f\b\f\n\r\t"}"#,
    r#"{"numbers":[1.50,1e300,-0,12345678901234567890,0.1]}"#,
    r#"{"z":1,"a":2,"z ":{}}"#,
    "{ \"spaces\" :\t[ 1 ,\r\n 2 ] }",
    r#""just a text""#,
    "null",
    "true",
    "[]",
    "\"\u{fffe} is no character of XML\"",
    "\"\u{7f}\u{85}\u{2028}\u{feff}\"",
    r#"{"quotes":"\"'\\/","percent":"%0A","entity":"&lt;&#13;"}"#,
];

/// Data that is not JSON, by its media type.
pub(crate) fn binaries() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("image/png", (0..=255).collect()),
        ("text/plain; charset=utf-8", "plain <text> & 💡".into()),
        ("text/html", b"<p>]]>".to_vec()),
        ("application/xml", b"<a/>".to_vec()),
        ("image/svg+xml", b"<svg/>".to_vec()),
        ("message/rfc822", b"Subject: x\r\n\r\nx".to_vec()),
        ("application/vnd.lamp", vec![0xff, 0xfe, 0x00]),
    ]
}

/// One event of each kind.
pub(crate) fn new_events() -> Result<Vec<NewEvent>, InvalidValue> {
    let mut events = vec![NewEvent::new("NoData", None)?];
    for text in TEXTS {
        let data = Data::new("application/json", text.into())?;
        events.push(NewEvent::new("Lit", Some(data))?);
    }
    // Without parameters behind "+json", which cloudevents-sdk 0.9 does not recognise as JSON.
    for media_type in [
        "application/vnd.lamp+json",
        "application/json; charset=utf-8",
    ] {
        let data = Data::new(media_type, b"{\"lamp\":[]}".to_vec())?;
        events.push(NewEvent::new("com.example.lamp/lit&<more>", Some(data))?);
    }
    for (media_type, bytes) in binaries() {
        events.push(NewEvent::new("Drawn", Some(Data::new(media_type, bytes)?))?);
    }
    let all = NewEvent::json("All", &1)?
        .at(Utc.with_ymd_and_hms(1999, 12, 31, 23, 59, 59).unwrap())?
        .traced("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")?
        .correlated("a conversation, with spaces & <marks> 💡")?
        .with_schema("https://example.org/schemas/lamp?version=2&x=1")?
        .with_extension("text", Extension::Text("<&>\"'💡 ]]>".into()))?
        .with_extension("number", Extension::Integer(i32::MIN))?
        .with_extension("yes", Extension::Boolean(true))?
        .with_extension("no", Extension::Boolean(false))?
        .with_extension("looksnumeric", Extension::Text("42".into()))?;
    events.push(all);
    Ok(events)
}
