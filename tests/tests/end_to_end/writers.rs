//! Rules over several rows, with several writers at the same time: requests to two instances of a service on one
//! database, while its poller works.

use std::collections::BTreeMap;

use feed_core::Event;
use feedway_tests::history::History;
use feedway_tests::service::{Service, free_address};
use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use crate::databases::{number, rows};
use crate::running::{Running, Setup};

/// Requests at the same time.
const AT_ONCE: usize = 24;
/// How often that is done.
const ROUNDS: usize = 4;

/// A second instance of a service, which does not poll.
async fn second(service: &Service) -> Service {
    let mut spec = service.spec().clone();
    spec.address = free_address().unwrap();
    spec.args.retain(|arg| {
        let arg = arg.to_string_lossy();
        !arg.starts_with("--listen")
    });
    spec.args.push(format!("--listen={}", spec.address).into());
    spec.args.push("--no-poll".into());
    Service::start(spec).await.unwrap()
}

async fn put(service: &Service, path: &str, body: &Value) -> Response {
    let url = format!("{}{path}", service.base_url());
    Client::new().put(url).json(body).send().await.unwrap()
}

async fn post(service: &Service, path: &str, body: &Value, key: Option<&str>) -> Response {
    let url = format!("{}{path}", service.base_url());
    let mut request = Client::new().post(url).json(body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    request.send().await.unwrap()
}

/// By turns one and the other.
fn one_of<'s>(services: &[&'s Service; 2], number: usize) -> &'s Service {
    services[number % 2]
}

/// i05: the versions of each subject are 1, 2, 3 … in the order of the feed.
async fn assert_versions(service: &Service, feed: &str) -> Vec<Event> {
    let events = History::read(&service.base_url(), feed).await.unwrap();
    let mut versions: BTreeMap<String, u32> = BTreeMap::new();
    for event in &events {
        let version = versions.entry(event.subject.to_string()).or_default();
        *version += 1;
        assert_eq!(event.version.get(), *version, "{}", event.subject);
    }
    events
}

/// The books of every geo are those of its customers and reservations.
async fn assert_books(database: &str) {
    let wrong: Vec<(String, i64, i64)> = rows(
        database,
        "SELECT g.geo, g.in_use_mbps, g.reserved_mbps FROM geos g
         WHERE g.in_use_mbps <> (SELECT CAST(coalesce(sum(current_mbps), 0) AS BIGINT) FROM customers WHERE geo = g.geo)
            OR g.reserved_mbps <> (SELECT CAST(coalesce(sum(difference_mbps), 0) AS BIGINT) FROM reservations
                                   WHERE geo = g.geo AND status = 'RESERVED')",
    )
    .await;
    assert_eq!(wrong, []);
}

#[tokio::test]
async fn i01_i05_a_customer_that_many_state_at_once_is_counted_where_it_lives() {
    let running = Running::start(Setup::default()).await;
    let other = second(&running.customer).await;
    let services = [&running.customer, &other];
    for round in 0..ROUNDS {
        let puts = (0..AT_ONCE).map(|index| async move {
            let geo = ["berlin", "hamburg", "nowhere"][(index + round) % 3];
            let body = json!({ "name": "A", "geo": geo, "current_mbps": 50 + 7 * index });
            let id = ["/customers/busy", "/customers/busier"][index / 2 % 2];
            put(one_of(&services, index), id, &body).await.status()
        });
        for status in join_all(puts).await {
            // Who was overtaken five times in a row is told to send it again.
            assert!(
                status.is_success() || status == StatusCode::CONFLICT,
                "{status}"
            );
        }
    }
    assert_books(&running.databases.customer).await;
    assert_versions(&running.customer, "customers").await;
}

#[tokio::test]
async fn a_new_geo_that_many_state_at_once_is_new_to_one_of_them() {
    let running = Running::start(Setup::default()).await;
    let other = second(&running.customer).await;
    let services = [&running.customer, &other];
    for round in 0..ROUNDS {
        let path = format!("/geos/new-{round}");
        let puts = (0..AT_ONCE).map(|index| {
            let path = &path;
            async move {
                let body =
                    json!({ "name": "New", "max_mbps": 100 + index, "capacity_mbps": 1_000 });
                put(one_of(&services, index), path, &body).await.status()
            }
        });
        let statuses = join_all(puts).await;
        let created = statuses
            .iter()
            .filter(|status| **status == StatusCode::CREATED);
        assert_eq!(created.count(), 1, "{statuses:?}");
        let expected = [StatusCode::CREATED, StatusCode::OK, StatusCode::CONFLICT];
        assert!(
            statuses.iter().all(|status| expected.contains(status)),
            "{statuses:?}"
        );
    }
    let events = assert_versions(&running.customer, "customers").await;
    // The row says what the last event says.
    let stated: Vec<(String, i64)> = rows(
        &running.databases.customer,
        "SELECT geo, max_mbps FROM geos WHERE geo LIKE 'new-%' ORDER BY geo",
    )
    .await;
    for (geo, max_mbps) in stated {
        let subject = format!("geo-{geo}");
        let last = events
            .iter()
            .rfind(|event| event.subject.as_str() == subject)
            .unwrap();
        assert_eq!(last.decode::<Value>().unwrap()["max_mbps"], max_mbps);
    }
}

#[tokio::test]
async fn i07_one_key_at_two_instances_at_once_places_one_order() {
    let running = Running::start(Setup::default()).await;
    let other = second(&running.order).await;
    let services = [&running.order, &other];
    for round in 0..ROUNDS {
        let key = format!("key-{round}");
        let posts = (0..AT_ONCE).map(|index| {
            let key = &key;
            async move {
                let body = json!({ "customer_id": "c-1001", "requested_mbps": 500 });
                let answer = post(one_of(&services, index), "/orders", &body, Some(key)).await;
                assert_eq!(answer.status(), StatusCode::ACCEPTED);
                answer.text().await.unwrap()
            }
        });
        let answers = join_all(posts).await;
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }
    let orders = number(&running.databases.order, "SELECT count(*) FROM orders").await;
    assert_eq!(orders, ROUNDS as i64);
}

#[tokio::test]
async fn i05_an_order_that_many_cancel_while_it_is_answered_has_one_end() {
    let running = Running::start(Setup::default()).await;
    let other = second(&running.order).await;
    let services = [&running.order, &other];
    let sample = &running.sample.customers;
    let orders = (0..AT_ONCE * ROUNDS).map(|index| async move {
        let body = json!({ "customer_id": sample[index].customer_id, "requested_mbps": 900 });
        let placed = post(one_of(&services, index), "/orders", &body, None).await;
        let placed: Value = placed.json().await.unwrap();
        let path = format!("/orders/{}/cancel", placed["id"].as_str().unwrap());
        // Some at once, some when the answer is on its way.
        tokio::time::sleep(std::time::Duration::from_millis((index % 12) as u64 * 2)).await;
        let cancels = (0..3).map(|at| post(one_of(&services, at), &path, &Value::Null, None));
        let statuses: Vec<StatusCode> = join_all(cancels)
            .await
            .iter()
            .map(Response::status)
            .collect();
        let good = [StatusCode::OK, StatusCode::CONFLICT];
        assert!(
            statuses.iter().all(|status| good.contains(status)),
            "{statuses:?}"
        );
        let accepted = statuses.iter().filter(|status| **status == StatusCode::OK);
        assert!(accepted.count() <= 1, "{statuses:?}");
    });
    join_all(orders).await;
    let waited_since = std::time::Instant::now();
    let open = "SELECT count(*) FROM orders WHERE status IN ('UPDATE', 'CONFIRMED')";
    let held = "SELECT count(*) FROM reservations WHERE status = 'RESERVED'";
    while number(&running.databases.order, open).await > 0
        || number(&running.databases.customer, held).await > 0
    {
        assert!(
            waited_since.elapsed() < std::time::Duration::from_secs(30),
            "some have no end"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_books(&running.databases.customer).await;
    assert_versions(&running.order, "orders").await;
    let ends: Vec<(String, i64)> = rows(
        &running.databases.order,
        "SELECT subject, count(*) FROM outbox
         WHERE type IN ('OrderCancelled', 'OrderCompleted', 'OrderRejected', 'OrderExpired')
         GROUP BY subject HAVING count(*) <> 1",
    )
    .await;
    assert_eq!(ends, []);
}

#[tokio::test]
async fn i01_no_geo_is_oversold_while_its_customers_are_stated_anew() {
    let running = Running::start(Setup::default()).await;
    let other = second(&running.customer).await;
    let services = [&running.customer, &other];
    let geo = json!({ "name": "Tight", "max_mbps": 1_000, "capacity_mbps": 4_000 });
    put(&running.customer, "/geos/tight", &geo).await;
    let customer = |index: usize, mbps: usize| async move {
        let body = json!({ "name": "T", "geo": "tight", "current_mbps": mbps });
        let path = format!("/customers/tight-{index}");
        let status = put(one_of(&services, index), &path, &body).await.status();
        assert!(
            status.is_success() || status == StatusCode::CONFLICT,
            "{status}"
        );
    };
    join_all((0..AT_ONCE).map(|index| customer(index, 10))).await;
    let orders = (0..AT_ONCE).map(|index| {
        let order = &running.order;
        async move {
            let body = json!({ "customer_id": format!("tight-{index}"), "requested_mbps": 500 });
            post(order, "/orders", &body, None).await;
        }
    });
    let stating = (0..AT_ONCE * ROUNDS).map(|number| customer(number % AT_ONCE, 10 + number % 5));
    futures_util::future::join(join_all(orders), join_all(stating)).await;
    let waited_since = std::time::Instant::now();
    let open = "SELECT count(*) FROM orders WHERE status IN ('UPDATE', 'CONFIRMED')";
    while number(&running.databases.order, open).await > 0 {
        assert!(
            waited_since.elapsed() < std::time::Duration::from_secs(30),
            "some have no end"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_books(&running.databases.customer).await;
    // What was reserved fitted in when it was: 8 or fewer of 24, as each takes some 490 of 4,000.
    let accepted = "SELECT count(*) FROM reservations WHERE status IN ('RESERVED', 'ACTIVATED')";
    let accepted = number(&running.databases.customer, accepted).await;
    assert!((1..=8).contains(&accepted), "{accepted}");
}
