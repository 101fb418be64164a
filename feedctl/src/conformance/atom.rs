//! A: Atom.

use chrono::{DateTime, Utc};
use feed_core::atom::{ATOM_NS, HISTORY_NS, NAMESPACE};
use feed_core::{Event, Extension, Format, atom};
use url::Url;

use super::kit::Kit;
use super::reply::{Reply, short};
use super::rule::{Fault, Rule, Verdict, rule};
use super::xml::{self, Element};

pub(super) const RULES: &[Rule] = &[
    rule!("A1", Must, "feed documents", feeds),
    rule!("A2", Must, "entries", entries),
    rule!("A3", Must, "content", content),
    rule!("A4", Must, "what Atom has no place for", own_elements),
    rule!("A6", Must, "namespaces, and no xml:base", namespaces),
];

/// A document in Atom, as its bytes and as its events.
struct Doc {
    reply: Reply,
    feed: Element,
    events: Vec<Event>,
}

async fn document(kit: &Kit, url: &Url) -> Result<Doc, Fault> {
    let reply = kit.document(url, Format::Atom).await?;
    reply.expect_media_type(Format::Atom.media_type())?;
    let feed = xml::parse(&reply.body).map_err(|error| reply.fault(error))?;
    reply.ensure(
        feed.is(ATOM_NS, "feed"),
        format_args!("the root is <{}>, no Atom feed", short(&feed.name)),
    )?;
    let read = atom::read_feed(&reply.body).map_err(|error| reply.fault(error))?;
    Ok(Doc {
        reply,
        feed,
        events: read.events,
    })
}

impl Doc {
    fn one(&self, inside: &Element, space: &str, name: &str) -> Result<String, Fault> {
        let found = inside
            .one(space, name)
            .map_err(|reason| self.reply.fault(reason))?;
        Ok(found.text.clone())
    }

    fn time(&self, inside: &Element, name: &str) -> Result<DateTime<Utc>, Fault> {
        let text = self.one(inside, ATOM_NS, name)?;
        let time = DateTime::parse_from_rfc3339(&text);
        let time = time.map_err(|error| {
            self.reply
                .fault(format_args!("<{name}> {:?}: {error}", short(&text)))
        })?;
        // A reader may cut it to the microsecond.
        Ok(DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or_default())
    }

    /// The entries with their events.
    fn entries(&self) -> impl Iterator<Item = (&Element, &Event)> {
        self.feed.all(ATOM_NS, "entry").zip(&self.events)
    }

    fn same(&self, name: &str, found: &str, expected: impl ToString) -> Result<(), Fault> {
        let expected = expected.to_string();
        self.reply.ensure(
            found == expected,
            format_args!(
                "{name} is {:?}, expected {:?}",
                short(found),
                short(&expected)
            ),
        )
    }
}

/// The documents that are looked at: head, tail, an empty one, and sealed pages.
async fn documents(kit: &Kit) -> Result<Vec<Doc>, Fault> {
    let mut urls = vec![kit.feed.clone(), kit.after("0"), kit.after("now")];
    urls.extend((1..=2).filter_map(|page| kit.page_url(page, Format::Atom)));
    let mut documents = Vec::new();
    for url in &urls {
        documents.push(document(kit, url).await?);
    }
    Ok(documents)
}

async fn feeds(kit: &Kit) -> Verdict {
    let documents = documents(kit).await?;
    let id = documents[0].one(&documents[0].feed, ATOM_NS, "id")?;
    for doc in &documents {
        let feed = &doc.feed;
        let found = doc.one(feed, ATOM_NS, "id")?;
        let uuid = found
            .strip_prefix("urn:uuid:")
            .filter(|uuid| uuid.len() == 36);
        doc.reply.ensure(
            uuid.is_some_and(|uuid| uuid::Uuid::try_parse(uuid).is_ok()),
            format_args!("its id {:?} is not urn:uuid: and a UUID", short(&found)),
        )?;
        doc.same("its id", &found, &id)?;
        doc.one(feed, ATOM_NS, "title")?;
        // RFC 4287, 4.1.1: an author, unless every entry has one.
        doc.reply.ensure(
            feed.all(ATOM_NS, "author").next().is_some(),
            "it has no author",
        )?;
        let is_sealed = doc.reply.url.path().contains("/archive/");
        let says = feed.all(HISTORY_NS, "archive").next().is_some();
        doc.reply.ensure(
            says == is_sealed,
            if says {
                "it says fh:archive, and is no sealed page"
            } else {
                "a sealed page does not say fh:archive"
            },
        )?;
        let updated = doc.time(feed, "updated")?;
        // In the head the newest event stands first; a tail may end before it.
        let expected = match (is_sealed, doc.reply.url == kit.feed) {
            (true, _) => doc.events.last().map(|event| event.recorded),
            (false, true) => doc.events.first().map(|event| event.recorded),
            (false, false) => None,
        };
        doc.reply.ensure(
            expected.is_none_or(|expected| updated == expected),
            format_args!(
                "updated is {updated}, the event was recorded {}",
                expected.unwrap_or_default()
            ),
        )?;
        let late = doc.events.iter().find(|event| event.recorded > updated);
        doc.reply.ensure(
            late.is_none(),
            format_args!("updated is {updated}, before one of its events was recorded"),
        )?;
    }
    kit.need_sealed(1)?;
    Ok(format!("{} documents of {id}", documents.len()))
}

async fn entries(kit: &Kit) -> Verdict {
    kit.need_events(1)?;
    let mut count = 0;
    for doc in documents(kit).await? {
        for (entry, event) in doc.entries() {
            doc.same(
                "an entry's id",
                &doc.one(entry, ATOM_NS, "id")?,
                format!("urn:uuid:{}", event.id),
            )?;
            doc.one(entry, ATOM_NS, "title")?;
            doc.same(
                "updated",
                &doc.time(entry, "updated")?.to_string(),
                event.recorded,
            )?;
            doc.same(
                "published",
                &doc.time(entry, "published")?.to_string(),
                event.time,
            )?;
            let category = entry
                .one(ATOM_NS, "category")
                .map_err(|reason| doc.reply.fault(reason))?;
            doc.reply.ensure(
                category.attribute("scheme").is_none(),
                "the category has a scheme",
            )?;
            doc.same(
                "the category",
                category.attribute("term").unwrap_or_default(),
                &event.event_type,
            )?;
            let alternates: Vec<&Element> = entry
                .all(ATOM_NS, "link")
                .filter(|link| matches!(link.attribute("rel"), None | Some("alternate")))
                .collect();
            let href = alternates
                .first()
                .and_then(|link| link.attribute("href"))
                .unwrap_or_default();
            let expected = kit.below(&format!("events/{}", event.id));
            doc.reply.ensure(
                alternates.len() == 1 && doc.reply.url.join(href).ok().as_ref() == Some(&expected),
                format_args!(
                    "the link alternate is {:?}, expected one to {}",
                    short(href),
                    expected.path()
                ),
            )?;
            count += 1;
        }
    }
    Ok(format!("{count} entries"))
}

async fn content(kit: &Kit) -> Verdict {
    kit.need_events(1)?;
    let (mut texts, mut base64, mut empty) = (0, 0, 0);
    for doc in documents(kit).await? {
        for (entry, event) in doc.entries() {
            let content = entry
                .one(ATOM_NS, "content")
                .map_err(|reason| doc.reply.fault(reason))?;
            let kind = content.attribute("type").unwrap_or("text");
            let says = entry
                .all(NAMESPACE, "datacontenttype")
                .next()
                .map(|element| element.text.clone());
            doc.same(
                "fw:datacontenttype",
                says.as_deref().unwrap_or("none"),
                event
                    .data
                    .as_ref()
                    .map_or("none", |data| data.content_type()),
            )?;
            let Some(data) = event.data.as_ref().filter(|data| !data.bytes().is_empty()) else {
                doc.reply.ensure(
                    kind == "text" && content.text.is_empty(),
                    "the content of no data is no empty text",
                )?;
                empty += 1;
                continue;
            };
            match data
                .json_text()
                .filter(|text| text.chars().all(is_xml_char))
            {
                Some(text) => {
                    doc.same("the type of JSON content", kind, "text")?;
                    // What XML says of line ends, a reader sees after the parser.
                    doc.reply.ensure(
                        content.text == text,
                        format_args!(
                            "the content of position {} is not its JSON text",
                            event.position
                        ),
                    )?;
                    texts += 1;
                }
                None => {
                    let own = kind == data.content_type() || kind == "application/octet-stream";
                    doc.reply.ensure(
                        own,
                        format_args!(
                            "the content of {} has the type {kind:?}",
                            data.content_type()
                        ),
                    )?;
                    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=\n\r\t ".contains(c);
                    doc.reply.ensure(
                        content.text.chars().all(is_base64),
                        "the content is no Base64",
                    )?;
                    base64 += 1;
                }
            }
        }
    }
    Ok(format!(
        "{texts} JSON texts, {base64} in Base64, {empty} empty"
    ))
}

/// Whether XML 1.0 can hold `c` (section 2.2).
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

async fn own_elements(kit: &Kit) -> Verdict {
    kit.need_events(1)?;
    let mut count = 0;
    for doc in documents(kit).await? {
        let is_sealed = doc.reply.url.path().contains("/archive/");
        for (name, header) in [("head", "feed-head"), ("caught-up", "feed-caught-up")] {
            if is_sealed {
                let is_there = doc.feed.all(NAMESPACE, name).next().is_some();
                doc.reply
                    .ensure(!is_there, format_args!("a sealed page has fw:{name}"))?;
            } else {
                doc.same(
                    &format!("fw:{name}"),
                    &doc.one(&doc.feed, NAMESPACE, name)?,
                    doc.reply.need(header)?,
                )?;
            }
        }
        for (entry, event) in doc.entries() {
            let text = |name: &str| doc.one(entry, NAMESPACE, name);
            doc.same("fw:position", &text("position")?, event.position)?;
            doc.same("fw:epoch", &text("epoch")?, event.epoch)?;
            doc.same("fw:check", &text("check")?, event.check)?;
            doc.same("fw:subject", &text("subject")?, &event.subject)?;
            doc.same("fw:version", &text("version")?, event.version)?;
            doc.same("fw:source", &text("source")?, &event.source)?;
            extensions(&doc, entry, event)?;
            // What is optional is the same too as in JSON, from where the walk has it.
            let walked = kit
                .walk
                .events
                .iter()
                .find(|walked| walked.position == event.position);
            doc.reply.ensure(
                walked.is_none_or(|walked| walked == event),
                format_args!("position {} is another event than in JSON", event.position),
            )?;
            count += 1;
        }
    }
    Ok(format!("{count} entries"))
}

fn extensions(doc: &Doc, entry: &Element, event: &Event) -> Result<(), Fault> {
    let found: Vec<&Element> = entry.all(NAMESPACE, "attribute").collect();
    doc.reply.ensure(
        found.len() == event.extensions.len(),
        format_args!(
            "position {} has {} fw:attribute, {} are known",
            event.position,
            found.len(),
            event.extensions.len()
        ),
    )?;
    for (name, value) in &event.extensions {
        let kind = match value {
            Extension::Boolean(_) => "boolean",
            Extension::Integer(_) => "integer",
            Extension::Text(_) => "string",
        };
        let says = |element: &&&Element| {
            element.attribute("name") == Some(name.as_str())
                && element.attribute("type") == Some(kind)
        };
        doc.reply.ensure(
            found.iter().find(says).is_some(),
            format_args!("there is no fw:attribute {name} of type {kind}"),
        )?;
    }
    Ok(())
}

async fn namespaces(kit: &Kit) -> Verdict {
    let documents = documents(kit).await?;
    for doc in &documents {
        doc.reply
            .ensure(!doc.feed.has_anywhere("xml:base"), "it has xml:base")?;
        // Whatever the prefix is: an element of ours in another namespace is none of ours.
        let entries = doc.feed.all(ATOM_NS, "entry").count();
        doc.reply.ensure(
            entries
                == doc
                    .feed
                    .children
                    .iter()
                    .filter(|child| child.name == "entry")
                    .count(),
            "it has entries that are not of the Atom namespace",
        )?;
    }
    Ok(format!("{} documents", documents.len()))
}
