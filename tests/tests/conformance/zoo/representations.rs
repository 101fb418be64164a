//! Negotiation, JSON, Atom, and errors.

use axum::http::Method;

use super::super::spoil::{answers, requests};
use super::caught;

#[tokio::test]
async fn broken_negotiation_is_caught() {
    let stubborn = requests(|asked, request| {
        if asked.path.is_empty() {
            request.headers_mut().insert(
                "accept",
                "application/cloudevents-batch+json".parse().unwrap(),
            );
        }
    });
    caught("N1", "always JSON", stubborn).await;
    let vague = answers(|_, answer| answer.replace_in("content-type", "atom+xml", "xml"));
    caught("N1", "another content type", vague).await;
    let anything = requests(|asked, request| {
        if asked
            .headers
            .get("accept")
            .is_some_and(|accept| accept == "text/html")
        {
            request.headers_mut().remove("accept");
        }
    });
    caught("N2", "an answer that nobody wants", anything).await;
    caught(
        "N2",
        "406 without the list",
        answers(|_, answer| answer.replace("available", "other")),
    )
    .await;
}

#[tokio::test]
async fn broken_json_is_caught() {
    let wrapped = answers(|_, answer| {
        if answer.get("content-type").contains("batch") {
            let inner = String::from_utf8(answer.body.clone()).unwrap();
            answer.body = format!("{{\"events\":{inner}}}").into_bytes();
        }
    });
    caught("J1", "an object around the events", wrapped).await;
    let encoded = answers(|_, answer| {
        answer.events(|events| {
            for event in events {
                let members = event.as_object_mut().unwrap();
                if members.remove("data").is_some() {
                    members.insert("data_base64".into(), "e30=".into());
                }
            }
        });
    });
    caught("J2", "JSON in Base64", encoded).await;
    let bare = answers(|_, answer| answer.remove("ce-subject"));
    caught("J3", "binary mode without the subject", bare).await;
    let raw = answers(|_, answer| answer.replace_in("ce-line", "%20", "%21"));
    caught("J3", "a header with another text", raw).await;
}

#[tokio::test]
async fn broken_atom_is_caught() {
    for (rule, what, from, to) in [
        ("A1", "no fh:archive", "<fh:archive/>", ""),
        ("A1", "no author", "author>", "writer>"),
        ("A1", "an id that is none", "<id>urn:uuid:", "<id>uuid:"),
        ("A2", "published is left out", "published>", "issued>"),
        (
            "A2",
            "a category with a scheme",
            "<category ",
            "<category scheme=\"x\" ",
        ),
        ("A2", "a link to elsewhere", "events/", "event/"),
        (
            "A3",
            "another type of content",
            "<content type=\"text\"",
            "<content type=\"html\"",
        ),
        (
            "A3",
            "no media type",
            "fw:datacontenttype",
            "fw:contenttype",
        ),
        ("A4", "no version", "fw:version>", "fw:number>"),
        ("A4", "no head", "fw:head>", "fw:newest>"),
        (
            "A4",
            "an attribute without its type",
            "type=\"boolean\"",
            "type=\"string\"",
        ),
        ("A6", "xml:base", "<title>", "<title xml:base=\"x\">"),
        (
            "A6",
            "no namespace",
            "http://www.w3.org/2005/Atom",
            "http://purl.org/atom/ns#",
        ),
        ("A6", "not well-formed", "</feed>", ""),
    ] {
        let spoil = answers(move |_, answer| {
            if !answer.is_json() {
                answer.replace(from, to);
            }
        });
        caught(rule, what, spoil).await;
    }
    let stale = answers(|_, answer| {
        if let Ok(text) = String::from_utf8(answer.body.clone())
            && let Some((begin, rest)) = text.split_once("<updated>")
        {
            let rest = &rest[rest.find("</updated>").unwrap()..];
            answer.body = format!("{begin}<updated>2001-01-01T00:00:00Z{rest}").into_bytes();
        }
    });
    caught("A1", "a feed that was updated long ago", stale).await;
}

#[tokio::test]
async fn broken_errors_are_caught() {
    let same = answers(|_, answer| answer.replace("cursor-diverged", "cursor-malformed"));
    caught("P1", "one type for all", same).await;
    let silent = answers(|_, answer| answer.replace("\"found\"", "\"other\""));
    caught("P1", "it does not say what it has", silent).await;
    let page = answers(|_, answer| {
        if answer.status.as_u16() >= 400 {
            answer.set("content-type", "text/html");
        }
    });
    caught("P4", "errors as pages", page).await;
    let blank = answers(|_, answer| {
        if answer.status.as_u16() >= 400 {
            answer.replace("\"type\":\"/problems/", "\"type\":\"about:blank#");
        }
    });
    caught("P4", "errors without a type", blank).await;
    let lies = answers(|_, answer| answer.replace("\"status\":404", "\"status\":400"));
    caught("P4", "another status inside", lies).await;
    let broken = answers(|asked, answer| {
        if asked.method == Method::GET && asked.path == "/nothing/here" {
            answer.become_text(500, "application/problem+json", "{}");
        }
    });
    caught("P4", "a failure instead of an answer", broken).await;
}
