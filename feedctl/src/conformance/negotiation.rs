//! N: which representation is answered.

use feed_core::Format;
use serde_json::Value;

use super::kit::Kit;
use super::reply::short;
use super::rule::{Rule, Verdict, rule};

pub(super) const RULES: &[Rule] = &[
    rule!("N1", Must, "representations by Accept", representations),
    rule!("N2", Must, "406 with what is offered", not_acceptable),
];

const ATOM: &str = "application/atom+xml";
const JSON: &str = "application/cloudevents-batch+json";

async fn representations(kit: &Kit) -> Verdict {
    let asked = [
        (None, ATOM),
        (Some("*/*"), ATOM),
        (Some(ATOM), ATOM),
        (Some(JSON), JSON),
        (
            Some("application/cloudevents-batch+json;q=0.5, application/atom+xml;q=0.4"),
            JSON,
        ),
        (
            Some("application/cloudevents-batch+json;q=0.4, application/atom+xml;q=0.5"),
            ATOM,
        ),
        (Some("application/atom+xml;q=0, */*"), JSON),
        (Some("text/html, application/xml;q=0.9, */*;q=0.8"), ATOM),
        (Some("APPLICATION/ATOM+XML;charset=utf-8"), ATOM),
    ];
    for (accept, media_type) in asked {
        let headers: Vec<(&str, &str)> = accept
            .into_iter()
            .map(|accept| ("accept", accept))
            .collect();
        for url in [&kit.feed, &kit.after("now")] {
            kit.get(url, &headers)
                .await?
                .expect(200)?
                .expect_media_type(media_type)?;
        }
    }
    let stream = kit.stream(&kit.after("now"), &[]).await?;
    drop(stream);
    let event = &kit.need_events(1)?[0];
    let url = kit.below(&format!("events/{}", event.id));
    let entry = kit.get(&url, &[("accept", ATOM)]).await?;
    entry.expect(200)?.expect_media_type(ATOM)?;
    let found = entry
        .need("content-type")?
        .replace([' ', '"'], "")
        .to_ascii_lowercase();
    entry.ensure(
        found.split(';').any(|parameter| parameter == "type=entry"),
        format_args!(
            "content-type is {:?}, expected {ATOM};type=entry",
            short(&found)
        ),
    )?;
    let structured = kit
        .get(&url, &[("accept", "application/cloudevents+json")])
        .await?;
    structured
        .expect(200)?
        .expect_media_type("application/cloudevents+json")?;
    if let Some(data) = &event.data {
        let reply = kit.get(&url, &[("accept", data.content_type())]).await?;
        reply.expect(200)?.need("ce-id")?;
        reply.ensure(
            reply.body == data.bytes(),
            "the body is not the event's data",
        )?;
    }
    for format in [Format::Atom, Format::Json] {
        let Some(url) = kit.page_url(1, format) else {
            continue;
        };
        for accept in ["text/html", ATOM, JSON] {
            let reply = kit.get(&url, &[("accept", accept)]).await?;
            reply.expect(200)?.expect_media_type(format.media_type())?;
        }
    }
    Ok(format!(
        "{} kinds of Accept; an event in three forms",
        asked.len()
    ))
}

async fn not_acceptable(kit: &Kit) -> Verdict {
    let mut urls = vec![kit.feed.clone(), kit.after("now")];
    urls.extend(
        kit.walk
            .events
            .first()
            .map(|event| kit.below(&format!("events/{}", event.id))),
    );
    for url in &urls {
        for accept in ["text/html", "application/atom+xml;q=0"] {
            let reply = kit.get(url, &[("accept", accept)]).await?;
            let problem = reply.expect_problem(406, "not-acceptable")?;
            let available = problem.get("available").and_then(Value::as_array);
            let texts =
                available.is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string));
            reply.ensure(texts, "`available` is no list of media types")?;
        }
    }
    Ok(format!("{} URLs", urls.len()))
}
