//! The saga where its sides do not meet in time, and the ways in which the services are started.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use feedway_tests::service::Service;
use serde_json::{Value, json};

use crate::running::{Running, Setup};

/// How long is waited for what has to happen.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Time between two questions.
const ASK_EVERY: Duration = Duration::from_millis(10);

async fn order_of(running: &Running, order_id: &str) -> Value {
    let url = format!("{}/orders/{order_id}", running.order.base_url());
    reqwest::get(url)
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// Asks again until the answer is as wanted; fails with what was answered last.
async fn wait_until<T: std::fmt::Debug>(ask: impl AsyncFn() -> T, wanted: impl Fn(&T) -> bool) {
    let asked_since = Instant::now();
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return;
        }
        assert!(asked_since.elapsed() < WAIT_MAX, "still {answer:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn wait_for_status(running: &Running, order_id: &str, wanted: &str) {
    wait_until(
        async || order_of(running, order_id).await,
        |order| order["status"] == wanted,
    )
    .await;
}

/// A customer of the sample whose order is sure to be reserved, by its own speed and its geo's books.
async fn upgrade(running: &Running) -> Value {
    let geos: Value = reqwest::get(format!("{}/geos?limit=500", running.customer.base_url()))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let free = |geo: &str, mbps: i64| {
        geos["geos"].as_array().unwrap().iter().any(|found| {
            found["geo"] == geo
                && found["free_mbps"].as_i64() > Some(mbps)
                && found["max_mbps"].as_i64() >= Some(mbps)
        })
    };
    let customer = running
        .sample
        .customers
        .iter()
        .find(|customer| customer.current_mbps < 200 && free(&customer.geo, 250));
    json!({ "customer_id": customer.unwrap().customer_id, "requested_mbps": 250 })
}

async fn reserved_anywhere(running: &Running) -> i64 {
    let geos: Value = reqwest::get(format!("{}/geos?limit=500", running.customer.base_url()))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    geos["geos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|geo| geo["reserved_mbps"].as_i64().unwrap())
        .sum()
}

async fn post(service: &Service, path: &str, body: &Value) -> Value {
    let request = reqwest::Client::new()
        .post(format!("{}{path}", service.base_url()))
        .json(body);
    request
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn an_order_that_expires_before_its_answer_stays_so_and_the_speed_is_released() {
    let mut running = Running::start(Setup {
        order_expiry_s: Some(1),
        ..Setup::default()
    })
    .await;
    let order = upgrade(&running).await;
    running.customer.kill9().unwrap();
    let placed = post(&running.order, "/orders", &order).await;
    let order_id = placed["id"].as_str().unwrap();
    wait_for_status(&running, order_id, "EXPIRED").await;

    running.customer.restart().await.unwrap();
    let reservation = format!("{}/reservations/{order_id}", running.customer.base_url());
    let released = async || {
        let answer = reqwest::get(&reservation).await.unwrap();
        if answer.status().is_success() {
            answer.json::<Value>().await.unwrap()
        } else {
            Value::Null
        }
    };
    wait_until(released, |reservation| reservation["status"] == "RELEASED").await;
    assert_eq!(reserved_anywhere(&running).await, 0);
    assert_eq!(order_of(&running, order_id).await["status"], "EXPIRED");
}

#[tokio::test]
async fn each_works_while_the_other_is_down() {
    let mut running = Running::start(Setup::default()).await;
    let order = upgrade(&running).await;
    running.customer.terminate().await.unwrap();
    let placed = post(&running.order, "/orders", &order).await;
    assert_eq!(placed["status"], "UPDATE");
    running.order.terminate().await.unwrap();
    running.customer.restart().await.unwrap();
    running.order.restart().await.unwrap();
    wait_for_status(&running, placed["id"].as_str().unwrap(), "COMPLETED").await;
}

#[tokio::test]
async fn requests_and_polling_may_be_processes_of_their_own() {
    let mut running = Running::start(Setup::default()).await;
    let order = upgrade(&running).await;
    running.order.terminate().await.unwrap();
    let mut serve = running.order.spec().clone();
    serve.args.push("--no-poll".into());
    let mut poll = running.order.spec().command().unwrap();
    poll.args(serve.args.iter().filter(|arg| {
        let arg = arg.to_string_lossy();
        !arg.starts_with("--listen") && arg != "--no-poll" && arg != "serve"
    }));
    running.order = Service::start(serve).await.unwrap();
    let placed = post(&running.order, "/orders", &order).await;
    assert_eq!(placed["status"], "UPDATE");

    let mut command = Command::new(poll.get_program());
    let _poller = KilledAtTheEnd(command.arg("poll").args(poll.get_args()).spawn().unwrap());
    wait_for_status(&running, placed["id"].as_str().unwrap(), "COMPLETED").await;
}

/// A process that does not outlive its test, also when that fails.
struct KilledAtTheEnd(Child);

impl Drop for KilledAtTheEnd {
    fn drop(&mut self) {
        // Failing means that it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn with_tokens_the_services_read_each_other_and_nobody_else_does() {
    let running = Running::start(Setup {
        tokens: true,
        ..Setup::default()
    })
    .await;
    let http = reqwest::Client::new();
    let orders = format!("{}/orders", running.order.base_url());
    let body = json!({ "customer_id": "c-1001", "requested_mbps": 2_000 });
    let post = |token: Option<&str>| {
        let request = http.post(&orders).json(&body);
        token
            .iter()
            .fold(request, |request, token| request.bearer_auth(token))
            .send()
    };
    assert_eq!(post(None).await.unwrap().status(), 401);
    assert_eq!(
        post(Some("wrong-token-0123456")).await.unwrap().status(),
        401
    );
    assert_eq!(
        post(Some("read-token-0123456")).await.unwrap().status(),
        403
    );
    let placed = post(Some("write-token-012345")).await.unwrap();
    assert_eq!(placed.status(), 202);
    let placed: Value = placed.json().await.unwrap();
    let order = format!("{orders}/{}", placed["id"].as_str().unwrap());
    let settled = async || {
        let order = http
            .get(&order)
            .bearer_auth("read-token-0123456")
            .send()
            .await
            .unwrap();
        order.json::<Value>().await.unwrap()
    };
    wait_until(settled, |order| order["status"] != "UPDATE").await;
    let probe = format!("{}/readyz", running.order.base_url());
    assert_eq!(http.get(probe).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_busy_port_is_named_with_the_flag_that_changes_it() {
    let running = Running::start(Setup::default()).await;
    let spec = running.order.spec();
    let second = Command::new(&spec.binary)
        .args(&spec.args)
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.contains("in use") && said.contains("--listen"),
        "{said}"
    );
}
