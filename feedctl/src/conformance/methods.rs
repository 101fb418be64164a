//! D: the methods of HTTP.

use feed_core::Format;
use reqwest::Method;

use super::kit::Kit;
use super::reply::Reply;
use super::rule::{Fault, Rule, Verdict, rule};

pub(super) const RULES: &[Rule] = &[
    rule!("D7", Must, "HEAD answers as GET does", head_requests),
    rule!("D8", Must, "OPTIONS and other methods", methods),
];

const JSON: &[(&str, &str)] = &[("accept", "application/cloudevents-batch+json")];

/// Headers that say the same of a document for HEAD and GET.
const SAME_HEADERS: [&str; 10] = [
    "content-type",
    "etag",
    "cache-control",
    "link",
    "vary",
    "location",
    "feed-head",
    "feed-caught-up",
    "allow",
    "retry-after",
];

async fn head_requests(kit: &Kit) -> Verdict {
    let mut urls = vec![
        kit.feed.clone(),
        kit.after("start"),
        kit.after("now"),
        kit.after("nonsense"),
        kit.list(),
        kit.below("events/nonsense"),
        kit.below("archive/nonsense/1.r1.json"),
    ];
    if let Some(event) = kit.walk.events.first() {
        urls.push(kit.below(&format!("events/{}", event.id)));
    }
    urls.extend(kit.page_url(1, Format::Atom));
    for url in &urls {
        same_without_body(kit, url).await?;
    }
    Ok(format!("{} URLs, with redirects and errors", urls.len()))
}

async fn same_without_body(kit: &Kit, url: &url::Url) -> Result<(), Fault> {
    let mut last = Ok(());
    // The feed may have grown between the two requests.
    for _ in 0..5 {
        let get = kit.get(url, JSON).await?;
        let head = kit.request(Method::HEAD, url, JSON).await?;
        let again = kit.get(url, JSON).await?;
        last = same_headers(&get, &head);
        if last.is_ok() || get.header("feed-head") == again.header("feed-head") {
            return last;
        }
    }
    last
}

fn same_headers(get: &Reply, head: &Reply) -> Result<(), Fault> {
    head.expect(get.status)?;
    head.ensure(head.body.is_empty(), "it has a body")?;
    for name in SAME_HEADERS {
        let (expected, found) = (get.header(name), head.header(name));
        head.ensure(
            expected == found,
            format_args!("{name} is {found:?}, for GET {expected:?}"),
        )?;
    }
    let length = head.header("content-length");
    head.ensure(
        length.is_none()
            || get.header("content-length").is_none()
            || length == get.header("content-length"),
        format_args!(
            "content-length is {length:?}, for GET {:?}",
            get.header("content-length")
        ),
    )
}

async fn methods(kit: &Kit) -> Verdict {
    let mut urls = vec![kit.feed.clone(), kit.list()];
    if let Some(event) = kit.walk.events.first() {
        urls.push(kit.below(&format!("events/{}", event.id)));
    }
    urls.extend(kit.page_url(1, Format::Json));
    for url in &urls {
        let options = kit.request(Method::OPTIONS, url, &[]).await?;
        options.expect(204)?;
        let allow = options.list("allow");
        options.ensure(
            ["get", "head"]
                .iter()
                .all(|method| allow.iter().any(|found| found == method)),
            format_args!(
                "Allow is {:?}, without GET and HEAD",
                options.header("allow")
            ),
        )?;
        // Without a body, so that nothing could come of it.
        for method in [Method::POST, Method::PATCH] {
            let reply = kit.request(method, url, &[]).await?;
            if is_kept_out(kit, &reply)? {
                continue;
            }
            reply.expect_problem(405, "method-unknown")?;
            reply.need("allow")?;
        }
    }
    Ok(format!("OPTIONS, POST and PATCH at {} URLs", urls.len()))
}

/// Whether a token that may only read is refused before the method is.
pub(super) fn is_kept_out(kit: &Kit, reply: &Reply) -> Result<bool, Fault> {
    if !kit.has_token() || reply.status != 403 {
        return Ok(false);
    }
    reply.expect_problem(403, "token-reads-only")?;
    Ok(true)
}
