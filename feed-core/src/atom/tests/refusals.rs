//! What a reader does not take.

use super::*;
use crate::limits::{DOCUMENT_EVENTS_MAX, XML_ATTRIBUTES_MAX, XML_DEPTH_MAX};

#[test]
fn each_element_is_required_once() {
    let lines: Vec<&str> = ENTRY.lines().collect();
    assert_eq!(lines.len(), 10);
    for (index, line) in lines.iter().enumerate() {
        let name = line.trim_matches('<').split(['>', ' ']).next().unwrap();
        let mut without = lines.clone();
        without.remove(index);
        refused(&without.concat(), &format!("{name} is missing"));
        refused(
            &format!("{ENTRY}{line}"),
            &format!("{name}: it is there twice"),
        );
    }
    for name in [
        "dataschema",
        "traceparent",
        "correlationid",
        "datacontenttype",
    ] {
        let line = format!("<fw:{name}>a/b</fw:{name}>");
        refused(
            &format!("{ENTRY}{line}{line}<content/>"),
            "it is there twice",
        );
    }
    let content = "<content/><content/>";
    refused(&format!("{ENTRY}{content}"), "content: it is there twice");
}

#[test]
fn wrong_elements_are_refused() {
    for (from, to, reason) in [
        ("urn:uuid:", "", "id: "),
        ("urn:uuid:", " urn:uuid:", "id: "),
        ("urn:uuid:", "urn:uuid:x", "id: "),
        (">2026-", "> 2026-", "updated: "),
        ("Z</published>", "</published>", "published: "),
        ("term=\"T\"", "term=\"a b\"", "category: "),
        ("term=\"T\"", "", "category: "),
        ("position>1<", "position>0<", "fw:position: "),
        ("position>1<", "position>+1<", "fw:position: "),
        ("0123456789abcdef", "0123", "fw:epoch: "),
        ("00aa11bb22cc", "00AA11BB22CC", "fw:check: "),
        ("subject>s<", "subject><", "fw:subject: "),
        ("version>1<", "version>0<", "fw:version: "),
        ("version>1<", "version>2147483648<", "fw:version: "),
        ("source>/s<", "source>a\nb<", "fw:source: "),
    ] {
        assert!(ENTRY.contains(from), "{from}");
        refused(&ENTRY.replacen(from, to, 1), reason);
    }
    refused(
        &format!("{ENTRY}<fw:causationid>1</fw:causationid>"),
        "fw:causationid: ",
    );
}

#[test]
fn wrong_content_is_refused() {
    for (elements, reason) in [
        ("<content>1</content>", "fw:datacontenttype is missing"),
        (
            "<fw:datacontenttype>a/b</fw:datacontenttype>",
            "content is missing",
        ),
        (
            "<content/><fw:datacontenttype>ab</fw:datacontenttype>",
            "datacontenttype",
        ),
        (
            "<content/><fw:datacontenttype>application/json</fw:datacontenttype>",
            "data",
        ),
        (
            "<content type=\"a/b\">*</content><fw:datacontenttype>a/b</fw:datacontenttype>",
            "content: ",
        ),
        ("<content type=\"html\">a</content>", "content: "),
        ("<content type=\"xhtml\"/>", "content: "),
        ("<content type=\"application/xml\"/>", "content: "),
        ("<content src=\"http://h\" type=\"a/b\"/>", "content: "),
    ] {
        refused(&format!("{ENTRY}{elements}"), reason);
    }
    malformed(&with("<content><b/></content>"), "an element where text");
}

#[test]
fn document_types_are_refused() {
    let laughs = "<!DOCTYPE entry [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]>";
    let laugh = with("<fw:correlationid>&c;</fw:correlationid>");
    malformed(&format!("{laughs}{laugh}"), "DOCTYPE");
    malformed(&laugh, "entity");
    let file = "<!DOCTYPE entry [<!ENTITY x SYSTEM \"file:///etc/hostname\">]>";
    malformed(
        &format!("<?xml version=\"1.0\"?>\n{file}{}", with("")),
        "DOCTYPE",
    );
    malformed(&format!("<!doctype entry>{}", with("")), "");
    malformed(&with("<!DOCTYPE entry>"), "");
}

#[test]
fn only_utf_8_and_xml_1_0_are_read() {
    let declared = |declaration: &str| format!("{declaration}{}", with(""));
    for good in [
        "<?xml version=\"1.0\"?>",
        "<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n",
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>",
        "\u{feff}",
        " <!-- c --><?p?>\n",
    ] {
        assert_eq!(read(&declared(good)), read(&with("")), "{good}");
    }
    for bad in [
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>",
        "<?xml version=\"1.0\" encoding=\"utf-16\"?>",
        "<?xml version=\"1.1\"?>",
        "<?xml encoding=\"utf-8\"?>",
        " <?xml version=\"1.0\"?>",
        "<!-- c --><?xml version=\"1.0\"?>",
        "<?xml version=\"1.0\"?><?xml version=\"1.0\"?>",
        "\u{feff}\u{feff}",
        "x",
        "&lt;",
        "<![CDATA[ ]]>",
    ] {
        malformed(&declared(bad), "");
    }
    let utf16: Vec<u8> = with("").encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(read_entry(&[&[0xfe, 0xff], &utf16[..]].concat()).is_err());
    let mut latin = with("<fw:correlationid>?</fw:correlationid>").into_bytes();
    let at = latin.iter().position(|b| *b == b'?').unwrap();
    latin[at] = 0xe9;
    assert!(matches!(
        read_entry(&latin),
        Err(DocumentError::Malformed { .. })
    ));
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let good = with("");
    for end in 0..good.len() {
        assert!(read_entry(&good.as_bytes()[..end]).is_err(), "{end}");
    }
    for bad in [
        "<a></b>",
        "<a>",
        "</a>",
        "<a b=\"1\" b=\"1\"/>",
        "<a b=1/>",
        "<a b/>",
        "<a b=\"<\"/>",
        "<!-- a -- b -->",
        "]]>",
        "<x:a/>",
        "\u{1}",
        "<a>\u{ffff}</a>",
        "<?xml version=\"1.0\"?>",
    ] {
        malformed(&with(bad), "");
    }
    for junk in [
        "x",
        "<a/>",
        "</entry>",
        "&#32;",
        "<![CDATA[]]>",
        "<!DOCTYPE a>",
        "<?xml version=\"1.0\"?>",
    ] {
        malformed(&format!("{good}{junk}"), "");
    }
    assert_eq!(read(&format!("{good}\r\n<!-- c --><?p i?> ")), read(&good));
}

#[test]
fn depth_attributes_and_events_are_limited() {
    let nested = |n: usize| with(&format!("{}{}", "<a>".repeat(n), "</a>".repeat(n)));
    assert!(read_entry(nested(XML_DEPTH_MAX - 1).as_bytes()).is_ok());
    let limited = |text: &str, name: &str| match read_entry(text.as_bytes()) {
        Err(DocumentError::Limit { what, .. }) => assert_eq!(what, name),
        other => panic!("{other:?}"),
    };
    limited(&nested(XML_DEPTH_MAX), "levels of elements");
    limited(&nested(100_000), "levels of elements");
    let wide = |n: usize| {
        let attributes: String = (0..n).map(|n| format!(" a{n}=\"\"")).collect();
        with(&format!("<a{attributes}/>"))
    };
    assert!(read_entry(wide(XML_ATTRIBUTES_MAX).as_bytes()).is_ok());
    limited(&wide(XML_ATTRIBUTES_MAX + 1), "attributes in an element");

    let entries = |n: usize| feed(&format!("<entry>{ENTRY}</entry>").repeat(n));
    let full = read_feed(entries(DOCUMENT_EVENTS_MAX).as_bytes()).unwrap();
    assert_eq!(full.events.len(), DOCUMENT_EVENTS_MAX);
    match read_feed(entries(DOCUMENT_EVENTS_MAX + 1).as_bytes()) {
        Err(DocumentError::Limit {
            what: "events",
            max,
            ..
        }) => {
            assert_eq!(max, DOCUMENT_EVENTS_MAX);
        }
        other => panic!("{:?}", other.map(|document| document.events.len())),
    }
}
