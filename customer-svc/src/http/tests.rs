use std::time::Duration;

use axum::http::StatusCode;
use feed_core::client::AllowedAddresses;
use reqwest::Response;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
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
        Service::start_for(None, &[]).await
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
            database: folder.path().join("customer.db").display().to_string(),
            followed: followed("http://127.0.0.1:9/feeds/nobody"),
            http: Some(HttpSettings {
                listen: "127.0.0.1:0".parse().unwrap(),
                tokens,
                cors_origins: origins
                    .iter()
                    .map(|origin| origin.parse().unwrap())
                    .collect(),
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

    async fn put(&self, path: &str, body: Value) -> Response {
        let url = format!("{}{path}", self.url);
        self.client.put(url).json(&body).send().await.unwrap()
    }

    /// The types in the feed, oldest first.
    async fn feed(&self) -> Vec<String> {
        let response = self
            .client
            .get(format!("{}/feeds/customers?after=start", self.url))
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
async fn browsers_ask_without_a_token_whether_a_page_may_ask() {
    let origin = "https://app.example.org";
    let service = Service::start_for(Some("read 0123456789abcdef\n"), &[origin]).await;
    let request = |method: &str| {
        let url = format!("{}/geos/berlin", service.url);
        let request = service.client.request(method.parse().unwrap(), url);
        request.header("origin", origin)
    };
    let asked = request("OPTIONS").header("access-control-request-method", "PUT");
    for (request, status) in [(asked, 204), (request("GET"), 401)] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], origin);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_geo_is_stated_changed_and_left_alone() {
    let service = Service::start().await;
    let berlin = json!({ "name": "Berlin", "max_mbps": 1000, "capacity_mbps": 50_000 });
    let created = service.put("/geos/berlin", berlin.clone()).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    assert_eq!(created.headers()["location"], "/geos/berlin");
    let created: Value = created.json().await.unwrap();
    for (field, value) in [
        ("in_use_mbps", 0),
        ("reserved_mbps", 0),
        ("free_mbps", 50_000),
    ] {
        assert_eq!(created[field], value, "{field}");
    }
    let same = service.put("/geos/berlin", berlin).await;
    assert_eq!(same.status(), StatusCode::OK);
    assert_eq!(same.json::<Value>().await.unwrap(), created);
    assert_eq!(service.feed().await, ["GeoChanged"]);

    let smaller = json!({ "name": "Berlin", "max_mbps": 1000, "capacity_mbps": 0 });
    let smaller = service.put("/geos/berlin", smaller).await;
    assert_eq!(smaller.status(), StatusCode::OK);
    assert_eq!(service.feed().await, ["GeoChanged", "GeoChanged"]);
    assert_eq!(
        service.get_json("/geos/berlin").await,
        smaller.json::<Value>().await.unwrap()
    );
    service.stop().await;
}

#[tokio::test]
async fn who_states_something_gets_the_event_to_wait_for() {
    let service = Service::start().await;
    let berlin = json!({ "name": "Berlin", "max_mbps": 1000, "capacity_mbps": 50_000 });
    let ada = json!({ "name": "Ada", "geo": "berlin", "current_mbps": 100 });
    let ada_moves = json!({ "name": "Ada", "geo": "paris", "current_mbps": 100 });
    let mut ids = Vec::new();
    for (path, body) in [
        ("/geos/berlin", berlin),
        ("/customers/c-1", ada),
        ("/customers/c-1", ada_moves.clone()),
        // Nothing is published: it is the last event all the same.
        ("/customers/c-1", ada_moves),
    ] {
        let answer: Value = service.put(path, body).await.json().await.unwrap();
        let id = answer["last_event_id"].as_str().unwrap().to_owned();
        let event = format!("/feeds/customers/events/{id}");
        assert_eq!(service.get(&event).await.status(), StatusCode::OK);
        let shown = service.get_json(&format!("{path}?after={id}")).await;
        assert_eq!(shown["last_event_id"], answer["last_event_id"]);
        ids.push(id);
    }
    assert_eq!(ids[2], ids[3]);
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    for path in ["/geos/berlin", "/customers/c-1", "/reservations/x"] {
        let (status, detail) = problem(service.get(&format!("{path}?after=now")).await).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(detail.contains("after"), "{detail}");
    }
    service.stop().await;
}

#[tokio::test]
async fn customers_are_counted_where_they_live() {
    let service = Service::start().await;
    let customer = |geo: &str, current_mbps: u32| json!({ "name": "Ada", "geo": geo, "current_mbps": current_mbps });
    let created = service.put("/customers/c-1", customer("berlin", 100)).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    // Not served yet, so not shown; its customers are known when it is.
    let (status, _) = problem(service.get("/geos/berlin").await).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for geo in ["berlin", "paris"] {
        let body = json!({ "name": geo, "max_mbps": 1000, "capacity_mbps": 50 });
        service.put(&format!("/geos/{geo}"), body).await;
    }
    let berlin = service.get_json("/geos/berlin").await;
    assert_eq!(
        (&berlin["in_use_mbps"], &berlin["free_mbps"]),
        (&json!(100), &json!(-50))
    );

    let same = service.put("/customers/c-1", customer("berlin", 100)).await;
    assert_eq!(same.status(), StatusCode::OK);
    service.put("/customers/c-1", customer("berlin", 250)).await;
    service.put("/customers/c-1", customer("paris", 250)).await;
    assert_eq!(service.get_json("/geos/berlin").await["in_use_mbps"], 0);
    assert_eq!(service.get_json("/geos/paris").await["in_use_mbps"], 250);
    assert_eq!(service.get_json("/customers/c-1").await["geo"], "paris");
    assert_eq!(
        service.feed().await,
        [
            "CustomerRegistered",
            "GeoChanged",
            "GeoChanged",
            "CustomerChanged",
            "CustomerMoved"
        ]
    );
    service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let service = Service::start().await;
    for (path, body, named) in [
        (
            "/geos/berlin",
            json!({ "max_mbps": 1, "capacity_mbps": 1 }),
            "name",
        ),
        (
            "/geos/berlin",
            json!({ "name": "", "max_mbps": 1, "capacity_mbps": 1 }),
            "name",
        ),
        (
            "/geos/berlin",
            json!({ "name": "B", "max_mbps": 0, "capacity_mbps": 1 }),
            "max_mbps",
        ),
        (
            "/geos/berlin",
            json!({ "name": "B", "max_mbps": 1, "capacity_mbps": -1 }),
            "capacity_mbps",
        ),
        (
            "/geos/berlin",
            json!({ "name": "B", "max_mbps": 1, "capacity_mbps": 1, "x": 1 }),
            "x",
        ),
        (
            "/geos/Berlin",
            json!({ "name": "B", "max_mbps": 1, "capacity_mbps": 1 }),
            "geo",
        ),
        (
            "/customers/c-1",
            json!({ "name": "A", "geo": "Berlin", "current_mbps": 1 }),
            "geo",
        ),
        (
            "/customers/c-1",
            json!({ "name": "A", "geo": "berlin", "current_mbps": "1" }),
            "current_mbps",
        ),
        (
            "/customers/a%20b",
            json!({ "name": "A", "geo": "berlin", "current_mbps": 1 }),
            "customer_id",
        ),
    ] {
        let (status, detail) = problem(service.put(path, body.clone()).await).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {body}");
        assert!(detail.contains(named), "{path} {body}: {detail}");
    }
    for (path, named) in [
        ("/geos?limit=0", "limit"),
        ("/customers?geo=B", "geo"),
        ("/geos?x=1", "x"),
    ] {
        let (status, detail) = problem(service.get(path).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(detail.contains(named), "{path}: {detail}");
    }
    for path in [
        "/geos/none",
        "/customers/none",
        "/reservations/none",
        "/reservations/a%20b",
        "/none",
    ] {
        let (status, _) = problem(service.get(path).await).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(service.feed().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let service = Service::start().await;
    for number in 0..5 {
        let geo = format!("geo-{}", number % 2);
        let body = json!({ "name": "Ada", "geo": geo, "current_mbps": 1 });
        service.put(&format!("/customers/c-{number}"), body).await;
        let body = json!({ "name": "Geo", "max_mbps": 1, "capacity_mbps": 1 });
        service.put(&format!("/geos/g-{number}"), body).await;
    }
    for (first, list, id, expected) in [
        (
            "/customers?limit=2",
            "customers",
            "customer_id",
            ["c-0", "c-1", "c-2", "c-3", "c-4"].as_slice(),
        ),
        (
            "/customers?limit=2&geo=geo-0",
            "customers",
            "customer_id",
            &["c-0", "c-2", "c-4"],
        ),
        (
            "/geos?limit=5",
            "geos",
            "geo",
            &["g-0", "g-1", "g-2", "g-3", "g-4"],
        ),
        ("/geos?after=g-3", "geos", "geo", &["g-4"]),
    ] {
        let mut found = Vec::new();
        let mut next = Some(first.to_owned());
        while let Some(path) = next {
            let page = service.get_json(&path).await;
            for item in page[list].as_array().unwrap() {
                found.push(item[id].as_str().unwrap().to_owned());
            }
            next = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(found, expected, "{first}");
    }
    service.stop().await;
}
