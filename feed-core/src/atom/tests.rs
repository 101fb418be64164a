mod refusals;

use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::document::{Document, DocumentError, Links, ReadDocument};
use crate::event::{Data, Event, Extension, ExtensionName};
use crate::limits::EXTENSIONS_MAX;

/// The elements of a valid entry, one a line.
const ENTRY: &str = r#"<id>urn:uuid:0190b6e2-1111-7000-8000-000000000001</id>
<updated>2026-01-02T03:04:05Z</updated>
<published>2026-01-02T03:04:05Z</published>
<category term="T"/>
<fw:position>1</fw:position>
<fw:epoch>0123456789abcdef</fw:epoch>
<fw:check>00aa11bb22cc</fw:check>
<fw:subject>s</fw:subject>
<fw:version>1</fw:version>
<fw:source>/s</fw:source>
"#;

/// An entry document of `elements`.
fn entry(elements: &str) -> String {
    format!("<entry xmlns=\"{ATOM_NS}\" xmlns:fw=\"{NAMESPACE}\">{elements}</entry>")
}

/// A valid entry with further elements.
fn with(elements: &str) -> String {
    entry(&format!("{ENTRY}{elements}"))
}

/// A feed document of `elements`.
fn feed(elements: &str) -> String {
    format!("<feed xmlns=\"{ATOM_NS}\" xmlns:fw=\"{NAMESPACE}\">{elements}</feed>")
}

fn read(text: &str) -> Event {
    read_entry(text.as_bytes()).unwrap()
}

/// Checks that an entry of `elements` is refused as the second of a feed, with `reason`.
#[track_caller]
fn refused(elements: &str, reason: &str) {
    let feed = feed(&format!("<entry>{ENTRY}</entry><entry>{elements}</entry>"));
    match read_feed(feed.as_bytes()) {
        Err(DocumentError::Event {
            index: 1,
            reason: found,
            ..
        }) => assert!(found.contains(reason), "{found}"),
        other => panic!("{reason}: {other:?}"),
    }
    assert!(read_entry(entry(elements).as_bytes()).is_err());
}

#[track_caller]
fn malformed(text: &str, reason: &str) {
    for error in [
        read_entry(text.as_bytes()).map(|_| ()),
        read_feed(text.as_bytes()).map(|_| ()),
    ]
    .map(Result::unwrap_err)
    {
        assert!(
            matches!(error, DocumentError::Malformed { .. }),
            "{error:?}"
        );
        let found = error.to_string();
        // One of the two has the wrong root, where it gets so far.
        assert!(
            found.contains(reason) || found.contains("root element is not"),
            "{found}"
        );
    }
}

/// What a reader has to find in a document.
fn as_read(document: &Document) -> ReadDocument {
    ReadDocument {
        events: document.events.clone(),
        next: document.links.next.clone(),
        prev_archive: document.links.prev_archive.clone(),
        head: document.head,
        caught_up: document.caught_up,
    }
}

fn links() -> Links {
    arbitrary::golden().links
}

proptest! {
    #[test]
    fn feeds_come_back(document in arbitrary::documents()) {
        let bytes = write_feed(&document);
        prop_assert_eq!(read_feed(&bytes).unwrap(), as_read(&document));
    }

    #[test]
    fn entries_come_back(event in arbitrary::events()) {
        prop_assert_eq!(read_entry(&write_entry(&event, &links())).unwrap(), event);
    }

    #[test]
    fn lines_may_end_in_any_way(document in arbitrary::documents()) {
        // What a text editor or a mail gateway does to line ends may not reach the carriage returns of the data.
        let text = String::from_utf8(write_feed(&document)).unwrap();
        prop_assert!(!text.contains('\r'));
        prop_assert_eq!(read_feed(text.replace('\n', "\r\n").as_bytes()).unwrap(), as_read(&document));
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = read_feed(&bytes);
        let _ = read_entry(&bytes);
    }

    #[test]
    fn what_is_taken_can_be_written(bytes in arbitrary::mutated(arbitrary::events().prop_map(|event| write_entry(&event, &links())))) {
        if let Ok(event) = read_entry(&bytes) {
            prop_assert_eq!(read_entry(&write_entry(&event, &links())).unwrap(), event);
        }
    }

    #[test]
    fn no_changed_feed_panics(bytes in arbitrary::mutated(arbitrary::documents().prop_map(|document| write_feed(&document)))) {
        let _ = read_feed(&bytes);
    }
}

/// Whoever changes these bytes raises [`RENDER_VERSION`](crate::RENDER_VERSION).
#[test]
fn the_bytes_of_version_1_stay() {
    let golden = include_bytes!("../golden/archive.r1.atom");
    let document = arbitrary::golden();
    assert_eq!(
        String::from_utf8_lossy(&write_feed(&document)),
        String::from_utf8_lossy(golden)
    );
    assert_eq!(read_feed(golden).unwrap(), as_read(&document));
}

#[test]
fn a_title_is_made_legal() {
    let mut document = arbitrary::golden();
    document.feed = std::sync::Arc::new(arbitrary::identity("a", "x\u{ffff}\u{0}"));
    let written = String::from_utf8(write_feed(&document)).unwrap();
    assert!(written.contains("<title>x\u{fffd}\u{fffd}</title>"));
    assert!(read_feed(written.as_bytes()).is_ok());
}

#[test]
fn content_is_written_by_the_rules_of_atom() {
    for (kind, bytes, content) in [
        (
            "application/json",
            "{\"a\" : \"<&]]>\"}\r",
            "<content type=\"text\">{\"a\" : \"&lt;&amp;]]&gt;\"}</content>",
        ),
        (
            "application/json",
            "[\r\n\t]",
            "<content type=\"text\">[&#13;\n\t]</content>",
        ),
        (
            "application/json",
            "\"\u{fffe}\"",
            "<content type=\"application/octet-stream\">Iu+/viI=</content>",
        ),
        (
            "a/b; c=\"d\"",
            "a",
            "<content type=\"a/b; c=&quot;d&quot;\">YQ==</content>",
        ),
        (
            "Text/plain",
            "a",
            "<content type=\"application/octet-stream\">YQ==</content>",
        ),
        (
            "image/svg+XML;a=b",
            "a",
            "<content type=\"application/octet-stream\">YQ==</content>",
        ),
        (
            "application/xml ;a=b",
            "a",
            "<content type=\"application/octet-stream\">YQ==</content>",
        ),
        (
            "message/http",
            "a",
            "<content type=\"application/octet-stream\">YQ==</content>",
        ),
        ("image/png", "", "<content type=\"text\"/>"),
    ] {
        let mut event = read(&with(""));
        event.data = Some(Data::new(kind, bytes.into()).unwrap());
        let written = String::from_utf8(write_entry(&event, &links())).unwrap();
        assert!(written.contains(content), "{written}");
        assert_eq!(read(&written), event);
    }
}

#[test]
fn text_may_come_in_pieces() {
    let content = "<content><!-- c -->[<![CDATA[\"<&]]]]><![CDATA[>\",\r\n]]><?p i?> &#34;&#x1F600;&amp;&quot;\r&#13;,1\r\n ]</content>";
    let event = read(&with(&format!(
        "{content}<fw:datacontenttype>application/json</fw:datacontenttype>"
    )));
    let data = event.data.unwrap();
    assert_eq!(data.json_text(), Some("[\"<&]]>\",\n \"😀&\"\n\r,1\n ]"));
}

#[test]
fn the_five_entities_and_numbers_are_known() {
    let event = read(&with(
        "<fw:correlationid>&lt;&gt;&amp;&apos;&quot;&#65;&#x42;</fw:correlationid>",
    ));
    assert_eq!(event.correlationid.as_deref(), Some("<>&'\"AB"));
    for bad in [
        "&nbsp;",
        "&#0;",
        "&#xFFFF;",
        "&#xD800;",
        "&#x110000;",
        "&#+65;",
        "&;",
        "&a",
        "& ",
    ] {
        malformed(&with(&format!("<fw:source2>{bad}</fw:source2>")), "at byte");
        malformed(&with(&format!("<x a=\"{bad}\"/>")), "at byte");
    }
}

#[test]
fn prefixes_mean_nothing() {
    let text = entry(ENTRY)
        .replace("fw", "atom")
        .replace("<entry xmlns=", "<f:entry xmlns:f=")
        .replace("</entry", "</f:entry")
        .replace("<id", "<f:id")
        .replace("</id", "</f:id")
        .replace("updated", "f:updated")
        .replace("published", "f:published")
        .replace("category", "f:category");
    assert_eq!(read(&text), read(&entry(ENTRY)));
    let moved = entry(ENTRY).replace(NAMESPACE, "urn:feedway:atom:2");
    let error = read_entry(moved.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("is missing"), "{error}");
    malformed(&entry(ENTRY).replace("xmlns:fw", "xmlns:wf"), "prefix");
    malformed(
        &entry(ENTRY).replace(ATOM_NS, "urn:x"),
        "root element is not",
    );
    malformed(
        &entry(ENTRY).replace(&format!("xmlns=\"{ATOM_NS}\""), ""),
        "root element is not",
    );
}

#[test]
fn foreign_markup_is_passed_over() {
    let foreign = "<author><name>a</name><id>1</id></author><x:content xmlns:x=\"urn:x\">a<x:id/></x:content>\
        <category term=\"x\" scheme=\"urn:y\"/><link rel=\"x\"/><fw:new><fw:version>9</fw:version></fw:new><id xmlns=\"\">2</id>";
    assert_eq!(read(&with(foreign)), read(&with("")));
    let document = feed(&format!(
        "{foreign} text <entry x=\"y\" fw:z=\"\">{ENTRY}</entry>"
    ));
    let document = read_feed(document.as_bytes()).unwrap();
    assert_eq!(document.events, [read(&with(""))]);
}

#[test]
fn extensions_have_a_type() {
    let attribute = |name: &str, kind: &str, text: &str| {
        format!("<fw:attribute name=\"{name}\" type=\"{kind}\">{text}</fw:attribute>")
    };
    let event = read(&with(&attribute("a", "string", " 1 ")));
    let name = ExtensionName::new("a").unwrap();
    assert_eq!(
        event.extensions.get(&name),
        Some(&Extension::Text(" 1 ".to_owned()))
    );
    for (name, kind, text) in [
        ("a", "integer", "2147483648"),
        ("a", "integer", "+1"),
        ("a", "integer", ""),
        ("a", "boolean", "1"),
        ("a", "uri", "urn:x"),
        ("a", "string", ""),
        ("id", "string", "x"),
        ("A", "string", "x"),
    ] {
        refused(&format!("{ENTRY}{}", attribute(name, kind, text)), "");
    }
    refused(
        &format!("{ENTRY}<fw:attribute type=\"string\">a</fw:attribute>"),
        "name is missing",
    );
    let twice = attribute("a", "string", "x").repeat(2);
    refused(&format!("{ENTRY}{twice}"), "a: it is there twice");
    let many: String = (0..=EXTENSIONS_MAX)
        .map(|n| attribute(&format!("x{n}"), "integer", "1"))
        .collect();
    refused(&format!("{ENTRY}{many}"), "more than 16 extensions");
}

#[test]
fn base64_may_have_white_space() {
    let event = read(&with(
        "<fw:datacontenttype>a/b</fw:datacontenttype><content type=\"a/b\">\n YW\r\n\tE= </content>",
    ));
    assert_eq!(event.data.unwrap().bytes(), b"aa");
}

#[test]
fn links_are_those_of_the_feed() {
    let document = feed(&format!(
        "<link rel=\"http://www.iana.org/assignments/relation/next\" href=\"a&amp;b\"/><link href=\"c\"/>\
         <link rel=\"prev-archive\" href=\"d\">x</link><entry>{ENTRY}<link rel=\"next\" href=\"e\"/></entry>"
    ));
    let document = read_feed(document.as_bytes()).unwrap();
    assert_eq!(document.next.as_deref(), Some("a&b"));
    assert_eq!(document.prev_archive.as_deref(), Some("d"));
    assert_eq!((document.head, document.caught_up), (None, None));
    for (elements, reason) in [
        ("<link rel=\"next\"/>", "href is missing"),
        (
            "<link rel=\"next\" href=\"a\"/><link rel=\"next\" href=\"a\"/>",
            "twice",
        ),
        ("<fw:caught-up>yes</fw:caught-up>", "fw:caught-up"),
        (
            "<fw:caught-up>true</fw:caught-up><fw:caught-up>true</fw:caught-up>",
            "twice",
        ),
        ("<fw:head>1</fw:head>", "cursor"),
        (
            "<fw:head>0123456789abcdef.0.0</fw:head><fw:head>0123456789abcdef.0.0</fw:head>",
            "twice",
        ),
    ] {
        malformed(&feed(elements), reason);
    }
}

#[test]
fn xml_base_is_not_regarded() {
    let link = "<link rel=\"next\" href=\"b\" xml:base=\"http://other/\"/>";
    let document = feed(link).replacen("<feed", "<feed xml:base=\"http://another/x/\"", 1);
    let document = read_feed(document.as_bytes()).unwrap();
    assert_eq!(document.next.as_deref(), Some("b"));
    let written = String::from_utf8(write_feed(&arbitrary::golden())).unwrap();
    assert!(!written.contains("xml:base"));
}
