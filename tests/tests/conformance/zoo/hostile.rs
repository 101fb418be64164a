//! Servers that are no feed at all, and those that mean harm: rules fail, and the run ends.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use feed_core::server::bind;
use feedctl::conformance::{Options, Outcome, Report, SetupError, run};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest time that a run against any of them may take.
const RUN_MS_MAX: u64 = 60_000;

async fn against(app: Router) -> Report {
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}/feeds/lamps", listener.local_addr().unwrap());
    let serving = tokio::spawn(axum::serve(listener, app).into_future());
    let report = bounded(&url).await;
    serving.abort();
    report
}

/// The report, after making sure that it is one of a server that is broken.
async fn bounded(url: &str) -> Report {
    let mut options = Options::new(url);
    options.timeout = Duration::from_millis(1_000);
    let running = tokio::time::timeout(Duration::from_millis(RUN_MS_MAX), run(options));
    let report = running.await.expect("it ends").unwrap();
    let (failed, passed) = (report.count(Outcome::Failed), report.count(Outcome::Passed));
    assert!(failed > 20 && passed < 5, "{report}");
    assert!(!report.holds(false));
    for result in &report.results {
        assert!(
            !result.seen.contains('\n') && result.seen.chars().count() < 500,
            "{result:?}"
        );
    }
    report
}

fn every<T: IntoResponse>(
    answer: impl Fn(&Request) -> T + Clone + Send + Sync + 'static,
) -> Router {
    Router::new().fallback(move |request: Request| {
        let response: Response = answer(&request).into_response();
        async move { response }
    })
}

#[tokio::test]
async fn what_is_no_feed_fails() {
    against(every(|_| Html("<html>hello</html>"))).await;
    against(every(|_| StatusCode::INTERNAL_SERVER_ERROR)).await;
    against(every(|_| StatusCode::NOT_FOUND)).await;
    let json = |body: &'static str| {
        every(move |_| {
            (
                [("content-type", "application/cloudevents-batch+json")],
                body,
            )
        })
    };
    for body in [
        "",
        "[",
        "[]",
        "{}",
        "[{}]",
        "[[[[[[",
        "null",
        "\u{feff}[]",
        "[\"\u{1b}[31m\"]",
    ] {
        against(json(body)).await;
    }
    let atom = every(|_| {
        (
            [("content-type", "application/atom+xml")],
            "<!DOCTYPE x [<!ENTITY a \"a\">]><feed>&a;</feed>",
        )
    });
    against(atom).await;
}

#[tokio::test]
async fn redirects_without_end_fail() {
    against(every(|request| {
        Redirect::temporary(&request.uri().to_string())
    }))
    .await;
    against(every(|_| Redirect::temporary("lamps?after=start"))).await;
    against(every(|_| {
        Redirect::temporary("http://127.0.0.2:1/feeds/lamps")
    }))
    .await;
    against(every(|_| {
        (StatusCode::TEMPORARY_REDIRECT, [("location", "http://[")])
    }))
    .await;
}

#[tokio::test]
async fn documents_without_end_fail() {
    // Empty documents that always lead on.
    let circle = every(|request| {
        let next = request.uri().query().unwrap_or_default().len();
        let headers = [
            (
                "content-type",
                "application/cloudevents-batch+json".to_owned(),
            ),
            ("feed-caught-up", "false".to_owned()),
            ("link", format!("<lamps?after={next}>; rel=\"next\"")),
        ];
        (headers, "[]")
    });
    against(circle).await;
    // Bodies that never end, in every kind of answer.
    let endless = every(|_| {
        let spaces =
            futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
        (
            [("content-type", "application/cloudevents-batch+json")],
            Body::from_stream(spaces),
        )
    });
    against(endless).await;
    let stream = every(|_| {
        let blocks = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>("data: x\n\n".repeat(100))
        });
        (
            [("content-type", "text/event-stream")],
            Body::from_stream(blocks),
        )
    });
    against(stream).await;
}

#[tokio::test]
async fn silence_ends_the_run() {
    let silent = Router::new().fallback(std::future::pending::<()>);
    let report = against(silent).await;
    assert!(
        report
            .results
            .iter()
            .any(|result| result.seen.contains("given up")),
        "{report}"
    );
    let stuck = every(|_| {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>("[")]);
        let body = Body::from_stream(first.chain(futures_util::stream::pending()));
        (
            [("content-type", "application/cloudevents-batch+json")],
            body,
        )
    });
    against(stuck).await;
}

#[tokio::test]
async fn what_is_no_http_fails() {
    for answer in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[",
        "",
        "HTTP/1.1 999\r\n\r\n",
    ] {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let url = format!("http://{}/feeds/lamps", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        bounded(&url).await;
        serving.abort();
    }
}

#[tokio::test]
async fn who_is_not_there_is_no_failed_rule() {
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}/feeds/lamps", listener.local_addr().unwrap());
    drop(listener);
    let error = run(Options::new(url)).await.unwrap_err();
    assert!(matches!(error, SetupError::Connect { .. }), "{error}");
    let error = run(Options::new("lamps")).await.unwrap_err();
    assert!(matches!(error, SetupError::Url(_)), "{error}");
}
