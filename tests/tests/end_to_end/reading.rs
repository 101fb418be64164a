//! Reading at one service what was written at the other: with `after`, the answer contains the event or says why not.

use std::time::{Duration, Instant};

use feed_core::client::{ClientOptions, FeedClient};
use feed_core::limits::READ_MODEL_WAIT_MS_MAX;
use feed_core::{After, Chosen, EventId, Mode, Operator, StartAt, Store};
use feedway_tests::service::Service;
use reqwest::Response;
use serde_json::{Value, json};

use crate::databases::run;
use crate::running::{Running, Setup};

/// What an answer may take beyond the time for waiting.
const SLACK: Duration = Duration::from_secs(10);

async fn get(service: &Service, path: &str, after: &str) -> Response {
    let url = format!("{}{path}?after={after}", service.base_url());
    reqwest::get(url).await.unwrap()
}

async fn get_json(service: &Service, path: &str, after: &str) -> Value {
    let response = get(service, path, after).await;
    assert_eq!(response.status(), 200, "{path}?after={after}");
    response.json().await.unwrap()
}

/// Type, document, and `Retry-After` of an answer that has to be a problem of this status.
async fn problem(response: Response, status: u16) -> (String, Value, Option<u32>) {
    assert_eq!(response.status(), status);
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    let problem: Value = response.json().await.unwrap();
    let kind = problem["type"].as_str().unwrap().to_owned();
    (kind, problem, retry_after)
}

async fn send(service: &Service, method: &str, path: &str, body: &Value) -> Value {
    let url = format!("{}{path}", service.base_url());
    let request = reqwest::Client::new().request(method.parse().unwrap(), url);
    let response = request.json(body).send().await.unwrap();
    response.error_for_status().unwrap().json().await.unwrap()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap()
}

async fn order(running: &Running, customer: &str) -> Value {
    let order = json!({ "customer_id": customer, "requested_mbps": 500 });
    send(&running.order, "POST", "/orders", &order).await
}

/// A customer whose every order of 500 Mbit/s is reserved.
async fn customer(running: &Running, id: &str) -> Value {
    let geo = json!({ "name": "Wide", "max_mbps": 1_000, "capacity_mbps": 1_000_000 });
    send(&running.customer, "PUT", "/geos/wide", &geo).await;
    let customer = json!({ "name": "Ada", "geo": "wide", "current_mbps": 100 });
    send(
        &running.customer,
        "PUT",
        &format!("/customers/{id}"),
        &customer,
    )
    .await
}

#[tokio::test]
async fn what_is_written_at_one_service_is_read_at_the_other_without_asking_twice() {
    let running = Running::start(Setup::default()).await;
    for number in 0..20 {
        let id = format!("reader-{number}");
        let stated = customer(&running, &id).await;
        let placed = order(&running, &id).await;
        let order_path = format!("/orders/{}", text(&placed, "id"));
        // Its own events are no reason to wait, by id or by cursor.
        let own = text(&placed, "last_event_id");
        get_json(&running.order, &order_path, own).await;

        let reservation_path = format!("/reservations/{}", text(&placed, "id"));
        let decided = get_json(&running.customer, &reservation_path, own).await;
        assert!(
            ["RESERVED", "ACTIVATED"].contains(&text(&decided, "status")),
            "{decided}"
        );
        let settled = get_json(&running.order, &order_path, text(&decided, "last_event_id")).await;
        assert!(
            ["CONFIRMED", "COMPLETED"].contains(&text(&settled, "status")),
            "{settled}"
        );
        assert_eq!(settled["customer"]["name"], "Ada", "{stated}");

        // The confirmation is an event of the orders feed: with it, the line is activated.
        let confirmed = text(&settled, "last_event_id");
        let activated = get_json(&running.customer, &reservation_path, confirmed).await;
        assert_eq!(activated["status"], "ACTIVATED");
        let customer_path = format!("/customers/{id}");
        let faster = get_json(&running.customer, &customer_path, confirmed).await;
        assert_eq!(faster["current_mbps"], 500);
        assert_eq!(faster["last_event_id"], activated["last_event_id"]);
        let geo = get_json(&running.customer, "/geos/wide", confirmed).await;
        assert_eq!(geo["reserved_mbps"], 0);
        let completed = get_json(&running.order, &order_path, text(&faster, "last_event_id")).await;
        assert_eq!(completed["status"], "COMPLETED");
        assert_eq!(completed["customer"]["current_mbps"], 500);

        let renamed = json!({ "name": "Ada L.", "geo": "wide", "current_mbps": 500 });
        let renamed = send(&running.customer, "PUT", &customer_path, &renamed).await;
        let shown = get_json(&running.order, &order_path, text(&renamed, "last_event_id")).await;
        assert_eq!(shown["customer"]["name"], "Ada L.");
    }
}

#[tokio::test]
async fn cursors_are_taken_too() {
    let running = Running::start(Setup::default()).await;
    customer(&running, "reader").await;
    let placed = order(&running, "reader").await;
    let id: EventId = text(&placed, "last_event_id").parse().unwrap();
    let url = format!("{}/feeds/orders", running.order.base_url());
    let feed = FeedClient::new(&url, ClientOptions::default()).unwrap();
    let cursor = feed
        .resolve(StartAt::After(After::Event(id)))
        .await
        .unwrap();
    let cursor = cursor.unwrap().to_string();
    let reservation = format!("/reservations/{}", text(&placed, "id"));
    let decided = get_json(&running.customer, &reservation, &cursor).await;
    assert_ne!(decided["status"], Value::Null);
    // Its own, and one from before all.
    let order_path = format!("/orders/{}", text(&placed, "id"));
    get_json(&running.order, &order_path, &cursor).await;
    get_json(
        &running.order,
        &order_path,
        &format!("{}.0.0", "0".repeat(16)),
    )
    .await;
    // Of no feed that is known here: that is found out at once.
    let foreign = format!("{}.5.{}", "0".repeat(16), "0".repeat(12));
    let (kind, problem, _) =
        problem(get(&running.customer, &reservation, &foreign).await, 422).await;
    assert_eq!(kind, "/problems/after-unknown", "{problem}");
}

#[tokio::test]
async fn who_does_not_poll_waits_within_bounds_and_knows_when_another_process_polls() {
    let mut running = Running::start(Setup::default()).await;
    customer(&running, "reader").await;
    running.customer.terminate().await.unwrap();
    let polling = running.customer.spec().clone();
    let mut serve = polling.clone();
    serve.args.push("--no-poll".into());
    running.customer = Service::start(serve).await.unwrap();
    let placed = order(&running, "reader").await;
    let path = format!("/reservations/{}", text(&placed, "id"));
    let after = text(&placed, "last_event_id");

    let asked = Instant::now();
    let unknown = EventId::now().to_string();
    let (behind, unknown) = tokio::join!(
        get(&running.customer, &path, after),
        get(&running.customer, &path, &unknown)
    );
    let took = asked.elapsed();
    let bound = Duration::from_millis(READ_MODEL_WAIT_MS_MAX);
    assert!(took >= bound && took < bound + SLACK, "{took:?}");
    let (kind, told, retry_after) = problem(behind, 503).await;
    assert_eq!(
        (kind.as_str(), retry_after),
        ("/problems/read-model-behind", Some(1))
    );
    assert_eq!(told["subscription"], "customers/orders");
    assert!(text(&told, "detail").contains(after), "{told}");
    let (kind, told, _) = problem(unknown, 422).await;
    assert_eq!(kind, "/problems/after-unknown", "{told}");
    for malformed in ["now", "7", "x", "", "a.b.c"] {
        let response = get(&running.customer, &path, malformed).await;
        let (kind, told, _) = problem(response, 422).await;
        assert_eq!(kind, "/problems/after-malformed", "{malformed}");
        assert!(text(&told, "detail").contains("after"), "{told}");
    }

    let mut poll = polling.command().unwrap();
    let flags = polling.args.iter().filter(|arg| {
        let arg = arg.to_string_lossy();
        !arg.starts_with("--listen") && arg != "serve"
    });
    let mut poller = poll.arg("poll").args(flags).spawn().unwrap();
    let decided = get_json(&running.customer, &path, after).await;
    poller.kill().unwrap();
    poller.wait().unwrap();
    assert_eq!(decided["order_id"], placed["id"]);
}

#[tokio::test]
async fn an_event_that_is_parked_is_told_and_read_once_its_cause_is_mended() {
    let running = Running::start(Setup::default()).await;
    customer(&running, "reader").await;
    customer(&running, "other").await;
    let database = running.databases.customer.clone();
    run(
        &database,
        "CREATE TRIGGER audit BEFORE INSERT ON reservations BEGIN SELECT RAISE(ABORT, 'frozen'); END",
        "CREATE FUNCTION frozen() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE check_violation USING MESSAGE = 'frozen'; END $$;
         CREATE TRIGGER audit BEFORE INSERT ON reservations FOR EACH ROW EXECUTE FUNCTION frozen()",
    )
    .await;
    let (mended, dropped) = (
        order(&running, "reader").await,
        order(&running, "other").await,
    );
    let path = |order: &Value| format!("/reservations/{}", text(order, "id"));
    let after = text(&mended, "last_event_id");
    let asked = Instant::now();
    for order in [&mended, &dropped] {
        let response = get(
            &running.customer,
            &path(order),
            text(order, "last_event_id"),
        )
        .await;
        let (kind, told, retry_after) = problem(response, 503).await;
        assert_eq!(
            (kind.as_str(), retry_after),
            ("/problems/event-not-applied", Some(30))
        );
        assert_eq!(told["event_state"], "parked");
        assert!(
            text(&told, "detail").contains("feedctl sub show customers/orders --event"),
            "{told}"
        );
    }
    assert!(
        asked.elapsed() < Duration::from_millis(READ_MODEL_WAIT_MS_MAX),
        "it is told at once"
    );

    run(
        &database,
        "DROP TRIGGER audit",
        "DROP TRIGGER audit ON reservations",
    )
    .await;
    let store = Store::open_existing(&database).await.unwrap();
    let handle = store.subscription("customers/orders").unwrap();
    let operator = Operator::new("a test", "").unwrap();
    let id: EventId = text(&dropped, "last_event_id").parse().unwrap();
    handle
        .drop_events(Chosen::Event(id), &operator, Mode::Do)
        .await
        .unwrap();
    let response = get(
        &running.customer,
        &path(&dropped),
        text(&dropped, "last_event_id"),
    )
    .await;
    let (_, told, retry_after) = problem(response, 503).await;
    assert_eq!(
        (&told["event_state"], retry_after),
        (&json!("dropped"), None)
    );
    let id: EventId = after.parse().unwrap();
    handle.retry(Chosen::Event(id), Mode::Do).await.unwrap();
    let decided = get_json(&running.customer, &path(&mended), after).await;
    assert_ne!(decided["status"], "REJECTED");
    store.close().await;
}
