//! P: errors, and what is noted of every answer for the rules that hold for all of them.

use feed_core::client::problem_slug;
use feed_core::{Check, Cursor, Epoch, EventId, Position};
use reqwest::Method;
use serde_json::Value;

use super::kit::Kit;
use super::reply::{Reply, short};
use super::rule::{Fault, Rule, Verdict, failed, rule};
use super::{documents, linking, methods};

pub(super) const RULES: &[Rule] = &[
    rule!(
        "P1",
        Must,
        "each wrong cursor has its own type",
        wrong_cursors
    ),
    rule!(
        "P4",
        Must,
        "errors are problems with a type that is known",
        problems,
        Last
    ),
];

const JSON: &[(&str, &str)] = &[("accept", "application/cloudevents-batch+json")];

/// Most faults of a kind that are kept.
const KEPT_MAX: usize = 100;

/// What all answers of the run had of what no answer may have.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Answers with a status of 300 or above, except 304.
    pub(super) not_fine: usize,
    /// Those of them that a cache could store.
    pub(super) storable: Vec<String>,
    /// Answers with links or redirects.
    pub(super) with_links: usize,
    /// Those of them with one that is not relative.
    pub(super) absolute: Vec<String>,
    /// Answers of 400 or above.
    pub(super) errors: usize,
    /// Those of them that are no right problem.
    pub(super) odd: Vec<String>,
}

impl Journal {
    pub(super) fn note(&mut self, reply: &Reply) {
        fn keep(list: &mut Vec<String>, fault: String) {
            if list.len() < KEPT_MAX {
                list.push(fault);
            }
        }
        self.not_fine += usize::from(reply.status >= 300 && reply.status != 304);
        if documents::is_storable(reply) {
            keep(
                &mut self.storable,
                format!(
                    "{}: Cache-Control is {:?}",
                    reply.said(),
                    reply.header("cache-control")
                ),
            );
        }
        self.with_links +=
            usize::from(reply.header("link").is_some() || reply.header("location").is_some());
        if let Some(target) = linking::absolute(reply) {
            keep(
                &mut self.absolute,
                format!("{}: {:?}", reply.said(), short(&target)),
            );
        }
        self.errors += usize::from(reply.status >= 400);
        // Of an answer to HEAD there is no body to look at.
        if reply.status >= 400
            && !reply.request.starts_with("HEAD ")
            && let Err(Fault::Failed(fault)) = right_problem(reply)
        {
            keep(&mut self.odd, fault);
        }
    }
}

/// The members that every problem has (RFC 9457, section 3.1, and P4).
fn right_problem(reply: &Reply) -> Result<Value, Fault> {
    reply.expect_media_type("application/problem+json")?;
    let body = reply.json()?;
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let slug = text("type").map(problem_slug).unwrap_or_default();
    let is_word = !slug.is_empty() && slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    reply.ensure(
        is_word,
        format_args!(
            "the problem's type {:?} does not end in a word",
            text("type").map(short)
        ),
    )?;
    reply.ensure(text("detail").is_some(), "the problem has no detail")?;
    let status = body.get("status").and_then(Value::as_u64);
    reply.ensure(
        status == Some(u64::from(reply.status)),
        format_args!("the problem's status is {status:?}"),
    )?;
    if reply.status == 401 {
        reply.need("www-authenticate")?;
    }
    if reply.status == 405 {
        reply.need("allow")?;
    }
    if reply.status == 503 {
        reply.need("retry-after")?;
    }
    Ok(body)
}

/// The refusal of this cursor, with a member that names the feed's head.
async fn refused(kit: &Kit, cursor: Cursor, slug: &str) -> Result<(Reply, Value), Fault> {
    let reply = kit.get(&kit.after(cursor), JSON).await?;
    let body = reply.expect_problem(409, slug)?;
    let head = body.get("head").and_then(Value::as_str).unwrap_or_default();
    reply.ensure(
        head.parse::<Cursor>().is_ok(),
        format_args!(
            "`head` is {:?}, expected the cursor of the newest event",
            short(head)
        ),
    )?;
    Ok((reply, body))
}

async fn wrong_cursors(kit: &Kit) -> Verdict {
    for wrong in ["nonsense", "", "1.2.3", "-1"] {
        kit.get(&kit.after(wrong), JSON)
            .await?
            .expect_problem(400, "cursor-malformed")?;
    }
    let head = kit.newest().await?;
    let elsewhere = Cursor {
        epoch: Epoch::from_bytes(rand::random()),
        ..head
    };
    let (reply, body) = refused(kit, elsewhere, "epoch-unknown").await?;
    let epochs = body.get("epochs").and_then(Value::as_array);
    let names = epochs.is_some_and(|epochs| {
        epochs
            .iter()
            .any(|epoch| epoch.as_str() == Some(&head.epoch.to_string()))
    });
    reply.ensure(names, "`epochs` does not name the feed's own")?;
    let beyond = Cursor {
        epoch: head.epoch,
        position: Position::new(head.position.get() + 1_000_000).unwrap_or(head.position),
        check: Check::from_bytes(rand::random()),
    };
    let (reply, body) = refused(kit, beyond, "cursor-beyond-head").await?;
    let asked = body.get("asked_position").and_then(Value::as_u64);
    reply.ensure(
        asked == Some(beyond.position.get()),
        format_args!("`asked_position` is {asked:?}"),
    )?;
    let event = &kit.need_events(1)?[0];
    let other = Cursor {
        check: event.check.next(event.id),
        ..event.cursor()
    };
    let (reply, body) = refused(kit, other, "cursor-diverged").await?;
    for (member, cursor) in [("asked", other), ("found", event.cursor())] {
        let said = body.get(member).and_then(Value::as_str).unwrap_or_default();
        reply.ensure(
            said == cursor.to_string(),
            format_args!("`{member}` is {:?}, expected {cursor}", short(said)),
        )?;
    }
    Ok("malformed, of another epoch, beyond the head, diverged".to_owned())
}

async fn problems(kit: &Kit) -> Verdict {
    let mut sibling = kit.list();
    if let Ok(mut segments) = sibling.path_segments_mut() {
        segments.push(&format!("feedctl-{:08x}", rand::random::<u32>()));
    }
    let epoch = kit
        .walk
        .events
        .first()
        .map_or(Epoch::from_bytes([0; 8]), |event| event.epoch);
    let unknown = EventId::from_bytes(rand::random());
    let asked = [
        (Method::GET, sibling, 404, "feed-unknown"),
        (
            Method::GET,
            kit.below(&format!("events/{unknown}")),
            404,
            "event-unknown",
        ),
        (Method::GET, kit.after(unknown), 404, "event-unknown"),
        (
            Method::GET,
            kit.below(&format!("archive/{epoch}/page.html")),
            404,
            "page-unknown",
        ),
        (Method::GET, kit.below("nothing/here"), 404, "path-unknown"),
        (Method::POST, kit.feed.clone(), 405, "method-unknown"),
        (Method::GET, kit.after("nonsense"), 400, "cursor-malformed"),
    ];
    for (method, url, status, slug) in &asked {
        let reply = kit.request(method.clone(), url, JSON).await?;
        if !methods::is_kept_out(kit, &reply)? {
            reply.expect_problem(*status, slug)?;
        }
        let body = right_problem(&reply)?;
        explained(
            kit,
            &reply,
            body.get("type").and_then(Value::as_str).unwrap_or_default(),
        )
        .await?;
    }
    let token = anonymous(kit).await?;
    let journal = kit
        .journal
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    match journal.odd.first() {
        Some(first) => failed(format!(
            "{first}; {} of {}",
            journal.odd.len(),
            journal.errors
        )),
        None => Ok(format!("{} errors of this run{token}", journal.errors)),
    }
}

/// The problem's type leads to a page, where that can be seen without asking a stranger.
async fn explained(kit: &Kit, reply: &Reply, problem_type: &str) -> Result<(), Fault> {
    let target = reply.url.join(problem_type);
    let target = target
        .map_err(|error| reply.fault(format_args!("type {:?}: {error}", short(problem_type))))?;
    reply.ensure(
        matches!(target.scheme(), "http" | "https"),
        format_args!("the type {:?} leads to no page", short(problem_type)),
    )?;
    if target.origin() == kit.feed.origin() {
        kit.get(&target, &[]).await?.expect(200)?;
    }
    Ok(())
}

/// What somebody without a token is told, if the feed asks for one.
async fn anonymous(kit: &Kit) -> Result<&'static str, Fault> {
    if !kit.has_token() {
        return Ok("");
    }
    let reply = kit.get_anonymously(&kit.feed).await?;
    if reply.status == 200 {
        return Ok("; no token is needed");
    }
    reply.expect_problem(401, "token-missing")?;
    right_problem(&reply)?;
    Ok("; 401 without a token")
}
