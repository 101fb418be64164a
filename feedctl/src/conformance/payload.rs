//! E: the events' data.

use feed_core::{Event, Format};
use serde_json::Value;

use super::kit::Kit;
use super::reply::{Reply, short};
use super::rule::{Fault, Rule, Verdict, rule};
use super::xml;

pub(super) const RULES: &[Rule] = &[
    rule!("E6", Must, "data stands nowhere else", elsewhere),
    rule!("E7", Must, "data is the same in every representation", data),
];

/// Shortest text in the data that is looked for elsewhere, in bytes: shorter ones stand there by chance.
const TELLING_BYTES_MIN: usize = 8;
/// Documents that are fetched in every representation.
const COMPARED_MAX: usize = 5;

/// Texts in JSON data that stand in no attribute of the event, so that they can have come from nowhere else.
fn telling(kit: &Kit, event: &Event) -> Vec<String> {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::String(text) if text.len() >= TELLING_BYTES_MIN => texts.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
            Value::Object(members) => members.values().for_each(|member| collect(member, texts)),
            _ => {}
        }
    }
    let mut texts = Vec::new();
    let data = event.data.as_ref().and_then(|data| data.json_text());
    if let Some(value) = data.and_then(|text| serde_json::from_str(text).ok()) {
        collect(&value, &mut texts);
    }
    let bare = Event {
        data: None,
        ..event.clone()
    };
    let attributes = format!("{bare:?} {} {} {}", event.id, event.time, kit.feed);
    texts.retain(|text| !attributes.contains(text.as_str()));
    texts
}

async fn elsewhere(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let with_data: Vec<&Event> = events
        .iter()
        .filter(|event| !telling(kit, event).is_empty())
        .collect();
    let mut looked_for = 0;
    for event in with_data.iter().take(COMPARED_MAX) {
        let texts = telling(kit, event);
        looked_for += texts.len();
        let url = kit.below(&format!("events/{}", event.id));
        for accept in ["application/atom+xml", "application/cloudevents+json"] {
            let reply = kit.get(&url, &[("accept", accept)]).await?;
            reply.expect(200)?;
            nowhere_in_headers(&reply, &texts)?;
            if accept == "application/atom+xml" {
                let entry = xml::parse(&reply.body).map_err(|error| reply.fault(error))?;
                for part in entry.children.iter().filter(|part| part.name != "content") {
                    let told = format!("{:?}", (&part.text, &part.attributes, &part.children));
                    if let Some(text) = texts.iter().find(|text| told.contains(text.as_str())) {
                        return Err(reply.fault(format_args!(
                            "<{}> shows the data's {:?}",
                            part.name,
                            short(text)
                        )));
                    }
                }
            }
        }
    }
    for document in &kit.walk.documents {
        let texts: Vec<String> = events[document.events.clone()]
            .iter()
            .flat_map(|event| telling(kit, event))
            .collect();
        nowhere_in_headers(&document.reply, &texts)?;
    }
    Ok(format!(
        "{looked_for} texts of {} events' data, looked for in titles, links and headers",
        with_data.len().min(COMPARED_MAX)
    ))
}

fn nowhere_in_headers(reply: &Reply, texts: &[String]) -> Result<(), Fault> {
    for (name, value) in &reply.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if let Some(text) = texts.iter().find(|text| value.contains(text.as_str())) {
            return Err(reply.fault(format_args!(
                "the header {name} shows the data's {:?}",
                short(text)
            )));
        }
    }
    Ok(())
}

async fn data(kit: &Kit) -> Verdict {
    let events = kit.need_events(1)?;
    let mut compared = 0;
    for document in kit
        .walk
        .documents
        .iter()
        .filter(|document| !document.events.is_empty())
        .take(COMPARED_MAX)
    {
        let expected = &events[document.events.clone()];
        let url = match document.is_sealed() {
            true => document
                .reply
                .url
                .as_str()
                .replace(".json", ".atom")
                .parse()
                .unwrap_or(document.reply.url.clone()),
            // A page that is not sealed leads to a tail whose form is said.
            false => document
                .reply
                .url
                .as_str()
                .replace("format=json", "format=atom")
                .parse()
                .unwrap_or(document.reply.url.clone()),
        };
        let reply = kit.document(&url, Format::Atom).await?;
        reply.expect_media_type(Format::Atom.media_type())?;
        let found = reply.events()?;
        // The open page may have grown since.
        for (expected, found) in expected.iter().zip(&found) {
            reply.ensure(
                expected == found,
                format_args!(
                    "position {} is not the event that it is in JSON",
                    expected.position
                ),
            )?;
        }
        reply.ensure(
            found.len() >= expected.len(),
            format_args!("{} events, in JSON {}", found.len(), expected.len()),
        )?;
        compared += expected.len();
    }
    for event in events
        .iter()
        .filter(|event| event.data.is_some())
        .take(COMPARED_MAX)
    {
        let Some(data) = &event.data else { continue };
        let mut url = kit.below(&format!("events/{}", event.id));
        url.set_query(Some("format=binary"));
        let reply = kit.get(&url, &[]).await?;
        reply.expect(200)?;
        reply.ensure(
            reply.body == data.bytes(),
            format_args!(
                "{} bytes of data, in the batch {}, or not the same",
                reply.body.len(),
                data.bytes().len()
            ),
        )?;
    }
    Ok(format!("{compared} events in JSON and Atom"))
}
