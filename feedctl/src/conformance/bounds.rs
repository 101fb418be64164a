//! B: what every reader takes.

use feed_core::limits::{PAGE_BYTES_MAX, PAGE_CAPACITY_MAX, URL_BYTES_MAX};
use serde_json::Value;

use super::kit::Kit;
use super::rule::{Rule, Verdict, failed, rule};

pub(super) const RULES: &[Rule] = &[
    rule!(
        "B1",
        Must,
        "names, pages and URLs keep their limits",
        limits
    ),
    rule!(
        "B3",
        Must,
        "a URL that is too long is answered by 414",
        long_urls
    ),
];

async fn limits(kit: &Kit) -> Verdict {
    let name = kit
        .feed
        .path_segments()
        .and_then(Iterator::last)
        .unwrap_or_default();
    let is_name = (1..=64).contains(&name.len())
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !is_name {
        return failed(format!(
            "the feed's name {:?} is not 1 to 64 of a-z, 0-9 and -",
            super::reply::short(name)
        ));
    }
    let mut links = 0;
    for walked in &kit.walk.documents {
        let reply = &walked.reply;
        let longest = reply
            .links()?
            .iter()
            .filter_map(|link| Some(reply.url.join(&link.target).ok()?.as_str().len()))
            .max();
        reply.ensure(
            longest.unwrap_or_default() <= URL_BYTES_MAX,
            "a link is longer than 2048 bytes",
        )?;
        reply.ensure(
            walked.events.len() <= PAGE_CAPACITY_MAX as usize,
            format_args!("{} events in one document", walked.events.len()),
        )?;
        links += 1;
    }
    let Some(listed) = &kit.listed else {
        return failed("the list of feeds does not tell this feed's capacity and largest event");
    };
    let number = |name: &str| listed.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (capacity, bytes) = (number("page_capacity"), number("event_bytes_max"));
    if !(1..=u64::from(PAGE_CAPACITY_MAX)).contains(&capacity) {
        return failed(format!(
            "page_capacity is {capacity}, expected 1 to {PAGE_CAPACITY_MAX}"
        ));
    }
    if bytes == 0 || capacity.saturating_mul(bytes) > PAGE_BYTES_MAX {
        return failed(format!(
            "{capacity} events of {bytes} bytes are more than {PAGE_BYTES_MAX}"
        ));
    }
    Ok(format!(
        "{name:?}: {capacity} events of {bytes} bytes at most; links of {links} documents"
    ))
}

async fn long_urls(kit: &Kit) -> Verdict {
    let long = "a".repeat(URL_BYTES_MAX + 1);
    for url in [
        kit.at(&[("after", &long)]),
        kit.below(&format!("events/{long}")),
    ] {
        kit.get(&url, &[])
            .await?
            .expect_problem(414, "uri-too-long")?;
    }
    let usual = kit.at(&[("after", "now"), ("type", &"a".repeat(255))]);
    kit.get(&usual, &[("accept", "application/cloudevents-batch+json")])
        .await?
        .expect(200)?;
    Ok(format!("{} bytes and more", URL_BYTES_MAX))
}
