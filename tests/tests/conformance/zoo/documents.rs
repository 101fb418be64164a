//! Cursors, resources, and how documents behave.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use feed_core::After;

use super::super::spoil::{answers, parameters, requests, set_query};
use super::caught;

#[tokio::test]
async fn broken_cursors_are_caught() {
    for rule in ["K1", "P1"] {
        let lenient = parameters(|name, value| name != "after" || value.parse::<After>().is_ok());
        caught(rule, "what is no cursor is passed over", lenient).await;
    }
    let again = answers(|asked, answer| {
        if asked.query.starts_with("after=") && asked.query.contains('.') {
            answer.events(|events| drop(events.drain(..events.len().min(1))));
        }
    });
    caught("K3", "a cursor that leads one event too far", again).await;
    let bare = answers(|asked, answer| {
        if asked.query == "after=1" {
            answer.become_text(400, "application/problem+json", "{}");
        }
    });
    caught("K4", "no bare positions", bare).await;
    let now = requests(|asked, request| {
        if asked.query == "after=now" {
            set_query(request, "after=0");
        }
    });
    caught("K4", "now is the start", now).await;
}

#[tokio::test]
async fn broken_resources_are_caught() {
    let list = answers(|asked, answer| {
        if asked.path == "list" {
            answer.replace("page_capacity", "capacity");
        }
    });
    caught("R1", "a list without the capacity", list).await;
    let away = answers(|asked, answer| {
        if asked.path == "list" {
            answer.replace("feeds/lamps", "feeds/tables");
        }
    });
    caught("R1", "a list without the feed", away).await;
    let large = answers(|asked, answer| {
        if asked.path == "list" {
            answer.replace("\"event_bytes_max\":65536", "\"event_bytes_max\":655360000");
        }
    });
    caught("B1", "pages that are too large", large).await;
    for rule in ["B1", "R4"] {
        let endless = answers(move |asked, answer| {
            if asked.path == "list" {
                let most = format!("\"page_capacity\":{}", u64::MAX);
                answer.replace("\"page_capacity\":3", &most);
            }
            if rule == "R4" && asked.is_sealed() {
                answer.events(|events| drop(events.pop()));
            }
        });
        caught(rule, "pages without end", endless).await;
    }
    let reversed = answers(|asked, answer| {
        if asked.is_head() {
            answer.events(|events| events.reverse());
        }
    });
    caught("R2", "a head that is oldest first", reversed).await;
    let short = answers(|asked, answer| {
        if asked.is_head() {
            answer.events(|events| drop(events.pop()));
        }
    });
    caught("R2", "a head that is not a whole page", short).await;
    let reversed = answers(|asked, answer| {
        if asked.is_sealed() {
            answer.events(|events| events.reverse());
        }
    });
    caught("R3", "a page that is newest first", reversed).await;
    let short = answers(|asked, answer| {
        if asked.is_sealed() {
            answer.events(|events| drop(events.pop()));
        }
    });
    caught("R3", "a page with a hole behind it", short).await;
    let atom = answers(|asked, answer| {
        if asked.is_sealed() && !answer.is_json() {
            let text = String::from_utf8(answer.body.clone()).unwrap();
            let end = text.rfind("  <entry>").unwrap();
            answer.body = format!("{}</feed>", &text[..end]).into_bytes();
        }
    });
    caught("R4", "an Atom page without its last event", atom).await;
    let other = answers(|asked, answer| {
        if asked.is_event() {
            answer.replace("lamp-0", "lamp-9");
        }
    });
    caught("R5", "another event than asked for", other).await;
}

#[tokio::test]
async fn broken_documents_are_caught() {
    let requests_seen = AtomicUsize::new(0);
    let growing = answers(move |asked, answer| {
        if asked.is_sealed() {
            let count = requests_seen.fetch_add(1, Ordering::SeqCst);
            answer.body.extend(vec![b'\n'; count]);
        }
    });
    caught("D1", "a page whose bytes change", growing).await;
    let language = answers(|asked, answer| {
        if asked.is_sealed() && asked.has("accept-language") {
            answer.body.push(b'\n');
        }
    });
    caught("D1", "a page in the reader's language", language).await;
    let gone = answers(|asked, answer| {
        if asked.is_sealed() && answer.status == 307 {
            answer.become_text(404, "text/plain", "");
        }
    });
    caught("D2", "404 where it should lead on", gone).await;
    let gone = answers(|asked, answer| {
        if asked.is_sealed() && asked.path.contains("/1.r1") && answer.status == 307 {
            answer.become_text(404, "text/plain", "");
        }
    });
    caught("D3", "404 where it should lead on", gone).await;
    let bare = requests(|asked, request| {
        if asked.query == "after=0" {
            set_query(request, "after=start");
        }
    });
    caught("D4", "a bare position is redirected", bare).await;
    let stays = requests(|asked, request| {
        if asked.query == "after=start" {
            set_query(request, "after=0");
        }
    });
    caught("D4", "the start is not redirected", stays).await;
    let atom = answers(|_, answer| {
        answer.replace_in("location", ".atom", ".json");
    });
    caught("D4", "it redirects to another representation", atom).await;
    let stored = answers(|_, answer| {
        if answer.status.as_u16() >= 400 {
            answer.remove("cache-control");
        }
    });
    caught("D5", "errors that can be stored", stored).await;
    let stored = answers(|_, answer| {
        if answer.status == 307 {
            answer.set("cache-control", "max-age=60");
        }
    });
    caught("D5", "redirects that can be stored", stored).await;
    caught(
        "D6",
        "unknown parameters are passed over",
        parameters(|name, _| name != "feedctl"),
    )
    .await;
    let once = requests(|asked, request| {
        if asked.query == "after=start&after=start" {
            set_query(request, "after=start");
        }
    });
    caught("D6", "a parameter twice", once).await;
}

#[tokio::test]
async fn broken_methods_are_caught() {
    let bare = answers(|asked, answer| {
        if asked.method == Method::HEAD {
            answer.remove("etag");
        }
    });
    caught("D7", "HEAD without the tag", bare).await;
    let refused = answers(|asked, answer| {
        if asked.method == Method::HEAD && answer.status == 307 {
            answer.become_text(200, "text/plain", "");
        }
    });
    caught("D7", "HEAD that does not redirect", refused).await;
    let options = answers(|asked, answer| {
        if asked.method == Method::OPTIONS {
            answer.become_text(200, "text/plain", "");
        }
    });
    caught("D8", "OPTIONS with 200", options).await;
    let lenient = answers(|asked, answer| {
        if asked.method == Method::PATCH {
            answer.become_text(200, "text/plain", "");
        }
    });
    caught("D8", "PATCH with 200", lenient).await;
}
