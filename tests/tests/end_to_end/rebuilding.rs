//! `order-svc rebuild` beside the running service: killed, run again, while orders flow and customers change.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::databases::{number, rows, run};
use crate::running::{Running, Setup};

const ORDERS: usize = 200;
const CONNECTIONS: usize = 4;
/// How long is waited until the read model has got what customer-svc has.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Name, geo and speed of each customer.
type Customers = BTreeMap<String, (String, String, i64)>;

async fn customers(database: &str, sql: &'static str) -> Customers {
    let rows: Vec<(String, String, String, i64)> = rows(database, sql).await;
    let customers = rows.into_iter();
    customers
        .map(|(id, name, geo, mbps)| (id, (name, geo, mbps)))
        .collect()
}

fn rebuild(running: &Running) -> Command {
    let spec = running.order.spec();
    let mut command = Command::new(&spec.binary);
    command.arg("rebuild");
    command.args(spec.args.iter().filter(|arg| {
        let arg = arg.to_string_lossy();
        arg.starts_with("--database") || arg.starts_with("--customers-feed")
    }));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn i07_i08_a_spoiled_read_model_is_right_after_a_rebuild_while_orders_flow() {
    let mut running = Running::start(Setup::default()).await;
    let mut placed = running.orders.place_next(ORDERS, CONNECTIONS).await;
    let (order_db, customer_db) = (
        running.databases.order.clone(),
        running.databases.customer.clone(),
    );
    let spoil = "UPDATE customers SET name = 'spoiled', current_mbps = 1;
                 INSERT INTO customers (generation, customer_id, name, geo, current_mbps, updated_us)
                 VALUES (1, 'invented', 'spoiled', 'nowhere', 1, 1)";
    run(&order_db, spoil, spoil).await;

    // Killed at some moment; it may have got to its end before.
    let mut killed = rebuild(&running).spawn().unwrap();
    placed.extend(running.orders.place_next(ORDERS, CONNECTIONS).await);
    killed.kill().unwrap();
    killed.wait().unwrap();

    let again = rebuild(&running).spawn().unwrap();
    let again = tokio::task::spawn_blocking(|| again.wait_with_output().unwrap());
    placed.extend(running.orders.place_next(ORDERS, CONNECTIONS).await);
    let customer = json!({ "name": "Changed meanwhile", "geo": "elsewhere", "current_mbps": 100 });
    let url = format!("{}/customers/meanwhile", running.customer.base_url());
    let put = reqwest::Client::new().put(url).json(&customer);
    put.send().await.unwrap().error_for_status().unwrap();
    let again = again.await.unwrap();
    let (said, log) = (
        String::from_utf8(again.stdout).unwrap(),
        String::from_utf8(again.stderr).unwrap(),
    );
    assert!(again.status.success(), "{log}");
    assert!(said.starts_with("customers rebuilt from "), "{said}");

    let verdict = running.settle_and_check(&placed).await;
    assert!(verdict.is_good(), "{verdict}\n{:#?}", verdict.differences);
    let waited_since = Instant::now();
    loop {
        let read = customers(
            &order_db,
            "SELECT customer_id, name, geo, current_mbps FROM customers
             WHERE generation = (SELECT generation FROM read_models WHERE name = 'customers')",
        )
        .await;
        let stated = customers(
            &customer_db,
            "SELECT customer_id, name, geo, current_mbps FROM customers",
        )
        .await;
        if read == stated {
            assert!(read.contains_key("meanwhile"));
            break;
        }
        assert!(
            waited_since.elapsed() < WAIT_MAX,
            "the read model is another one"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let generations = "SELECT count(DISTINCT generation) FROM customers";
    let old = number(&order_db, generations).await;
    assert_eq!(old, 1, "what was replaced is deleted");
}

#[tokio::test]
async fn what_cannot_be_rebuilt_is_told_with_exit_code_1() {
    let running = Running::start(Setup::default()).await;
    let nothing = Command::new(&running.order.spec().binary)
        .args(["rebuild", "--database"])
        .arg(running.folder().join("no-such.db"))
        .output()
        .unwrap();
    assert_eq!(nothing.status.code(), Some(1));
    assert!(!running.folder().join("no-such.db").exists());
}
