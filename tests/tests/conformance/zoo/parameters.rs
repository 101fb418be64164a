//! Parameters, waiting, and the event stream.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::super::spoil::{answers, parameters, requests, set_query, streams};
use super::caught;

#[tokio::test]
async fn broken_parameters_are_caught() {
    let ignored = requests(|asked, request| {
        if asked.query.starts_with("since=2") {
            set_query(request, "after=0");
        }
    });
    let seen = caught("Q1", "since is passed over", ignored).await;
    assert!(seen.contains("since="), "{seen}");
    let both = requests(|asked, request| {
        if asked.query.contains("since") && asked.query.contains("after") {
            set_query(request, "after=start");
        }
    });
    caught("Q1", "since and after", both).await;
    caught(
        "Q2",
        "types are passed over",
        parameters(|name, _| name != "type"),
    )
    .await;
    caught(
        "Q2",
        "subjects are passed over",
        parameters(|name, _| name != "subject"),
    )
    .await;
    let too_many = requests(|asked, request| {
        if asked.query.matches("type=").count() > 16 {
            set_query(request, "after=now&type=T");
        }
    });
    caught("Q2", "seventeen types", too_many).await;
    let stuck = answers(|asked, answer| {
        if asked.query.contains("type=feedctl") {
            let own = format!("<lamps?{}>; rel=\"next\"", asked.query);
            answer.set("link", &own);
        }
    });
    caught("Q3", "next leads nowhere when nothing matches", stuck).await;
    caught(
        "Q4",
        "limit is passed over",
        parameters(|name, _| name != "limit"),
    )
    .await;
    let lenient = requests(|asked, request| {
        if asked.query.contains("limit=0") {
            set_query(request, "after=start");
        }
    });
    caught("Q4", "limit=0", lenient).await;
    caught(
        "Q5",
        "format is passed over",
        parameters(|name, _| name != "format"),
    )
    .await;
    caught(
        "Q6",
        "a wait that is no number",
        parameters(|name, value| name != "wait" || value.parse::<u64>().is_ok()),
    )
    .await;
    let renamed = requests(|asked, request| {
        if asked.query.starts_with("lastEventId=") && asked.query.contains("after=") {
            set_query(request, "lastEventId=");
        }
    });
    caught("Q7", "after goes before lastEventId", renamed).await;
    let atom = answers(|asked, answer| {
        if asked.query.contains("lastEventId") || asked.query.contains("timeout") {
            answer.replace_in("content-type", "cloudevents-batch+json", "json");
        }
    });
    caught("Q7", "another type than asked for", atom).await;
    for lost in ["&type=Lit", "&subject=lamp-0", "&limit=1", "&format=json"] {
        let lose = answers(move |_, answer| answer.replace_in("link", lost, ""));
        caught("Q8", lost, lose).await;
    }
}

/// Answers requests that wait as late as this.
fn late(ms: u64) -> impl FnOnce(Router) -> Router {
    move |router| {
        router.layer(from_fn(move |request: Request, next: Next| async move {
            let waits = request
                .headers()
                .get("prefer")
                .is_some_and(|wait| wait == "wait=20");
            let response: Response = next.run(request).await;
            if waits {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            response
        }))
    }
}

#[tokio::test]
async fn broken_waiting_is_caught() {
    let hasty = requests(|_, request| drop(request.headers_mut().remove("prefer")));
    caught("W1", "it does not wait", hasty).await;
    caught(
        "W1",
        "it does not wait for the parameter",
        parameters(|name, _| name != "wait"),
    )
    .await;
    for rule in ["W1", "W3"] {
        caught(rule, "it wakes up late", late(4_000)).await;
    }
    let stored = answers(|_, answer| {
        if answer.get("cache-control") == "no-store" && answer.status == 200 {
            answer.set("cache-control", "no-cache");
        }
    });
    caught("W2", "a long poll that can be stored", stored).await;
    caught(
        "W2",
        "it does not say how long",
        answers(|_, answer| answer.remove("preference-applied")),
    )
    .await;
}

#[tokio::test]
async fn broken_streams_are_caught() {
    let none = requests(|asked, request| {
        if asked
            .headers
            .get("accept")
            .is_some_and(|accept| accept == "text/event-stream")
        {
            request
                .headers_mut()
                .insert("accept", "text/html".parse().unwrap());
        }
    });
    caught("S1", "there is no stream", none).await;
    caught(
        "S1",
        "ids that are no cursors",
        streams(|piece| piece.replace("id: ", "id: x")),
    )
    .await;
    caught(
        "S1",
        "another event",
        streams(|piece| piece.replace("\"version\":1", "\"version\":2")),
    )
    .await;
    let forgetful = requests(|_, request| drop(request.headers_mut().remove("last-event-id")));
    caught("S1", "Last-Event-ID is passed over", forgetful).await;
    caught(
        "S2",
        "no retry",
        streams(|piece| piece.replace("retry: ", ": ")),
    )
    .await;
    let lenient = requests(|_, request| drop(request.headers_mut().remove("last-event-id")));
    caught("S3", "a wrong Last-Event-ID is passed over", lenient).await;
    caught(
        "S5",
        "other data",
        streams(|piece| piece.replace("1.50", "1.5")),
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_is_silent_for_ever_is_caught() {
    let silent = |router: Router| {
        router.layer(from_fn(|request: Request, next: Next| async move {
            let response = next.run(request).await;
            let is_stream = response
                .headers()
                .get("content-type")
                .is_some_and(|kind| kind == "text/event-stream");
            if !is_stream {
                return response;
            }
            let opening = futures_util::stream::iter([Ok::<_, std::io::Error>("retry: 1000\n\n")]);
            let silence = opening.chain(futures_util::stream::pending());
            (
                [("content-type", "text/event-stream")],
                Body::from_stream(silence),
            )
                .into_response()
        }))
    };
    let seen = caught("S2", "no cursor ever", silent).await;
    assert!(seen.contains("no cursor came within"), "{seen}");
}

#[tokio::test]
async fn broken_lists_of_consumers_are_caught() {
    let is_list = |asked: &str| asked == "/consumers";
    for (from, to) in [
        ("\"head\":\"", "\"head\":\"x"),
        ("\"consumers\":", "\"clients\":"),
        ("\"lag_seconds\":", "\"lag_seconds\":-"),
        ("\"lag_events\":", "\"behind\":"),
        ("\"seen\":\"", "\"seen\":\"at "),
        ("\"waiting\":", "\"waits\":"),
        ("feedctl/conformance", "Feedctl"),
    ] {
        let spoiled = answers(move |asked, answer| {
            if is_list(&asked.path) {
                answer.replace(from, to);
            }
        });
        caught("R6", from, spoiled).await;
    }
    let refused = answers(|asked, answer| {
        if asked.has("feed-subscription") && !asked.query.is_empty() {
            answer.become_text(400, "application/problem+json", "{}");
        }
    });
    caught("F1", "a name is refused", refused).await;
    let other = requests(|asked, request| {
        if asked.has("feed-subscription") && asked.query.contains("limit=1") {
            set_query(request, "after=1&limit=1");
        }
    });
    caught("F1", "a name is answered something else", other).await;
    for field in ["\"position\":", "\"lag_events\":"] {
        let more = format!("{field}1");
        let spoiled = answers(move |asked, answer| {
            if is_list(&asked.path) {
                answer.replace(field, &more);
            }
        });
        caught("F2", field, spoiled).await;
    }
}
