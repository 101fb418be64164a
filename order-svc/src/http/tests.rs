use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use feed_core::client::AllowedAddresses;
use feed_core::server;
use reqwest::Response;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{Application, FollowedFeed, HttpSettings, RunError, Settings};

/// The service on a database and a port of its own, without a poller.
struct Service {
    url: String,
    client: reqwest::Client,
    stop: CancellationToken,
    running: JoinHandle<Result<(), RunError>>,
    _folder: TempDir,
}

impl Service {
    async fn start() -> Self {
        Service::start_with(None).await
    }

    async fn start_with(tokens: Option<&str>) -> Self {
        Service::start_for(tokens, &[]).await
    }

    async fn start_for(tokens: Option<&str>, origins: &[&str]) -> Self {
        // Another test may have been quicker: any provider is good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let tokens = tokens.map(|tokens| {
            let path = folder.path().join("tokens.txt");
            std::fs::write(&path, tokens).unwrap();
            path
        });
        let settings = Settings {
            database: folder.path().join("order.db").display().to_string(),
            followed: followed("http://127.0.0.1:9/feeds/nobody"),
            http: Some(HttpSettings {
                listen: "127.0.0.1:0".parse().unwrap(),
                tokens,
                cors_origins: origins
                    .iter()
                    .map(|origin| origin.parse().unwrap())
                    .collect(),
                order_expiry: Duration::from_secs(900),
            }),
            poller: None,
        };
        let application = Application::build(settings).await.unwrap();
        let url = format!("http://{}", application.address().unwrap());
        let stop = CancellationToken::new();
        Service {
            url,
            client: reqwest::Client::new(),
            running: tokio::spawn(application.run(stop.clone())),
            stop,
            _folder: folder,
        }
    }

    async fn get(&self, path: &str) -> Response {
        let url = format!("{}{path}", self.url);
        self.client.get(url).send().await.unwrap()
    }

    async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &str, key: Option<&str>) -> Response {
        let mut request = self
            .client
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body.to_owned());
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.send().await.unwrap()
    }

    /// Places an order and returns it.
    async fn place(&self, customer: &str) -> Value {
        let body = json!({ "customer_id": customer, "requested_mbps": 500 });
        let response = self.post("/orders", &body.to_string(), None).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        response.json().await.unwrap()
    }

    /// The types in the feed, oldest first.
    async fn feed(&self) -> Vec<String> {
        let response = self
            .client
            .get(format!("{}/feeds/orders?after=start", self.url))
            .header("accept", "application/cloudevents-batch+json")
            .send()
            .await
            .unwrap();
        let events: Vec<Value> = response.json().await.unwrap();
        events
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Stops as SIGTERM does, and raises what went wrong.
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.running)
            .await
            .expect("it stops")
            .unwrap()
            .unwrap();
    }
}

fn followed(url: &str) -> FollowedFeed {
    FollowedFeed {
        url: url.to_owned(),
        token_file: None,
        addresses: AllowedAddresses::Any,
    }
}

/// Status and detail of an answer that has to be a problem, whose type leads to its page.
async fn problem(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let kind = response.headers()["content-type"].clone();
    let url = response.url().clone();
    let body = response.text().await.unwrap();
    assert_eq!(kind, "application/problem+json", "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["status"], status.as_u16());
    let uri = body["type"].as_str().unwrap();
    let page = reqwest::get(url.join(uri).unwrap()).await.unwrap();
    assert_eq!(page.status(), StatusCode::OK, "{uri}");
    assert!(page.text().await.unwrap().contains(uri), "{uri}");
    (status, body["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_order_is_placed_shown_and_published() {
    let service = Service::start().await;
    let body = r#"{"customer_id": "c-1001", "requested_mbps": 500}"#;
    let response = service.post("/orders", body, None).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let placed: Value = response.json().await.unwrap();
    assert_eq!(placed["status"], "UPDATE");
    assert_eq!(placed["customer_id"], "c-1001");
    assert_eq!(placed["requested_mbps"], 500);
    assert_eq!(placed["version"], 1);
    assert_eq!(
        location,
        format!("/orders/{}", placed["id"].as_str().unwrap())
    );

    let mut shown = service.get_json(&location).await;
    assert_eq!(
        shown.as_object_mut().unwrap().remove("customer"),
        Some(Value::Null)
    );
    assert_eq!(shown, placed);
    assert_eq!(service.feed().await, ["OrderCreated"]);
    let event_id = placed["last_event_id"].as_str().unwrap();
    let event = format!("/feeds/orders/events/{event_id}");
    assert_eq!(service.get(&event).await.status(), StatusCode::OK);
    service.stop().await;
}

#[tokio::test]
async fn its_own_events_need_not_be_waited_for_and_what_names_no_event_is_refused() {
    let service = Service::start().await;
    let placed = service.place("c-1").await;
    let order = format!("/orders/{}", placed["id"].as_str().unwrap());
    let cancel = service.post(&format!("{order}/cancel"), "", None).await;
    let cancelled: Value = cancel.json().await.unwrap();
    for answer in [&placed, &cancelled] {
        let id = answer["last_event_id"].as_str().unwrap();
        service.get_json(&format!("{order}?after={id}")).await;
    }
    for after in ["now", "start", "3", "", "x"] {
        let response = service.get(&format!("{order}?after={after}")).await;
        let (status, detail) = problem(response).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{after}");
        assert!(detail.contains("after"), "{detail}");
    }
    for query in ["afer=x", "after=a&after=b"] {
        let (status, detail) = problem(service.get(&format!("{order}?{query}")).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(detail.contains("af"), "{detail}");
    }
    service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let service = Service::start().await;
    let refused = [
        (
            422,
            r#"{"customer_id":"c 1","requested_mbps":1}"#,
            "customer_id",
        ),
        (
            422,
            r#"{"customer_id":7,"requested_mbps":1}"#,
            "customer_id",
        ),
        (422, r#"{"requested_mbps":1}"#, "customer_id"),
        (422, r#" ["c-1001", 500]"#, "an object"),
        (
            422,
            r#"{"customer_id":"c","requested_mbps":0}"#,
            "requested_mbps",
        ),
        (
            422,
            r#"{"customer_id":"c","requested_mbps":1000001}"#,
            "requested_mbps",
        ),
        (
            422,
            r#"{"customer_id":"c","requested_mbps":-1}"#,
            "requested_mbps",
        ),
        (
            422,
            r#"{"customer_id":"c","requested_mbps":1.5}"#,
            "requested_mbps",
        ),
        (
            422,
            r#"{"customer_id":"c","requested_mbps":"1"}"#,
            "requested_mbps",
        ),
        (
            422,
            r#"{"customer_id":"c","requested_mbps":1,"colour":1}"#,
            "colour",
        ),
        (400, "{", "EOF"),
    ];
    for (status, body, named) in refused {
        let (found, detail) = problem(service.post("/orders", body, None).await).await;
        assert_eq!(found, status, "{body}: {detail}");
        assert!(detail.contains(named), "{body}: {detail}");
    }
    let untyped = service
        .client
        .post(format!("{}/orders", service.url))
        .body("{}");
    let untyped = problem(untyped.send().await.unwrap()).await;
    assert_eq!(untyped.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = format!(r#"{{"customer_id":"{}"}}"#, "c".repeat(70_000));
    let large = problem(service.post("/orders", &large, None).await).await;
    assert_eq!(large.0, StatusCode::PAYLOAD_TOO_LARGE);
    for (path, named) in [
        ("/orders?status=NEW", "status"),
        ("/orders?limit=0", "limit"),
        ("/orders?limit=501", "limit"),
        ("/orders?customer_id=a%20b", "customer_id"),
        ("/orders?colour=1", "colour"),
    ] {
        let (status, detail) = problem(service.get(path).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(detail.contains(named), "{path}: {detail}");
    }
    for path in ["/", "/orders/none", "/orders/a%20b", "/nothing"] {
        let (status, _) = problem(service.get(path).await).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, _) = problem(service.post("/orders/x", "", None).await).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(service.feed().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn a_key_gives_the_same_answer_again() {
    let service = Service::start().await;
    let body = r#"{"customer_id":"c-1","requested_mbps":500}"#;
    let same = r#"{ "requested_mbps": 500, "customer_id": "c-1" }"#;
    let other = r#"{"customer_id":"c-1","requested_mbps":501}"#;
    let first = service.post("/orders", body, Some("k")).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let location = first.headers()["location"].clone();
    let first: Value = first.json().await.unwrap();

    // Also when the order has moved on meanwhile.
    let cancel = format!("{}/cancel", location.to_str().unwrap());
    assert_eq!(
        service.post(&cancel, "", None).await.status(),
        StatusCode::OK
    );
    let again = service.post("/orders", same, Some("k")).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    assert_eq!(again.headers()["location"], location);
    assert_eq!(again.json::<Value>().await.unwrap(), first);

    let (status, _) = problem(service.post("/orders", other, Some("k")).await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let invalid = "not valid";
    let refused = service.post("/orders", invalid, Some("k2")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    // A refused request does not use its key up.
    let placed = service.post("/orders", other, Some("k2")).await;
    assert_eq!(placed.status(), StatusCode::ACCEPTED);
    for key in ["", "a b", "ä", &"k".repeat(256)] {
        let (status, detail) = problem(service.post("/orders", body, Some(key)).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{key}");
        assert!(detail.contains("Idempotency-Key"), "{detail}");
    }
    assert_eq!(
        service.feed().await,
        ["OrderCreated", "OrderCancelled", "OrderCreated"]
    );
    service.stop().await;
}

#[tokio::test]
async fn i01_requests_with_one_key_at_the_same_time_place_one_order() {
    let service = Service::start().await;
    let service = Arc::new(service);
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let service = service.clone();
        requests.spawn(async move {
            let body = r#"{"customer_id":"c-1","requested_mbps":500}"#;
            let response = service.post("/orders", body, Some("k")).await;
            assert_eq!(response.status(), StatusCode::ACCEPTED);
            response.text().await.unwrap()
        });
    }
    let mut answers = requests.join_all().await;
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(service.feed().await, ["OrderCreated"]);
}

#[tokio::test]
async fn an_order_is_cancelled_once() {
    let service = Service::start().await;
    let placed = service.place("c-1").await;
    let cancel = format!("/orders/{}/cancel", placed["id"].as_str().unwrap());
    let cancelled = service.post(&cancel, r#"{"why":"changed my mind"}"#, None);
    let cancelled = cancelled.await;
    assert_eq!(cancelled.status(), StatusCode::OK);
    let cancelled: Value = cancelled.json().await.unwrap();
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(cancelled["version"], 2);

    let (status, detail) = problem(service.post(&cancel, "", None).await).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(detail.contains("CANCELLED"), "{detail}");
    let (status, _) = problem(service.post("/orders/none/cancel", "", None).await).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(service.feed().await, ["OrderCreated", "OrderCancelled"]);
    service.stop().await;
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let service = Service::start().await;
    let mut placed = Vec::new();
    for number in 0..7 {
        let order = service.place(&format!("c-{}", number % 2)).await;
        placed.push(order["id"].as_str().unwrap().to_owned());
    }
    let cancel = format!("/orders/{}/cancel", placed[0]);
    assert_eq!(
        service.post(&cancel, "", None).await.status(),
        StatusCode::OK
    );

    for (first, expected) in [
        ("/orders?limit=3", [0, 1, 2, 3, 4, 5, 6].as_slice()),
        ("/orders?limit=7", &[0, 1, 2, 3, 4, 5, 6]),
        ("/orders?limit=2&customer_id=c-0", &[0, 2, 4, 6]),
        ("/orders?limit=2&status=UPDATE", &[1, 2, 3, 4, 5, 6]),
        ("/orders?limit=2&status=UPDATE&customer_id=c-0", &[2, 4, 6]),
        ("/orders?status=COMPLETED", &[]),
    ] {
        let mut found = Vec::new();
        let mut next = Some(first.to_owned());
        while let Some(path) = next {
            let page = service.get_json(&path).await;
            for order in page["orders"].as_array().unwrap() {
                found.push(order["id"].as_str().unwrap().to_owned());
            }
            next = page["next"].as_str().map(str::to_owned);
        }
        let expected: Vec<_> = expected
            .iter()
            .map(|index| placed[*index].clone())
            .collect();
        assert_eq!(found, expected, "{first}");
    }
    service.stop().await;
}

#[tokio::test]
async fn tokens_are_asked_for_when_there_are_any() {
    let service =
        Service::start_with(Some("read 0123456789abcdef\nwrite fedcba9876543210\n")).await;
    let (status, _) = problem(service.get("/orders").await).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    for path in ["/livez", "/readyz", "/version"] {
        assert_eq!(service.get(path).await.status(), StatusCode::OK, "{path}");
    }
    for path in ["/orders", "/feeds/orders"] {
        let request = service.client.get(format!("{}{path}", service.url));
        let response = request.bearer_auth("0123456789abcdef").send().await;
        assert_eq!(response.unwrap().status(), StatusCode::OK, "{path}");
    }
    for (token, status) in [
        ("0123456789abcdef", StatusCode::FORBIDDEN),
        ("fedcba9876543210", StatusCode::ACCEPTED),
    ] {
        let request = service
            .client
            .post(format!("{}/orders", service.url))
            .bearer_auth(token)
            .json(&json!({ "customer_id": "c-1", "requested_mbps": 1 }));
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    service.stop().await;
}

#[tokio::test]
async fn browsers_ask_without_a_token_whether_a_page_may_ask() {
    let origin = "https://app.example.org";
    let service = Service::start_for(Some("read 0123456789abcdef\n"), &[origin]).await;
    let request = |method: &str| {
        let url = format!("{}/orders", service.url);
        let request = service.client.request(method.parse().unwrap(), url);
        request.header("origin", origin)
    };
    let asked = request("OPTIONS").header("access-control-request-method", "POST");
    for (request, status) in [(asked, 204), (request("GET"), 401)] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], origin);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_busy_port_is_told_before_anything_is_written() {
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("order.db");
    let settings = Settings {
        database: database.display().to_string(),
        followed: followed("http://127.0.0.1:9/feeds/nobody"),
        http: Some(HttpSettings {
            listen: listener.local_addr().unwrap(),
            tokens: None,
            cors_origins: Vec::new(),
            order_expiry: Duration::from_secs(900),
        }),
        poller: None,
    };
    let error = Application::build(settings).await.err().unwrap();
    assert!(error.to_string().contains("--listen"), "{error}");
    assert!(!database.exists());
}
