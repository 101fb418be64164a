//! The services' descriptions of themselves: the same routes as those that answer, and a page that needs nothing from
//! elsewhere. That answers are as they are described is seen by `external_clients/openapi.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use feed_core::client::AllowedAddresses;
use reqwest::{Method, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

const TOKEN: &str = "token-that-writes";

/// A service that runs until this is dropped.
struct Running {
    origin: String,
    http: reqwest::Client,
    _stop: DropGuard,
    _folder: TempDir,
}

/// Starts a service of one of the two crates, which have the same names.
macro_rules! start {
    ($service:ident, $tokens:expr $(, $setting:ident: $value:expr)?) => {{
        let folder = TempDir::new().unwrap();
        let tokens = $tokens.then(|| {
            let path = folder.path().join("tokens.txt");
            std::fs::write(&path, format!("write {TOKEN}\n")).unwrap();
            path
        });
        let settings = $service::Settings {
            database: folder.path().join("database.db").display().to_string(),
            followed: $service::FollowedFeed {
                url: "http://127.0.0.1:9/feeds/nobody".to_owned(),
                token_file: None,
                addresses: AllowedAddresses::Any,
            },
            http: Some($service::HttpSettings {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                tokens,
                cors_origins: Vec::new(),
                $($setting: $value,)?
            }),
            poller: None,
        };
        let service = $service::Application::build(settings).await.unwrap();
        let origin = format!("http://{}", service.address().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(service.run(stop.clone()));
        Running {
            origin,
            http: feedway_tests::http::client(1).unwrap(),
            _stop: stop.drop_guard(),
            _folder: folder,
        }
    }};
}

async fn both(tokens: bool) -> [Running; 2] {
    [
        start!(order_svc, tokens, order_expiry: Duration::from_secs(900)),
        start!(customer_svc, tokens),
    ]
}

impl Running {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[]).await
    }

    async fn document(&self) -> Value {
        let response = self.get("/openapi.json").await;
        assert_eq!(response.headers()["content-type"], "application/json");
        response.json().await.unwrap()
    }
}

/// The operations of the document: path, method, and what is said of it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

/// The path with something in the place of each parameter: the first of its values where they are listed.
fn filled(path: &str, operation: &Value) -> String {
    let mut filled = path.to_owned();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
        let value = parameter["schema"]["enum"][0].as_str().unwrap_or("x");
        filled = filled.replace(&name, value);
    }
    assert!(
        !filled.contains('{'),
        "{path} has a parameter that is not described"
    );
    filled
}

#[tokio::test]
async fn what_is_described_is_there_and_takes_the_methods_that_are_described() {
    for service in both(false).await {
        let document = service.document().await;
        let described = operations(&document);
        assert!(described.len() > 10);
        for (path, _, operation) in &described {
            // A method that nothing takes is answered with those that the path takes.
            let response = service.ask("PURGE", &filled(path, operation), &[]).await;
            assert_eq!(response.status(), 405, "{path}");
            let allow = response.headers()["allow"].to_str().unwrap().to_owned();
            let taken: BTreeSet<String> = allow
                .split(',')
                .map(|one| one.trim().to_lowercase())
                .collect();
            let mut said: BTreeSet<String> = described
                .iter()
                .filter(|(of, _, _)| of == path)
                .map(|(_, method, _)| (*method).to_owned())
                .collect();
            // The description says in one place that HEAD is where GET is; OPTIONS is the feeds'.
            said.extend(said.contains("get").then(|| "head".to_owned()));
            said.extend(taken.contains("options").then(|| "options".to_owned()));
            assert_eq!(taken, said, "{path}");
        }
    }
}

#[tokio::test]
async fn descriptions_are_complete() {
    for service in both(false).await {
        let document = service.document().await;
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let summary = operation["summary"].as_str().unwrap();
            assert!(
                !summary.is_empty() && !summary.ends_with('.'),
                "{method} {path}: {summary}"
            );
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                // A URL and a header have no null.
                let schema = parameter["schema"].to_string();
                assert!(
                    schema.len() > 2 && !schema.contains("null"),
                    "{method} {path}: {parameter}"
                );
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_problem = !response["content"]["application/problem+json"].is_null();
                assert_eq!(
                    is_problem,
                    status.as_str() >= "400" && method != "head",
                    "{method} {path}: {status}"
                );
            }
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        // What it says stays the same, so that it can be kept.
        let etag = service.get("/openapi.json").await.headers()["etag"].clone();
        let asked = [("if-none-match", etag.to_str().unwrap())];
        let again = service.ask("GET", "/openapi.json", &asked).await;
        assert_eq!(again.status(), 304);
        assert_eq!(again.headers()["etag"], etag);
    }
}

#[tokio::test]
async fn where_tokens_are_asked_for_the_description_says_so_and_is_open() {
    for service in both(true).await {
        let document = service.document().await;
        assert_eq!(
            document["components"]["securitySchemes"]["bearer"]["scheme"],
            "bearer"
        );
        for (path, method, operation) in operations(&document) {
            let method = method.to_uppercase();
            let response = service.ask(&method, &filled(path, operation), &[]).await;
            let is_open = response.status() != 401;
            assert_eq!(operation["security"].is_null(), is_open, "{method} {path}");
            assert_eq!(
                operation["responses"]["401"].is_null(),
                is_open,
                "{method} {path}"
            );
        }
        for open in ["/docs/", "/docs/swagger-ui.css", "/problems/token-missing"] {
            assert_eq!(service.get(open).await.status(), 200, "{open}");
        }
    }
}

#[tokio::test]
async fn the_page_to_try_it_needs_nothing_from_elsewhere() {
    for service in both(false).await {
        let redirect = service.get("/docs").await;
        assert_eq!(redirect.status(), 307);
        // Relative, as all that the page refers to, so that a path prefix changes nothing.
        assert_eq!(redirect.headers()["location"], "docs/");
        let page = service.get("/docs/").await;
        assert!(
            page.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        let policy = page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("http"),
            "{policy}"
        );
        let page = page.text().await.unwrap();
        let mut files = 0;
        for reference in page.split("src=\"").chain(page.split("href=\"")) {
            let file = reference.split('"').next().unwrap();
            if let Some(file) = file.strip_prefix("./") {
                let response = service.get(&format!("/docs/{file}")).await;
                assert_eq!(response.status(), 200, "{file}");
                files += 1;
            }
            assert!(
                !file.starts_with("http") && !file.starts_with("//"),
                "{file}"
            );
        }
        assert!(files >= 4, "{page}");
        let script = service
            .get("/docs/swagger-initializer.js")
            .await
            .text()
            .await
            .unwrap();
        assert!(script.contains("../openapi.json"), "{script}");
        let unknown = service.get("/docs/nothing.js").await;
        assert_eq!(unknown.status(), 404);
        assert_eq!(
            unknown.headers()["content-type"],
            "application/problem+json"
        );
    }
}
