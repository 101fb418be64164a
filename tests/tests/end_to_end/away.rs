//! PostgreSQL that is away, comes back, or never lets anybody in.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use feedway_tests::postgres::{Cluster, ClusterOptions, is_installed};
use feedway_tests::service::{Service, ServiceSpec, free_address};
use reqwest::Client;
use serde_json::{Value, json};

use crate::running::built;

/// Longest time until a service is well again after its database is back.
const WELL_MAX: Duration = Duration::from_secs(10);

/// order-svc on a database of this cluster, following nobody who is there.
async fn service(cluster: &Cluster, folder: &std::path::Path) -> Service {
    cluster.create_database("orders").await.unwrap();
    let address = free_address().unwrap();
    let args = [
        "serve".to_owned(),
        format!("--listen={address}"),
        format!("--database={}", cluster.url("orders")),
        "--customers-feed=http://127.0.0.1:9/feeds/customers".to_owned(),
    ];
    let spec = ServiceSpec {
        name: "order-svc",
        binary: built().order_svc.clone(),
        args: args.into_iter().map(Into::into).collect(),
        env: Vec::new(),
        folder: folder.to_owned(),
        address,
        detached: false,
    };
    Service::start(spec).await.unwrap()
}

async fn status(http: &Client, service: &Service, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", service.base_url());
    let answer = http.get(url).send().await.unwrap();
    (
        answer.status().as_u16(),
        answer.json().await.unwrap_or_default(),
    )
}

async fn place(http: &Client, service: &Service) -> u16 {
    let order = json!({ "customer_id": "c-1", "requested_mbps": 500 });
    let url = format!("{}/orders", service.base_url());
    let answer = http.post(url).json(&order).send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_a_service_goes_on_by_itself_when_its_database_is_back() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(ClusterOptions::default()).await.unwrap();
    let service = service(&cluster, folder.path()).await;
    let http = Client::new();
    assert_eq!(place(&http, &service).await, 202);
    for immediate in [false, true] {
        if immediate {
            cluster.stop_immediate().unwrap();
        } else {
            cluster.stop().unwrap();
        }
        let (ready, problem) = status(&http, &service, "/readyz").await;
        assert_eq!(ready, 503, "{problem}");
        assert_eq!(problem["type"], "/problems/unavailable", "{problem}");
        assert!(!problem.to_string().contains("postgres://"), "{problem}");
        assert_eq!(status(&http, &service, "/livez").await.0, 200);
        assert_eq!(place(&http, &service).await, 503);
        cluster.restart().await.unwrap();
        let back = Instant::now();
        while status(&http, &service, "/readyz").await.0 != 200 {
            assert!(back.elapsed() < WELL_MAX, "never ready again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(place(&http, &service).await, 202);
        // What was placed now gets its position by itself.
        let path = "/feeds/orders?after=start&format=json";
        let before = if immediate { 2 } else { 1 };
        while status(&http, &service, path)
            .await
            .1
            .as_array()
            .map(Vec::len)
            != Some(before + 1)
        {
            assert!(back.elapsed() < WELL_MAX, "the feed does not go on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let log = std::fs::read_to_string(service.spec().log()).unwrap();
    assert!(
        log.contains("postgres://…@") && !log.contains("feedway@"),
        "{log}"
    );
}

fn start(url: &str) -> Output {
    Command::new(&built().order_svc)
        .args(["serve", "--listen=127.0.0.1:0", "--database", url])
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_database_lets_nobody_in_is_told_with_exit_code_1() {
    if !is_installed() {
        return;
    }
    let mut cluster = Cluster::start(ClusterOptions::default()).await.unwrap();
    let address = cluster.address();
    let admin = cluster.admin("postgres").await.unwrap();
    let role = "CREATE ROLE guarded LOGIN PASSWORD 'right-secret'; CREATE ROLE poor LOGIN; \
                CREATE DATABASE guarded OWNER guarded";
    for statement in role.split("; ") {
        admin.batch_execute(statement).await.unwrap();
    }
    cluster.ask_for_passwords_of("guarded").await.unwrap();
    let url = |user: &str, database: &str| format!("postgres://{user}@{address}/{database}");
    for (url, words) in [
        (
            url("guarded:wrong-secret", "guarded"),
            &["password authentication failed"][..],
        ),
        (url("guarded", "guarded"), &["password"]),
        (url("feedway", "missing"), &["\"missing\" does not exist"]),
        (url("nobody_known", "postgres"), &["nobody_known"]),
        (url("poor", "guarded"), &["permission denied"]),
        (format!("postgres://{address}"), &["names no database"]),
        (
            format!("postgres://feedway@{address}/postgres?colour=red"),
            &["colour"],
        ),
        ("mysql://anna:some-secret@host/shop".to_owned(), &["mysql"]),
    ] {
        let output = start(&url);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{url}: {said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("order-svc: "), "{url}: {said}");
        for word in words {
            assert!(said.contains(word), "{url}: {said}");
        }
        assert!(!said.contains("secret"), "{url}: {said}");
    }
    // Nobody listens any more: it is said at once, and is no riddle.
    cluster.stop().unwrap();
    let output = start(&url("feedway", "postgres"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("refused"), "{said}");
}
