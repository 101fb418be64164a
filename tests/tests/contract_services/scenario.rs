//! One run of both services in which every event of both feeds happens.

use std::time::Duration;

use feed_core::Format;
use serde_json::json;
use tempfile::TempDir;

use crate::running::{NOWHERE, Running, customer_svc, http, order_svc, send, wait_for};

/// Long enough that no order expires by itself.
pub(crate) const NEVER: Duration = Duration::from_secs(3_600);

/// The orders of the scenario, by what becomes of them, and the customers who place them.
pub(crate) struct Orders {
    pub(crate) completed: String,
    pub(crate) rejected: String,
    pub(crate) cancelled: String,
    pub(crate) expired: String,
}

/// What both services published.
pub(crate) struct Published {
    /// The documents as they came, by format.
    pub(crate) orders_feed: [(Format, String); 2],
    pub(crate) customers_feed: [(Format, String); 2],
}

pub(crate) async fn state_facts(customer: &Running) {
    let put = async |path: &str, body| send("PUT", &format!("{}{path}", customer.url), &body).await;
    put(
        "/geos/springfield",
        json!({ "name": "Springfield", "max_mbps": 1000, "capacity_mbps": 5000 }),
    )
    .await;
    put(
        "/geos/shelbyville",
        json!({ "name": "Shelbyville", "max_mbps": 500, "capacity_mbps": 2000 }),
    )
    .await;
    for customer in ["c-completed", "c-rejected", "c-cancelled", "c-expired"] {
        put(
            &format!("/customers/{customer}"),
            json!({ "name": customer, "geo": "springfield", "current_mbps": 100 }),
        )
        .await;
    }
    put(
        "/customers/c-rejected",
        json!({ "name": "other", "geo": "springfield", "current_mbps": 600 }),
    )
    .await;
    put(
        "/customers/c-rejected",
        json!({ "name": "other", "geo": "shelbyville", "current_mbps": 600 }),
    )
    .await;
}

pub(crate) async fn place(order: &Running, customer_id: &str) -> String {
    let body = json!({ "customer_id": customer_id, "requested_mbps": 500 });
    let placed = send("POST", &format!("{}/orders", order.url), &body).await;
    placed["id"].as_str().unwrap().to_owned()
}

/// Places the four orders; one expires, one is cancelled, two wait for their answers.
pub(crate) async fn place_orders(folder: &TempDir) -> Orders {
    let order = order_svc(folder, Some(NOWHERE), Duration::ZERO).await;
    let expired = place(&order, "c-expired").await;
    wait_for(
        &format!("{}/orders/{expired}", order.url),
        "status",
        "EXPIRED",
    )
    .await;
    order.stop().await;
    let order = order_svc(folder, None, NEVER).await;
    let completed = place(&order, "c-completed").await;
    let rejected = place(&order, "c-rejected").await;
    let cancelled = place(&order, "c-cancelled").await;
    send(
        "POST",
        &format!("{}/orders/{cancelled}/cancel", order.url),
        &json!({}),
    )
    .await;
    order.stop().await;
    Orders {
        completed,
        rejected,
        cancelled,
        expired,
    }
}

pub(crate) async fn run() -> Published {
    let folder = tempfile::tempdir().unwrap();
    let orders = place_orders(&folder).await;
    let customer = customer_svc(&folder, None).await;
    state_facts(&customer).await;
    customer.stop().await;

    // Each needs the other's address before it starts: order-svc begins without polling, and again with it.
    let order = order_svc(&folder, None, NEVER).await;
    let customer = customer_svc(&folder, Some(&format!("{}/feeds/orders", order.url))).await;
    let customers_feed = format!("{}/feeds/customers", customer.url);
    for ended in [&orders.cancelled, &orders.expired] {
        wait_for(
            &format!("{}/reservations/{ended}", customer.url),
            "status",
            "RELEASED",
        )
        .await;
    }
    let polling = order_svc(&folder, Some(&customers_feed), NEVER).await;
    wait_for(
        &format!("{}/orders/{}", order.url, orders.completed),
        "status",
        "COMPLETED",
    )
    .await;
    wait_for(
        &format!("{}/orders/{}", order.url, orders.rejected),
        "status",
        "REJECTED",
    )
    .await;
    let published = Published {
        orders_feed: documents(&format!("{}/feeds/orders", order.url)).await,
        customers_feed: documents(&customers_feed).await,
    };
    for service in [polling, customer, order] {
        service.stop().await;
    }
    published
}

async fn documents(feed: &str) -> [(Format, String); 2] {
    let get = async |format: Format| {
        let request = http()
            .get(format!("{feed}?after=start"))
            .header("Accept", format.media_type());
        (
            format,
            request
                .send()
                .await
                .unwrap()
                .error_for_status()
                .unwrap()
                .text()
                .await
                .unwrap(),
        )
    };
    [get(Format::Json).await, get(Format::Atom).await]
}
