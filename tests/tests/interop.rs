//! What other people's libraries make of our documents: the same events.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "served/nasty.rs"]
mod nasty;
#[path = "served/mod.rs"]
mod served;

use std::collections::BTreeMap;

use atom_syndication::Feed;
use chrono::{DateTime, Utc};
use cloudevents::AttributesReader;
use cloudevents::event::ExtensionValue;
use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Data, Event, Expected, Extension, FeedConfig, Format, Migrations, NewEvent,
    Subject, Tx, Window,
};
use nasty::{TEXTS, binaries, new_events};
use served::{FORMATS, PREFIX, Reply, Served};

const TITLE: &str = "Lamps <&> \"more\" – 💡 ]]> 'x'";

/// All the events, served.
async fn scene() -> (TempStore, Served, Vec<Event>) {
    scene_of(|| new_events().expect("events")).await
}

async fn scene_of(
    new_events: impl Fn() -> Vec<NewEvent> + Copy + Send + Sync + 'static,
) -> (TempStore, Served, Vec<Event>) {
    let store = TempStore::new(Migrations::NONE).await;
    let config = FeedConfig::new("lamps", "lamp-svc").unwrap();
    let config = config.title(TITLE).unwrap().page_capacity(4).unwrap();
    store.create_feed(config).await.unwrap();
    let appended: Result<(), AppendError> = store
        .write(async move |tx: &mut Tx<'_>| {
            for (number, event) in new_events().into_iter().enumerate() {
                let subject = format!("lamp-{}/<&>\"'", number % 4);
                let subject = Subject::new(subject).expect("a subject");
                tx.append("lamps", &subject, Expected::Any, &[event])
                    .await?;
            }
            Ok(())
        })
        .await;
    appended.unwrap();
    let window = Window::Newest { limit: 1_000 };
    let events = store.log("lamps").unwrap().read(window).await.unwrap().1;
    assert_eq!(events.len(), new_events().len());
    let served = Served::start(&store, &["lamps"]).await;
    (store, served, events)
}

/// Head, tail and every sealed page.
async fn documents(served: &Served, format: Format) -> Vec<Reply> {
    let head = served.url("/feeds/lamps");
    let mut documents = vec![served.document(&head, format).await];
    let mut url = served.url("/feeds/lamps?after=start");
    loop {
        let reply = served.document(&url, format).await;
        url = reply.link("next").expect("next is always there");
        let caught_up = reply
            .headers
            .get("feed-caught-up")
            .is_some_and(|v| v == "true");
        documents.push(reply);
        if caught_up {
            return documents;
        }
    }
}

/// What an Atom library has to find as an entry's content, and whether it is text; none where there is no data.
fn expected_content(event: &Event) -> Option<(String, bool)> {
    let data = event.data.as_ref()?;
    // JSON with a character that XML does not have cannot be text.
    let text = data.json_text().filter(|text| !text.contains('\u{fffe}'));
    Some(match text {
        Some(text) => (text.to_owned(), true),
        None => (base64_of(data.bytes()), false),
    })
}

/// Base64 of RFC 4648, section 4, once more: what is compared is not what was written by the same code.
fn base64_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0_u32, |bits, (at, byte)| {
            bits | u32::from(*byte) << (16 - 8 * at)
        });
        for digit in 0..4 {
            if digit <= group.len() {
                let six = bits >> (18 - 6 * digit) & 0x3f;
                text.push(char::from(DIGITS[six as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn by_id(events: &[Event]) -> BTreeMap<String, &Event> {
    let named = events.iter();
    named
        .map(|event| (format!("urn:uuid:{}", event.id), event))
        .collect()
}

fn title_of(event: &Event) -> String {
    format!("{} {}", event.event_type, event.subject)
}

#[tokio::test]
async fn atom_syndication_reads_what_was_written() {
    let (store, served, events) = scene().await;
    let (events_by_id, mut seen) = (by_id(&events), Vec::new());
    let state = store.log("lamps").unwrap().state().await.unwrap();
    for (number, reply) in documents(&served, Format::Atom).await.iter().enumerate() {
        let feed = Feed::read_from(&reply.body[..]).unwrap();
        assert_eq!(feed.title().as_str(), TITLE);
        assert_eq!(feed.id(), format!("urn:uuid:{}", state.identity.id));
        assert_eq!(feed.authors()[0].name(), "lamp-svc");
        let links: Vec<_> = feed.links().iter().map(|l| l.href().to_owned()).collect();
        let header: Vec<_> = reply.links().into_iter().map(|(_, href)| href).collect();
        assert_eq!(links, header);
        for entry in feed.entries() {
            let event = events_by_id[entry.id()];
            assert_eq!(entry.title().as_str(), title_of(event));
            assert_eq!(entry.updated().to_utc(), event.recorded);
            let published = entry.published().map(|time| time.to_utc());
            assert_eq!(published, Some(event.time));
            assert_eq!(entry.categories()[0].term(), event.event_type.as_str());
            assert!(entry.summary().is_some_and(|summary| !summary.is_empty()));
            let content = entry.content().expect("an entry has a content");
            let found = content.value().unwrap_or_default();
            let is_text = content.content_type() == Some("text");
            let expected = expected_content(event).unwrap_or((String::new(), true));
            assert_eq!((found.to_owned(), is_text), expected, "{:?}", event.data);
            let link = reply.url.join(entry.links()[0].href()).unwrap();
            let path = format!("{PREFIX}/feeds/lamps/events/{}", event.id);
            assert_eq!(link.path(), path);
            if number > 0 {
                seen.push(event.clone());
            }
        }
    }
    assert_eq!(seen, events, "all of them, in order");
}

#[tokio::test]
async fn feed_rs_reads_what_was_written() {
    let (store, served, events) = scene().await;
    let (events_by_id, mut seen) = (by_id(&events), Vec::new());
    let state = store.log("lamps").unwrap().state().await.unwrap();
    // As it stands, without the trimming and cleaning that suits web pages.
    let parser = feed_rs::parser::Builder::new()
        .sanitize_content(false)
        .build();
    for (number, reply) in documents(&served, Format::Atom).await.iter().enumerate() {
        let feed = parser.parse(&reply.body[..]).unwrap();
        assert_eq!(feed.feed_type, feed_rs::model::FeedType::Atom);
        assert_eq!(feed.id, format!("urn:uuid:{}", state.identity.id));
        assert_eq!(feed.title.unwrap().content, TITLE);
        let links: Vec<_> = feed.links.iter().map(|link| link.href.clone()).collect();
        let header: Vec<_> = reply.links().into_iter().map(|(_, href)| href).collect();
        assert_eq!(links, header);
        for entry in feed.entries {
            let event = events_by_id[&entry.id];
            assert_eq!(entry.title.unwrap().content, title_of(event));
            assert_eq!(entry.updated, Some(event.recorded));
            assert_eq!(entry.published, Some(event.time));
            let found = entry.content.and_then(|content| content.body);
            let found = found.unwrap_or_default();
            let expected = expected_content(event).map(|(value, _)| value);
            // This library trims texts, which changes no JSON.
            assert_eq!(found.trim(), expected.unwrap_or_default().trim());
            if number > 0 {
                seen.push(event.clone());
            }
        }
    }
    assert_eq!(seen, events, "all of them, in order");
}

#[tokio::test]
async fn binary_data_without_a_byte_is_read_by_all() {
    let (_store, served, events) = scene_of(|| {
        let empty = Data::new("application/octet-stream", Vec::new()).expect("data");
        vec![NewEvent::new("Drawn", Some(empty)).expect("an event")]
    })
    .await;
    let tail = served.url("/feeds/lamps?after=start");
    let json = served.document(&tail, Format::Json).await;
    assert_eq!(json.events(), events);
    let batch: Vec<cloudevents::Event> = serde_json::from_slice(&json.body).unwrap();
    assert_same(&batch[0], &events[0]);
    let atom = served.document(&tail, Format::Atom).await;
    assert_eq!(atom.events(), events);
    let feed = Feed::read_from(&atom.body[..]).unwrap();
    let content = feed.entries()[0]
        .content()
        .and_then(|content| content.value());
    assert_eq!(content.unwrap_or_default(), "");
    // One such event must not take the whole feed from a feed reader.
    let feed = feed_rs::parser::parse(&atom.body[..]).unwrap();
    assert_eq!(feed.entries[0].id, format!("urn:uuid:{}", events[0].id));
}

#[tokio::test]
async fn cloudevents_sdk_reads_what_was_written() {
    let (_store, served, events) = scene().await;
    let mut seen = 0;
    for reply in &documents(&served, Format::Json).await[1..] {
        let batch: Vec<cloudevents::Event> = serde_json::from_slice(&reply.body).unwrap();
        for found in batch {
            assert_same(&found, &events[seen]);
            seen += 1;
        }
    }
    assert_eq!(seen, events.len());
}

#[tokio::test]
async fn cloudevents_sdk_reads_single_events() {
    let (_store, served, events) = scene().await;
    for event in &events {
        let url = served.url(&format!("/feeds/lamps/events/{}", event.id));
        let accept = [("accept", Format::Json.event_media_type())];
        let reply = served.get(&url, &accept).await;
        let found: cloudevents::Event = serde_json::from_slice(&reply.body).unwrap();
        assert_same(&found, event);
    }
}

/// The library found every attribute, extension and the data of the event, and nothing else.
fn assert_same(found: &cloudevents::Event, event: &Event) {
    assert_eq!(found.specversion().as_str(), "1.0");
    assert_eq!(found.id(), event.id.to_string());
    assert_eq!(found.source().as_str(), &*event.source);
    assert_eq!(found.ty(), event.event_type.as_str());
    assert_eq!(found.subject(), Some(event.subject.as_str()));
    assert_eq!(found.time().copied(), Some::<DateTime<Utc>>(event.time));
    let schema = found.dataschema().map(|schema| schema.as_str());
    assert_eq!(schema, event.dataschema.as_deref());
    let content_type = event.data.as_ref().map(Data::content_type);
    assert_eq!(found.datacontenttype(), content_type);

    let text = |text: &str| ExtensionValue::String(text.to_owned());
    let recorded = event
        .recorded
        .to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let mut expected = BTreeMap::from([
        ("sequence", text(&format!("{:020}", event.position.get()))),
        ("epoch", text(&event.epoch.to_string())),
        ("check", text(&event.check.to_string())),
        ("recorded", text(&recorded)),
        (
            "version",
            ExtensionValue::Integer(event.version.get().into()),
        ),
    ]);
    if let Some(traceparent) = &event.traceparent {
        expected.insert("traceparent", text(traceparent));
    }
    if let Some(correlationid) = &event.correlationid {
        expected.insert("correlationid", text(correlationid));
    }
    for (name, value) in &event.extensions {
        let value = match value {
            Extension::Boolean(value) => ExtensionValue::Boolean(*value),
            Extension::Integer(value) => ExtensionValue::Integer((*value).into()),
            Extension::Text(value) => text(value),
        };
        expected.insert(name.as_str(), value);
    }
    let extensions: BTreeMap<_, _> = found
        .iter_extensions()
        .map(|(name, value)| (name, value.clone()))
        .collect();
    assert_eq!(extensions, expected);
    assert_same_data(found.data(), event.data.as_ref());
}

fn assert_same_data(found: Option<&cloudevents::Data>, data: Option<&Data>) {
    match (found, data) {
        (None, None) => {}
        (Some(cloudevents::Data::Json(value)), Some(data)) => {
            let expected: serde_json::Value = data.decode().unwrap();
            assert_eq!(value, &expected);
        }
        (Some(cloudevents::Data::Binary(bytes)), Some(data)) => {
            assert!(!data.is_json());
            assert_eq!(bytes, data.bytes());
        }
        (found, data) => panic!("{found:?} for {data:?}"),
    }
}

#[tokio::test]
async fn data_comes_out_as_it_went_in() {
    let (_store, served, _) = scene().await;
    let mut given = vec![None];
    given.extend(TEXTS.map(|text| Some(text.as_bytes().to_vec())));
    given.extend([0, 1].map(|_| Some(b"{\"lamp\":[]}".to_vec())));
    given.extend(binaries().into_iter().map(|(_, bytes)| Some(bytes)));
    given.push(Some(b"1".to_vec()));
    for format in FORMATS {
        let documents = documents(&served, format).await;
        let found: Vec<Option<Vec<u8>>> = documents[1..]
            .iter()
            .flat_map(Reply::events)
            .map(|event| event.data.map(|data| data.bytes().to_vec()))
            .collect();
        assert_eq!(found, given);
    }
}

#[tokio::test]
async fn white_space_around_a_json_text_is_not_part_of_it() {
    let (_store, served, _) = scene_of(|| {
        let data = Data::new("application/json", b" \r\n\t[ 1 ]\n ".to_vec()).expect("data");
        vec![NewEvent::new("Lit", Some(data)).expect("an event")]
    })
    .await;
    let tail = served.url("/feeds/lamps?after=start");
    for format in FORMATS {
        let reply = served.document(&tail, format).await;
        let data = reply.events().remove(0).data.unwrap();
        assert_eq!(data.bytes(), b"[ 1 ]");
    }
}

#[tokio::test]
async fn what_was_written_is_read_back_by_ourselves_too() {
    let (_store, served, events) = scene().await;
    for format in FORMATS {
        let documents = documents(&served, format).await;
        let read: Vec<Event> = documents[1..].iter().flat_map(Reply::events).collect();
        assert_eq!(read, events);
        let positions: Vec<u64> = documents[1..].iter().flat_map(Reply::positions).collect();
        assert_eq!(positions, (1..=events.len() as u64).collect::<Vec<_>>());
    }
}
