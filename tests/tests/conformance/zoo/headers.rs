//! Links, and what caches are told.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::spoil::{Answer, answers, requests};
use super::caught;

/// Without the link of this relation.
fn unlink(answer: &mut Answer, relation: &str) {
    let link = answer.get("link");
    let own = format!("rel=\"{relation}\"");
    let kept: Vec<&str> = link
        .split(", ")
        .filter(|link| !link.contains(&own))
        .collect();
    answer.set("link", &kept.join(", "));
}

#[tokio::test]
async fn broken_links_are_caught() {
    caught(
        "L1",
        "a page without next",
        answers(|asked, answer| {
            if asked.is_sealed() {
                unlink(answer, "next")
            }
        }),
    )
    .await;
    let at_the_end = answers(|asked, answer| {
        if asked.query == "after=now" {
            unlink(answer, "next")
        }
    });
    caught("L1", "no next at the end", at_the_end).await;
    let head = answers(|asked, answer| {
        if asked.is_head() {
            let link = answer.get("link");
            answer.set(
                "link",
                &format!("{link}, <lamps?after=start>; rel=\"next\""),
            );
        }
    });
    caught("L1", "next in the head", head).await;
    let tail = answers(|asked, answer| {
        if asked.is_sealed() {
            unlink(answer, "next");
            let link = answer.get("link");
            answer.set(
                "link",
                &format!("{link}, <../../../lamps?after=3>; rel=\"next\""),
            );
        }
    });
    caught("L2", "a page whose next is the tail", tail).await;
    for relation in ["prev-archive", "current", "self"] {
        caught(
            "L3",
            relation,
            answers(move |_, answer| unlink(answer, relation)),
        )
        .await;
    }
    let further = answers(|asked, answer| {
        if asked.is_sealed() {
            let link = answer.get("link");
            answer.set(
                "link",
                &format!("{link}, <2.r1.json>; rel=\"next-archive\""),
            );
        }
    });
    caught("L3", "next-archive", further).await;
    caught(
        "L4",
        "no link to the tail",
        answers(|_, answer| unlink(answer, "urn:feedway:rel:tail")),
    )
    .await;
    let bare = answers(|_, answer| {
        if !answer.is_json() {
            answer.remove("link")
        }
    });
    caught("L5", "no Link header in Atom", bare).await;
    let broken = answers(|_, answer| answer.replace_in("link", "<", ""));
    caught("L5", "a Link header that is none", broken).await;
    let eager = answers(|_, answer| answer.replace_in("feed-caught-up", "false", "true"));
    caught("L6", "always caught up", eager).await;
    caught(
        "L6",
        "no Feed-Head",
        answers(|_, answer| answer.remove("feed-head")),
    )
    .await;
    let knowing = answers(|asked, answer| {
        if asked.is_sealed() {
            answer.set("feed-caught-up", "false")
        }
    });
    caught("L6", "a page that says it is not the last", knowing).await;
    let rooted =
        answers(|_, answer| answer.replace_in("location", "lamps", "/some/prefix/feeds/lamps"));
    caught("L8", "a redirect to a path from the root", rooted).await;
    let absolute =
        answers(|_, answer| answer.replace_in("link", "<lamps", "<http://127.0.0.1/feeds/lamps"));
    caught("L8", "absolute links", absolute).await;
    let body =
        answers(|_, answer| answer.replace("href=\"lamps", "href=\"/some/prefix/feeds/lamps"));
    caught("L8", "links of the body from the root", body).await;
}

#[tokio::test]
async fn broken_caching_is_caught() {
    let shy = answers(|_, answer| answer.replace_in("cache-control", ", immutable", ""));
    caught("H1", "not immutable", shy).await;
    let weak = |answer: &mut Answer| {
        let etag = answer.get("etag");
        if !etag.is_empty() {
            answer.set("etag", &format!("W/{etag}"));
        }
    };
    caught("H1", "a weak tag", answers(move |_, answer| weak(answer))).await;
    caught("H2", "a weak tag", answers(move |_, answer| weak(answer))).await;
    let long = answers(|asked, answer| {
        if asked.is_head() {
            answer.set("cache-control", "max-age=60")
        }
    });
    caught("H2", "a head that is fresh for a minute", long).await;
    let count = AtomicUsize::new(0);
    let changing = answers(move |asked, answer| {
        if !asked.is_sealed() && !answer.get("etag").is_empty() {
            let etag = format!("\"{}\"", count.fetch_add(1, Ordering::SeqCst));
            answer.set("etag", &etag);
        }
    });
    caught("H2", "another tag each time", changing).await;
    let same = answers(|asked, answer| {
        if asked.is_head() {
            answer.set("etag", "\"head\"")
        }
    });
    caught("H2", "one tag for both representations", same).await;
    let frozen = answers(|asked, answer| {
        if asked.is_head() {
            let etag = if answer.is_json() {
                "\"json\""
            } else {
                "\"atom\""
            };
            answer.set("etag", etag);
        }
    });
    caught("H2", "a tag that does not change with the feed", frozen).await;
    let whole = requests(|_, request| drop(request.headers_mut().remove("if-none-match")));
    caught("H3", "200 instead of 304", whole).await;
    let bare = answers(|_, answer| {
        if answer.status == 304 {
            answer.remove("feed-head")
        }
    });
    caught("H3", "304 without its headers", bare).await;
    let eager = answers(|asked, answer| {
        if asked.has("if-none-match") && answer.status == 200 {
            answer.status = 304_u16.try_into().unwrap();
            answer.body.clear();
        }
    });
    caught("H3", "304 for any tag", eager).await;
    caught("H4", "no Vary", answers(|_, answer| answer.remove("vary"))).await;
    let lies = answers(|asked, answer| {
        if asked.is_sealed() && asked.has("accept-encoding") {
            answer.set("content-encoding", "gzip");
            answer.set("etag", "\"other\"");
            answer.set("vary", "accept-encoding");
        }
    });
    caught("H5", "it says gzip and is not", lies).await;
}
