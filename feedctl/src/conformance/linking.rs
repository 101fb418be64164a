//! L: links and what the headers say of the feed.

use feed_core::Format;
use url::Url;

use super::kit::Kit;
use super::reply::{Reply, parameter, short};
use super::rule::{Fault, Rule, Verdict, failed, rule, skipped};
use super::xml;

pub(super) const RULES: &[Rule] = &[
    rule!("L1", Must, "next is there when it goes on", next),
    rule!("L2", Must, "where next leads", where_next_leads),
    rule!("L3", Must, "prev-archive, current and self", others),
    rule!("L4", Must, "the head links to the tail", tail_of_head),
    rule!("L5", Must, "links stand in the header too", in_header),
    rule!("L6", Must, "Feed-Head and Feed-Caught-Up", said_of_the_feed),
    rule!(
        "L8",
        Must,
        "links and redirects are relative",
        relative,
        Last
    ),
];

const JSON: &[(&str, &str)] = &[("accept", "application/cloudevents-batch+json")];

/// The relation of the link from the head to the tail (L4).
const TAIL: &str = "urn:feedway:rel:tail";
/// Sealed pages that are looked at.
const PAGES_MAX: u64 = 20;

async fn next(kit: &Kit) -> Verdict {
    for walked in &kit.walk.documents {
        walked.reply.need_link("next")?;
    }
    let now = kit.get(&kit.after("now"), JSON).await?;
    now.expect(200)?.need_link("next")?;
    let empty = kit.at(&[("after", "start"), ("type", &super::filters::unheard_of())]);
    kit.get(&empty, JSON)
        .await?
        .expect(200)?
        .need_link("next")?;
    let head = kit.document(&kit.feed, Format::Json).await?;
    head.ensure(head.link("next")?.is_none(), "the head document has next")?;
    Ok(format!(
        "{} documents, also without an event; the head has none",
        kit.walk.documents.len() + 2
    ))
}

/// The number of the page that an archive URL names.
fn page_of(kit: &Kit, url: &Url) -> Option<(u64, String)> {
    let path = url
        .path()
        .strip_prefix(kit.feed.path())?
        .strip_prefix("/archive/")?;
    let (_, file) = path.split_once('/')?;
    let (page, rest) = file.split_once('.')?;
    Some((page.parse().ok()?, rest.to_owned()))
}

/// `link` is this page of the archive, whichever epoch it is found under.
fn expect_page(
    kit: &Kit,
    reply: &Reply,
    relation: &str,
    page: u64,
    format: Format,
) -> Result<(), Fault> {
    let link = reply.need_link(relation)?;
    let expected = (page, format!("r1.{}", format.extension()));
    reply.ensure(
        page_of(kit, &link).as_ref() == Some(&expected),
        format_args!(
            "rel={relation} is {}, expected page {page} of the archive",
            short(link.as_str())
        ),
    )
}

async fn where_next_leads(kit: &Kit) -> Verdict {
    let now = kit.get(&kit.after("now"), JSON).await?;
    now.expect(200)?;
    let own = match now.positions()?.last() {
        Some(last) => *last,
        None => now.head()?.position.get(),
    };
    let next = now.next_cursor()?.position.get();
    now.ensure(
        next == own,
        format_args!("next leads behind position {next}, expected {own}"),
    )?;
    for format in [Format::Json, Format::Atom] {
        for page in 1..=kit.sealed_pages().min(PAGES_MAX) {
            let Some(url) = kit.page_url(page, format) else {
                continue;
            };
            let reply = kit.get(&url, &[]).await?;
            reply.expect(200)?;
            expect_page(kit, &reply, "next", page + 1, format)?;
        }
    }
    let capacity = kit.need_sealed(2)?;
    // A document of the rest of a sealed page: the next page is sealed too.
    if capacity > 1 {
        let rest = kit.get(&kit.after(1), JSON).await?;
        expect_page(kit, rest.expect(200)?, "next", 2, Format::Json)?;
    }
    // One that ends before the page does.
    let short_one = kit
        .get(&kit.at(&[("after", "0"), ("limit", "1")]), JSON)
        .await?;
    let next = short_one.expect(200)?.need_link("next")?;
    short_one.ensure(
        next.path() == kit.feed.path() || capacity == 1,
        format_args!(
            "next is {}, expected the tail behind position 1",
            short(next.as_str())
        ),
    )?;
    Ok(format!(
        "{} sealed pages, the rest of a page, and the end",
        kit.sealed_pages().min(PAGES_MAX)
    ))
}

async fn others(kit: &Kit) -> Verdict {
    let is_head = |reply: &Reply| -> Result<(), Fault> {
        let current = reply.need_link("current")?;
        reply.ensure(
            current.path() == kit.feed.path(),
            format_args!(
                "rel=current is {}, expected the head document",
                short(current.as_str())
            ),
        )?;
        reply.ensure(
            reply.link("next-archive")?.is_none(),
            "it has rel=next-archive",
        )
    };
    let head = kit.document(&kit.feed, Format::Json).await?;
    is_head(&head)?;
    let own = head.need_link("self")?;
    head.ensure(
        own == head.url,
        format_args!("rel=self is {}", short(own.as_str())),
    )?;
    let tail = kit.get(&kit.after("now"), JSON).await?;
    is_head(tail.expect(200)?)?;
    let own = tail.need_link("self")?;
    tail.ensure(
        own.path() == kit.feed.path() && parameter(&own, "after").is_some(),
        format_args!("rel=self is {}, expected the tail", short(own.as_str())),
    )?;
    let capacity = kit.need_sealed(1)?;
    let newest = |position: u64| position / capacity;
    expect_page(
        kit,
        &head,
        "prev-archive",
        newest(head.head()?.position.get()),
        Format::Json,
    )?;
    let begins = tail
        .positions()?
        .first()
        .map_or(tail.head()?.position.get(), |first| first - 1);
    expect_page(kit, &tail, "prev-archive", newest(begins), Format::Json)?;
    for format in [Format::Json, Format::Atom] {
        for page in 1..=kit.sealed_pages().min(PAGES_MAX) {
            let Some(url) = kit.page_url(page, format) else {
                continue;
            };
            let reply = kit.get(&url, &[]).await?;
            is_head(reply.expect(200)?)?;
            let own = reply.need_link("self")?;
            reply.ensure(
                own == url,
                format_args!("rel=self is {}", short(own.as_str())),
            )?;
            match page {
                1 => reply.ensure(
                    reply.link("prev-archive")?.is_none(),
                    "page 1 has rel=prev-archive",
                )?,
                page => expect_page(kit, &reply, "prev-archive", page - 1, format)?,
            }
        }
    }
    Ok(format!(
        "head, tail and {} sealed pages",
        kit.sealed_pages().min(PAGES_MAX)
    ))
}

async fn tail_of_head(kit: &Kit) -> Verdict {
    let head = kit.document(&kit.feed, Format::Json).await?;
    let tail = head.need_link(TAIL)?;
    let after = parameter(&tail, "after").unwrap_or_default();
    head.ensure(
        tail.path() == kit.feed.path() && after == head.head()?.to_string(),
        format_args!(
            "rel={TAIL} is {}, expected the tail behind {}",
            short(tail.as_str()),
            head.head()?
        ),
    )?;
    Ok(format!("after={after}"))
}

async fn in_header(kit: &Kit) -> Verdict {
    let mut urls = vec![
        kit.feed.clone(),
        kit.after("now"),
        kit.at(&[("after", "0"), ("limit", "1")]),
    ];
    urls.extend(kit.page_url(1, Format::Atom));
    urls.extend(kit.page_url(2, Format::Atom));
    let mut count = 0;
    for url in &urls {
        let reply = kit.document(url, Format::Atom).await?;
        let feed = xml::parse(&reply.body).map_err(|error| reply.fault(error))?;
        let mut body: Vec<(String, String)> = feed
            .all(feed_core::atom::ATOM_NS, "link")
            .map(|link| {
                let text = |name: &str| link.attribute(name).unwrap_or_default().to_owned();
                (text("rel").to_ascii_lowercase(), text("href"))
            })
            .collect();
        let links = reply.links()?.into_iter();
        let mut header: Vec<(String, String)> = links
            .flat_map(|link| {
                link.relations
                    .into_iter()
                    .map(move |rel| (rel, link.target.clone()))
            })
            .collect();
        body.sort();
        header.sort();
        let odd = body
            .iter()
            .find(|link| !header.contains(link))
            .or_else(|| header.iter().find(|link| !body.contains(link)));
        if let Some((rel, target)) = odd {
            return Err(reply.fault(format_args!(
                "rel={rel} to {} does not stand in both header and body",
                short(target)
            )));
        }
        count += body.len();
    }
    Ok(format!("{count} links of {} Atom documents", urls.len()))
}

async fn said_of_the_feed(kit: &Kit) -> Verdict {
    let head = kit.document(&kit.feed, Format::Json).await?;
    head.head()?;
    head.ensure(
        head.caught_up()?,
        "Feed-Caught-Up of the head document is false",
    )?;
    let mut tails = vec![kit.get(&kit.after("now"), JSON).await?];
    tails.push(
        kit.get(&kit.at(&[("after", "0"), ("limit", "1")]), JSON)
            .await?,
    );
    let walked = kit.walk.documents.iter();
    tails.extend(
        walked
            .filter(|walked| !walked.is_sealed())
            .map(|walked| walked.reply.clone()),
    );
    for tail in &tails {
        let newest = tail.expect(200)?.head()?.position.get();
        let last = tail.positions()?.last().copied();
        let asked = parameter(&tail.url, "after").unwrap_or_default();
        let begins = match asked.as_str() {
            "now" => newest,
            other => other
                .parse::<feed_core::Cursor>()
                .map_or(0, |cursor| cursor.position.get()),
        };
        let expected = last.unwrap_or(begins) >= newest;
        tail.ensure(
            tail.caught_up()? == expected,
            format_args!(
                "it ends with position {}, the newest is {newest}, Feed-Caught-Up is {}",
                last.unwrap_or(begins),
                !expected
            ),
        )?;
    }
    kit.need_sealed(1)?;
    for format in [Format::Json, Format::Atom] {
        let Some(url) = kit.page_url(1, format) else {
            continue;
        };
        let sealed = kit.get(&url, &[]).await?;
        for name in ["feed-head", "feed-caught-up"] {
            sealed.ensure(
                sealed.header(name).is_none(),
                format_args!("a sealed page says {name}"),
            )?;
        }
    }
    Ok(format!(
        "head, {} tails; a sealed page says nothing",
        tails.len()
    ))
}

/// The first link or redirect of a reply that a path prefix would change.
pub(super) fn absolute(reply: &Reply) -> Option<String> {
    let location = reply.header("location").map(str::to_owned);
    let links = reply
        .links()
        .unwrap_or_default()
        .into_iter()
        .map(|link| link.target);
    links.chain(location).find(|target| !is_relative(target))
}

/// Neither a URL nor a path from the root (RFC 3986, section 4.2).
fn is_relative(target: &str) -> bool {
    let first = target.split(['/', '?', '#']).next().unwrap_or_default();
    !target.starts_with('/') && !first.contains(':')
}

async fn relative(kit: &Kit) -> Verdict {
    for url in [kit.feed.clone(), kit.after("start"), kit.after("now")] {
        kit.get(&url, JSON).await?;
    }
    let atom = kit.document(&kit.after("0"), Format::Atom).await?;
    let feed = xml::parse(&atom.body).map_err(|error| atom.fault(error))?;
    let all = feed
        .children
        .iter()
        .chain(feed.children.iter().flat_map(|child| &child.children));
    for link in all.filter(|element| element.name == "link") {
        let href = link.attribute("href").unwrap_or_default();
        atom.ensure(
            is_relative(href),
            format_args!("the body links to {:?}", short(href)),
        )?;
    }
    let journal = kit
        .journal
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    match journal.absolute.first() {
        Some(first) => failed(format!(
            "{first}; {} of {}",
            journal.absolute.len(),
            journal.with_links
        )),
        None if journal.with_links == 0 => skipped("no answer has a link"),
        None => Ok(format!(
            "{} answers with links or redirects",
            journal.with_links
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_is_what_a_prefix_does_not_change() {
        for good in [
            "orders?after=a:b",
            "../x",
            "?after=1",
            "",
            "#x",
            "orders/archive/1",
        ] {
            assert!(is_relative(good), "{good}");
        }
        for bad in ["http://h/x", "//h/x", "/feeds/x", "urn:x"] {
            assert!(!is_relative(bad), "{bad}");
        }
    }
}
