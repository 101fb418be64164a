//! D: how the documents behave.

use feed_core::{Epoch, Format};

use super::kit::Kit;
use super::reply::{Reply, parameter};
use super::rule::{Rule, Verdict, failed, rule, skipped};

pub(super) const RULES: &[Rule] = &[
    rule!(
        "D1",
        Must,
        "sealed bytes depend on nothing of the request",
        sealed_bytes,
        Last
    ),
    rule!(
        "D2",
        Must,
        "a page that is not sealed leads to the tail",
        not_sealed
    ),
    rule!(
        "D3",
        Must,
        "another epoch leads to the right one",
        other_epoch
    ),
    rule!("D4", Must, "what is redirected to the archive", redirects),
    rule!(
        "D5",
        Must,
        "no redirect and no error is stored",
        no_store,
        Last
    ),
    rule!(
        "D6",
        Must,
        "unknown and repeated parameters are refused",
        unknown_parameters
    ),
];

const JSON: &[(&str, &str)] = &[("accept", "application/cloudevents-batch+json")];

async fn sealed_bytes(kit: &Kit) -> Verdict {
    kit.need_sealed(1)?;
    let mut compared = 0;
    // What the walk got at the beginning, and what other requests get at the end of the run.
    for page in [1, kit.sealed_pages()] {
        for format in [Format::Json, Format::Atom] {
            let Some(url) = kit.page_url(page, format) else {
                continue;
            };
            let plain = kit.get(&url, &[]).await?;
            plain.expect(200)?;
            let others: &[&[(&str, &str)]] = &[
                &[
                    ("accept", "text/html;q=0.3, */*;q=0.1"),
                    ("accept-language", "de"),
                    ("user-agent", "another/1.0"),
                ],
                &[
                    ("cache-control", "no-cache"),
                    ("x-forwarded-host", "other.example"),
                    ("x-forwarded-proto", "https"),
                ],
            ];
            for headers in others {
                let other = kit.get(&url, headers).await?;
                other.expect(200)?;
                other.ensure(
                    other.body == plain.body,
                    "the bytes are not those that a plain request gets",
                )?;
                compared += 1;
            }
            let walked = kit
                .walk
                .documents
                .iter()
                .find(|walked| walked.reply.url == url);
            if let Some(walked) = walked {
                plain.ensure(
                    plain.body == walked.reply.body,
                    "the bytes are not those from the beginning of the run",
                )?;
            }
        }
    }
    Ok(format!(
        "{compared} answers for {} pages",
        kit.sealed_pages().min(2)
    ))
}

async fn not_sealed(kit: &Kit) -> Verdict {
    let capacity = match kit.capacity {
        Some(capacity) => capacity,
        None => kit.need_sealed(1)?,
    };
    let (mut open, mut far) = (None, None);
    // While somebody appends, the open page may be sealed between two requests: then it is looked for again.
    for _ in 0..5 {
        let head = kit.newest().await?;
        let page = head.position.get() / capacity + 1;
        let url = kit.below(&format!("archive/{}/{page}.r1.json", head.epoch));
        let reply = kit.get(&url, &[]).await?;
        if reply.status == 200 || leads_to_a_page(&reply) {
            continue;
        }
        let target = reply.expect_redirect()?;
        let after = parameter(&target, "after");
        let expected = match page {
            1 => 0,
            page => (page - 1) * capacity,
        };
        let found = after
            .as_deref()
            .and_then(|after| after.parse::<feed_core::Cursor>().ok());
        reply.ensure(
            target.path() == kit.feed.path()
                && found.is_some_and(|cursor| cursor.position.get() == expected),
            format_args!("it leads to {target}, expected the tail behind position {expected}"),
        )?;
        open = Some(page);
        let url = kit.below(&format!(
            "archive/{}/{}.r1.json",
            head.epoch,
            page + 1_000_000
        ));
        let reply = kit.get(&url, &[]).await?;
        reply.expect_problem(404, "page-unknown")?;
        far = Some(page + 1_000_000);
        break;
    }
    match (open, far) {
        (Some(open), Some(far)) => Ok(format!(
            "page {open} leads to the tail, page {far} is not there"
        )),
        _ => skipped("the feed seals its pages faster than they can be asked for"),
    }
}

/// Whether it redirects to another page of the archive: in a new epoch, it was sealed meanwhile.
fn leads_to_a_page(reply: &Reply) -> bool {
    reply
        .expect_redirect()
        .is_ok_and(|target| target.path().contains("/archive/"))
}

async fn other_epoch(kit: &Kit) -> Verdict {
    kit.need_sealed(1)?;
    let Some(right) = kit.page_url(1, Format::Json) else {
        return skipped("no sealed page");
    };
    let unknown = Epoch::from_bytes(rand::random());
    let url = kit.below(&format!("archive/{unknown}/1.r1.json"));
    let reply = kit.get(&url, &[]).await?;
    reply.expect_problem(404, "epoch-unknown")?;
    let epochs = kit.walk.events.iter().map(|event| event.epoch);
    let first = kit.walk.events.first().map(|event| event.epoch);
    let Some(other) = epochs.into_iter().find(|epoch| Some(*epoch) != first) else {
        return skipped("the feed has one epoch: a restored one has two");
    };
    for page in 1..=kit.sealed_pages().min(50) {
        for format in [Format::Atom, Format::Json] {
            let Some(right) = kit.page_url(page, format) else {
                continue;
            };
            for epoch in [first.unwrap_or(other), other] {
                let url = kit.below(&format!("archive/{epoch}/{page}.r1.{}", format.extension()));
                if url != right {
                    let reply = kit.get(&url, &[]).await?;
                    let target = reply.expect_redirect()?;
                    reply.ensure(
                        target == right,
                        format_args!("it leads to {target}, expected {right}"),
                    )?;
                }
            }
        }
    }
    Ok(format!("page 1 is at {}, elsewhere 307", right.path()))
}

async fn redirects(kit: &Kit) -> Verdict {
    let capacity = kit.need_sealed(1)?;
    let events = kit.need_events(1)?;
    let mut seen = Vec::new();
    for format in [Format::Json, Format::Atom] {
        let accept = [("accept", format.media_type())];
        let mut leads: Vec<(String, u64)> = vec![("start".into(), 1)];
        if let Some(first) = events.first() {
            leads.push((feed_core::Cursor::start(first.epoch).to_string(), 1));
        }
        let ends = (1..kit.sealed_pages()).filter_map(|page| {
            let event = events.get((page * capacity) as usize - 1)?;
            Some((event.cursor().to_string(), page + 1))
        });
        leads.extend(ends.take(3));
        for (after, page) in leads {
            let reply = kit.get(&kit.after(&after), &accept).await?;
            let target = reply.expect_redirect()?;
            reply.ensure(
                Some(&target) == kit.page_url(page, format).as_ref(),
                format_args!("it leads to {target}, expected page {page} in the representation that was asked for"),
            )?;
            seen.push(after);
        }
    }
    let mut stay = vec![
        vec![("after", "0".to_owned())],
        vec![("after", "now".to_owned())],
        vec![("since", "2000-01-01T00:00:00Z".to_owned())],
        vec![("lastEventId", String::new())],
        vec![("after", "start".to_owned()), ("limit", "1".to_owned())],
        vec![
            ("after", "start".to_owned()),
            ("type", events[0].event_type.to_string()),
        ],
        vec![
            ("after", "start".to_owned()),
            ("subject", events[0].subject.to_string()),
        ],
    ];
    if let Some(last) = events.get(capacity as usize - 1) {
        stay.push(vec![("after", last.id.to_string())]);
        stay.push(vec![("after", last.position.to_string())]);
    }
    // Behind a place within a page the rest of it comes.
    if let Some(first) = events.first().filter(|_| capacity > 1) {
        stay.push(vec![("after", first.cursor().to_string())]);
    }
    for parameters in &stay {
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        kit.get(&kit.at(&parameters), JSON).await?.expect(200)?;
    }
    Ok(format!(
        "{} cursors lead to the archive, {} requests do not",
        seen.len(),
        stay.len()
    ))
}

/// Whether a reply may not be stored and does not say so.
pub(super) fn is_storable(reply: &Reply) -> bool {
    let says = reply
        .list("cache-control")
        .iter()
        .any(|directive| directive == "no-store");
    reply.status >= 300 && reply.status != 304 && !says
}

async fn no_store(kit: &Kit) -> Verdict {
    kit.get(&kit.after("nonsense"), JSON).await?.expect(400)?;
    kit.get(&kit.below("events/nonsense"), &[])
        .await?
        .expect(404)?;
    kit.get(&kit.after("start"), JSON).await?;
    let journal = kit
        .journal
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    match journal.storable.first() {
        Some(first) => failed(format!(
            "{first}; {} of {}",
            journal.storable.len(),
            journal.not_fine
        )),
        None => Ok(format!(
            "{} redirects and errors of this run",
            journal.not_fine
        )),
    }
}

async fn unknown_parameters(kit: &Kit) -> Verdict {
    let mut urls = vec![
        kit.at(&[("feedctl", "1")]),
        kit.at(&[("after", "start"), ("feedctl", "1")]),
        kit.at(&[("After", "start")]),
    ];
    for twice in [
        "after",
        "since",
        "limit",
        "format",
        "wait",
        "lastEventId",
        "timeout",
    ] {
        let value = match twice {
            "after" | "lastEventId" => "start",
            "since" => "2000-01-01",
            "format" => "json",
            _ => "1",
        };
        urls.push(kit.at(&[(twice, value), (twice, value)]));
    }
    let mut with_query = vec![kit.list()];
    if let Some(event) = kit.walk.events.first() {
        with_query.push(kit.below(&format!("events/{}", event.id)));
    }
    with_query.extend(kit.page_url(1, Format::Json));
    for url in &mut with_query {
        url.set_query(Some("feedctl=1"));
    }
    urls.extend(with_query);
    for url in &urls {
        kit.get(url, JSON)
            .await?
            .expect_problem(400, "parameter-unknown")?;
    }
    Ok(format!("{} requests", urls.len()))
}
