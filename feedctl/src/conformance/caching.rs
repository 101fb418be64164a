//! H: what caches are told.

use feed_core::Format;
use feed_core::limits::DOCUMENT_BYTES_MAX;
use url::Url;

use super::ask::error_chain;
use super::kit::Kit;
use super::reply::{Reply, short};
use super::rule::{Fault, Rule, Verdict, failed, rule, skipped};

pub(super) const RULES: &[Rule] = &[
    rule!("H1", Must, "sealed pages are immutable", sealed),
    rule!("H2", Must, "everything else is asked for again", fresh),
    rule!("H3", Must, "If-None-Match", conditional),
    rule!("H4", Must, "Vary", vary),
    rule!("H5", May, "compressed sealed pages", compressed),
];

const JSON: &[(&str, &str)] = &[("accept", "application/cloudevents-batch+json")];
const ATOM: &[(&str, &str)] = &[("accept", "application/atom+xml")];

/// The codings of H5.
const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];
/// How often two requests are sent again between which the feed grew.
const TRIES_MAX: usize = 10;

/// A strong ETag (RFC 9110, section 8.8.3).
fn strong_etag(reply: &Reply) -> Result<&str, Fault> {
    let etag = reply.need("etag")?;
    let opaque = etag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let is_strong =
        opaque.is_some_and(|opaque| opaque.bytes().all(|b| b > b' ' && b != b'"' && b != 0x7f));
    reply.ensure(
        is_strong,
        format_args!("ETag {:?} is no strong one", short(etag)),
    )?;
    Ok(etag)
}

async fn sealed(kit: &Kit) -> Verdict {
    kit.need_sealed(1)?;
    let mut seen = String::new();
    for format in [Format::Json, Format::Atom] {
        let Some(url) = kit.page_url(1, format) else {
            continue;
        };
        let reply = kit.get(&url, &[]).await?;
        let directives = reply.expect(200)?.list("cache-control");
        let says = |directive: &str| directives.iter().any(|found| found == directive);
        seen = directives.join(", ");
        reply.ensure(
            says("max-age=31536000") && says("immutable") && (says("public") != says("private")),
            format_args!(
                "Cache-Control is {seen:?}, expected public or private, max-age=31536000, immutable"
            ),
        )?;
        strong_etag(&reply)?;
    }
    Ok(seen)
}

async fn fresh(kit: &Kit) -> Verdict {
    let list = kit.get(&kit.list(), &[]).await?;
    list.ensure(
        list.expect(200)?
            .list("cache-control")
            .iter()
            .any(|directive| directive == "no-cache"),
        format_args!(
            "Cache-Control is {:?}, expected no-cache",
            list.header("cache-control")
        ),
    )?;
    let is_private = match kit.page_url(1, Format::Json) {
        Some(url) => kit
            .get(&url, &[])
            .await?
            .list("cache-control")
            .contains(&"private".to_owned()),
        None => false,
    };
    let mut urls = vec![
        kit.feed.clone(),
        kit.after("now"),
        kit.after("0"),
        kit.at(&[("after", "0"), ("limit", "1")]),
    ];
    let event = kit
        .walk
        .events
        .first()
        .map(|event| kit.below(&format!("events/{}", event.id)));
    urls.extend(event.clone());
    for url in &urls {
        let accept = if Some(url) == event.as_ref() {
            &[][..]
        } else {
            JSON
        };
        let reply = steady(kit, url, accept).await?;
        let directives = reply.list("cache-control");
        let says = |directive: &str| directives.iter().any(|found| found == directive);
        reply.ensure(
            says("no-cache") && (says("private") || !is_private) && !says("immutable"),
            format_args!(
                "Cache-Control is {:?}, expected {}no-cache",
                directives.join(", "),
                if is_private { "private, " } else { "" }
            ),
        )?;
    }
    // Other documents and representations have other tags.
    let head = kit.get(&kit.feed, JSON).await?;
    for (url, accept) in [
        (&kit.feed, ATOM),
        (&kit.after("0"), JSON),
        (&kit.at(&[("after", "0"), ("limit", "1")]), JSON),
    ] {
        let other = kit.get(url, accept).await?;
        other.ensure(
            strong_etag(&other)? != strong_etag(&head)?,
            "its ETag is that of the head document in JSON",
        )?;
    }
    let tail = kit.after("now");
    let before = kit.get(&kit.feed, JSON).await?;
    let tail_before = kit.get(&tail, JSON).await?;
    kit.need_append()?;
    kit.append().await?;
    for (url, before) in [(&kit.feed, before), (&tail, tail_before)] {
        let now = kit.get(url, JSON).await?;
        now.ensure(
            strong_etag(&now)? != strong_etag(&before)?,
            "an event came, and the ETag is the same as before",
        )?;
    }
    Ok(format!(
        "{} URLs, {}",
        urls.len(),
        if is_private { "private" } else { "public" }
    ))
}

/// The answer, after making sure that its ETag is the same when nothing changes.
async fn steady(kit: &Kit, url: &Url, headers: &[(&str, &str)]) -> Result<Reply, Fault> {
    for _ in 0..TRIES_MAX {
        let (first, second) = (kit.get(url, headers).await?, kit.get(url, headers).await?);
        let (one, other) = (
            strong_etag(first.expect(200)?)?,
            strong_etag(second.expect(200)?)?,
        );
        if one == other {
            return Ok(second);
        }
        if first.body == second.body && first.header("feed-head") == second.header("feed-head") {
            return Err(second.fault(format_args!(
                "the ETag of the same document was {}, then {}",
                short(one),
                short(other)
            )));
        }
    }
    skipped("the feed grows between any two requests")
}

async fn conditional(kit: &Kit) -> Verdict {
    let mut urls = vec![
        (kit.feed.clone(), JSON),
        (kit.feed.clone(), ATOM),
        (kit.after("0"), JSON),
        (kit.after("now"), JSON),
    ];
    if let Some(event) = kit.walk.events.first() {
        urls.push((
            kit.below(&format!("events/{}", event.id)),
            &[("accept", "application/cloudevents+json")],
        ));
    }
    urls.extend(kit.page_url(1, Format::Json).map(|url| (url, JSON)));
    for (url, accept) in &urls {
        not_modified(kit, url, accept).await?;
    }
    Ok(format!(
        "{} URLs: strong, weak, in a list, and *",
        urls.len()
    ))
}

async fn not_modified(kit: &Kit, url: &Url, accept: &[(&str, &str)]) -> Result<(), Fault> {
    for tries in 1.. {
        let reply = kit.get(url, accept).await?;
        let etag = strong_etag(reply.expect(200)?)?;
        let held = [
            etag.to_owned(),
            format!("W/{etag}"),
            format!("\"other\", {etag}, W/\"more\""),
            "*".to_owned(),
        ];
        let mut verdict = Ok(());
        for held in &held {
            let headers = [accept, &[("if-none-match", held.as_str())]].concat();
            let again = kit.get(url, &headers).await?;
            verdict = verdict.and(same_but_the_body(&reply, &again, held == "*"));
        }
        let headers = [accept, &[("if-none-match", "\"other\"")]].concat();
        verdict = verdict.and(kit.get(url, &headers).await?.expect(200).map(|_| ()));
        let still = kit.get(url, accept).await?.header("etag") == Some(etag);
        if verdict.is_ok() || still || tries == TRIES_MAX {
            return verdict;
        }
    }
    Ok(())
}

fn same_but_the_body(full: &Reply, reply: &Reply, any: bool) -> Result<(), Fault> {
    reply.expect(304)?;
    reply.ensure(reply.body.is_empty(), "it has a body")?;
    reply.ensure(
        reply.header("content-type").is_none(),
        "it has a content-type",
    )?;
    for name in [
        "etag",
        "cache-control",
        "vary",
        "link",
        "feed-head",
        "feed-caught-up",
    ] {
        // `*` holds for whatever the document is by now.
        let same = reply.header(name) == full.header(name) || (any && reply.header(name).is_some());
        reply.ensure(
            same,
            format_args!(
                "{name} is {:?}, with 200 {:?}",
                reply.header(name).map(short),
                full.header(name).map(short)
            ),
        )?;
    }
    Ok(())
}

async fn vary(kit: &Kit) -> Verdict {
    let varies = |reply: &Reply, by: &str| {
        reply
            .list("vary")
            .iter()
            .any(|found| found == by || found == "*")
    };
    let mut urls = vec![
        kit.feed.clone(),
        kit.after("now"),
        kit.after("start"),
        kit.after("0"),
    ];
    urls.extend(
        kit.walk
            .events
            .first()
            .map(|event| kit.below(&format!("events/{}", event.id))),
    );
    for url in &urls {
        let reply = kit.get(url, &[]).await?;
        reply.ensure(
            reply.status < 400 && varies(&reply, "accept"),
            format_args!("Vary is {:?}, expected Accept", reply.header("vary")),
        )?;
    }
    if let Some(url) = kit.page_url(1, Format::Json) {
        let offered = !offered(kit, &url).await?.is_empty();
        let plain = kit.get(&url, &[]).await?;
        plain.ensure(
            !offered || varies(&plain, "accept-encoding"),
            format_args!(
                "Vary is {:?}, expected Accept-Encoding: it comes compressed too",
                plain.header("vary")
            ),
        )?;
    }
    Ok(format!("Accept at {} URLs", urls.len()))
}

/// The codings that a page comes in, with the answers.
async fn offered(kit: &Kit, url: &Url) -> Result<Vec<(&'static str, Reply)>, Fault> {
    let mut offered = Vec::new();
    for coding in CODINGS {
        let reply = kit.get(url, &[("accept-encoding", coding)]).await?;
        reply.expect(200)?;
        if let Some(found) = reply.header("content-encoding") {
            reply.ensure(
                found == coding,
                format_args!("content-encoding is {:?}", short(found)),
            )?;
            offered.push((coding, reply));
        }
    }
    Ok(offered)
}

async fn compressed(kit: &Kit) -> Verdict {
    kit.need_sealed(1)?;
    let mut seen = Vec::new();
    // A small page may not be worth it, so the largest is asked for.
    let largest = kit
        .walk
        .documents
        .iter()
        .filter(|walked| walked.is_sealed())
        .max_by_key(|walked| walked.reply.body.len());
    let Some(url) = largest
        .map(|walked| walked.reply.url.clone())
        .or_else(|| kit.page_url(1, Format::Json))
    else {
        return skipped("no sealed page");
    };
    let plain = kit.get(&url, &[]).await?;
    let etag = strong_etag(plain.expect(200)?)?;
    plain.ensure(
        plain.header("content-encoding").is_none(),
        "it is compressed though nobody asked for it",
    )?;
    for (coding, reply) in offered(kit, &url).await? {
        let own = strong_etag(&reply)?;
        reply.ensure(own != etag, "the ETag is that of the page without a coding")?;
        let vary = reply.list("vary");
        reply.ensure(
            vary.iter().any(|found| found == "accept-encoding"),
            "there is no Vary: Accept-Encoding",
        )?;
        let decoded = decoded(kit, &url, coding).await?;
        reply.ensure(decoded == plain.body, "decoded, it is not the page")?;
        let held = [("accept-encoding", coding), ("if-none-match", own)];
        kit.get(&url, &held).await?.expect(304)?;
        let refused = format!("{coding};q=0");
        let without = kit.get(&url, &[("accept-encoding", &refused)]).await?;
        without.ensure(
            without.header("content-encoding") != Some(coding),
            "it comes in the coding that is refused",
        )?;
        seen.push(format!(
            "{coding} {} of {} bytes",
            reply.body.len(),
            plain.body.len()
        ));
    }
    if seen.is_empty() {
        return skipped(format!(
            "{}: gzip, br and zstd are not offered",
            plain.request
        ));
    }
    Ok(seen.join(", "))
}

/// The page, sent in this coding and decoded.
async fn decoded(kit: &Kit, url: &Url, coding: &str) -> Result<Vec<u8>, Fault> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(kit.timeout)
        .gzip(coding == "gzip")
        .brotli(coding == "br")
        .zstd(coding == "zstd")
        .build();
    let wrong = |error: reqwest::Error| {
        Fault::Failed(format!(
            "GET {} [{coding}]: {}",
            url.path(),
            error_chain(&error)
        ))
    };
    let request = kit.authorised(client.map_err(wrong)?.get(url.clone()), url);
    let mut response = request.send().await.map_err(wrong)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(wrong)? {
        body.extend_from_slice(&chunk);
        if body.len() > DOCUMENT_BYTES_MAX {
            return failed(format!(
                "GET {} [{coding}]: more than {DOCUMENT_BYTES_MAX} bytes",
                url.path()
            ));
        }
    }
    Ok(body)
}
