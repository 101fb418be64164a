//! A service that was started on a standby, as a program: it reads, says no to writes, and is a full one after the promotion.

use std::sync::OnceLock;
use std::time::Duration;

use feedway_tests::binaries::{self, Binaries, Profile};
use feedway_tests::postgres::StandbyOptions;
use feedway_tests::service::{Service, ServiceSpec, free_address};
use serde_json::{Value, json};

use crate::nodes::{DATABASE, Nodes};
use crate::wait_for;

/// How long it is looked at what a service on a standby says.
const LISTENED: Duration = Duration::from_secs(5);
/// Most lines that it may say meanwhile, after those of its start.
const LINES_MAX: usize = 12;

fn built() -> &'static Binaries {
    static BUILT: OnceLock<Binaries> = OnceLock::new();
    BUILT.get_or_init(|| binaries::build(Profile::own()).expect("the services build"))
}

async fn order_svc(name: &'static str, folder: &std::path::Path, database: &str) -> Service {
    let address = free_address().unwrap();
    let nobody = free_address().unwrap();
    let args = [
        "serve".to_owned(),
        format!("--listen={address}"),
        format!("--database={database}"),
        format!("--customers-feed=http://{nobody}/feeds/customers"),
    ];
    let spec = ServiceSpec {
        name,
        binary: built().order_svc.clone(),
        args: args.map(Into::into).to_vec(),
        env: Vec::new(),
        folder: folder.to_owned(),
        address,
        detached: false,
    };
    Service::start(spec).await.unwrap()
}

async fn place(http: &reqwest::Client, service: &Service, key: &str) -> (u16, Value) {
    let order = json!({ "customer_id": "c-1", "requested_mbps": 500 });
    let request = http.post(format!("{}/orders", service.base_url()));
    let request = request.header("idempotency-key", key).json(&order);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn positions(http: &reqwest::Client, service: &Service) -> usize {
    let url = format!(
        "{}/feeds/orders?after=start&format=json",
        service.base_url()
    );
    let events: Vec<Value> = http.get(url).send().await.unwrap().json().await.unwrap();
    events.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_on_a_standby_reads_and_becomes_a_full_one_without_a_restart() {
    let Some(mut nodes) = Nodes::start().await else {
        return;
    };
    nodes.add_standby(StandbyOptions::new("second")).await;
    let folder = tempfile::tempdir().unwrap();
    let main = order_svc("main", folder.path(), &nodes.primary.url(DATABASE)).await;
    let http = feedway_tests::http::client(10).unwrap();
    let (status, order) = place(&http, &main, "one").await;
    assert_eq!(status, 202, "{order}");
    nodes.shown_by(0).await;

    let beside = order_svc("beside", folder.path(), &nodes.standby_url(0)).await;
    wait_for("the order's event on the standby", async || {
        (positions(&http, &beside).await == 1).then_some(())
    })
    .await;
    let url = format!(
        "{}/orders/{}",
        beside.base_url(),
        order["id"].as_str().unwrap()
    );
    let read = http.get(&url).send().await.unwrap();
    assert_eq!(read.status(), 200);

    // What it has written on the primary is read by way of the standby, as soon as that shows it.
    nodes.standbys[0].pause_replay().await.unwrap();
    let (status, second) = place(&http, &main, "two").await;
    assert_eq!(status, 202, "{second}");
    let (id, event) = (
        second["id"].as_str().unwrap(),
        second["last_event_id"].as_str(),
    );
    let url = format!("{}/orders/{id}", beside.base_url());
    assert_eq!(http.get(&url).send().await.unwrap().status(), 404);
    let waiting = format!("{url}?after={}", event.unwrap());
    let reading = tokio::spawn(http.get(&waiting).send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        !reading.is_finished(),
        "it does not wait: {:?}",
        reading.await
    );
    nodes.standbys[0].resume_replay().await.unwrap();
    let read = reading.await.unwrap().unwrap();
    let status = read.status();
    let body: Value = read.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["last_event_id"].as_str(), event);

    // Nothing is written, and it is said why.
    let (status, problem) = place(&http, &beside, "three").await;
    assert_eq!(status, 503, "{problem}");
    assert!(
        problem["type"].as_str().unwrap().starts_with("/problems/"),
        "{problem}"
    );
    let lines = || {
        let text = std::fs::read_to_string(beside.spec().log()).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let at_first = lines().len();
    tokio::time::sleep(LISTENED).await;
    let said = lines();
    assert!(said.len() - at_first <= LINES_MAX, "{said:#?}");
    let server_said = std::fs::read_to_string(nodes.standbys[0].folder().join("log")).unwrap();
    let refused = server_said.matches("ERROR:").count();
    assert!(!server_said.contains("LISTEN"), "{server_said}");
    // A transaction that is refused is one line, and each statement that was on its way with it is another one.
    assert!(
        refused <= 3 * LINES_MAX,
        "{refused} statements were refused: {server_said}"
    );

    let mut main = main;
    main.kill9().unwrap();
    nodes.primary.kill().unwrap();
    nodes.standbys[0].promote().await.unwrap();
    let third = wait_for("writes", async || {
        let (status, body) = place(&http, &beside, "three").await;
        (status == 202).then_some(body)
    })
    .await;
    assert!(third["id"].is_string());
    wait_for("three events with places", async || {
        (positions(&http, &beside).await == 3).then_some(())
    })
    .await;
}
