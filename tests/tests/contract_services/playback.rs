//! Each service works from the other's recording alone.

use feed_core::{Event, Format};
use wiremock::matchers::{any, header_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::running::{customer_svc, get, order_svc, wait_for};
use crate::scenario::{NEVER, place_orders, state_facts};
use crate::shapes::{events, recorded};

const FORMATS: [Format; 2] = [Format::Json, Format::Atom];

/// A server that answers every request with the document. A reader that asks for more than it holds gets it again.
async fn serve(format: Format, document: String) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_raw(document, format.media_type());
    Mock::given(any())
        .and(header_regex("accept", "application/atom\\+xml"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

/// The recorded event of this type about an order of this customer.
fn find(events: &[Event], event_type: &str, customer_id: &str) -> Event {
    let found = events.iter().find(|event| {
        let of = || event.decode::<serde_json::Value>().unwrap()["customer_id"] == customer_id;
        event.event_type.as_str() == event_type && of()
    });
    found
        .unwrap_or_else(|| panic!("no {event_type} of {customer_id}"))
        .clone()
}

fn order_id(event: &Event) -> String {
    event.decode::<serde_json::Value>().unwrap()["order_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn order_svc_settles_its_orders_by_the_recorded_customers_feed() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let orders = place_orders(&folder).await;
        let mut document = recorded("customers", format);
        let told = events(format, &document);
        // The recording speaks of the orders of its own run.
        for (event_type, customer, ours) in [
            ("SpeedReserved", "c-completed", &orders.completed),
            ("SpeedRejected", "c-rejected", &orders.rejected),
            ("SpeedReserved", "c-cancelled", &orders.cancelled),
            ("SpeedReserved", "c-expired", &orders.expired),
        ] {
            document = document.replace(&order_id(&find(&told, event_type, customer)), ours);
        }
        let customers = serve(format, document).await;
        let feed = format!("{}/feeds/customers", customers.uri());
        let order = order_svc(&folder, Some(&feed), NEVER).await;
        let url = |id: &str| format!("{}/orders/{id}", order.url);
        let completed = wait_for(&url(&orders.completed), "status", "COMPLETED").await;
        assert_eq!(completed["customer"]["geo"], "springfield");
        assert_eq!(completed["customer"]["current_mbps"], 500);
        let rejected = wait_for(&url(&orders.rejected), "status", "REJECTED").await;
        assert_eq!(
            (&rejected["reason"], &rejected["customer"]["geo"]),
            (&"not-an-upgrade".into(), &"shelbyville".into())
        );
        wait_for(&url(&orders.cancelled), "status", "CANCELLED").await;
        wait_for(&url(&orders.expired), "status", "EXPIRED").await;
        order.stop().await;
    }
}

#[tokio::test]
async fn customer_svc_answers_the_recorded_orders_feed() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let customer = customer_svc(&folder, None).await;
        state_facts(&customer).await;
        customer.stop().await;
        let document = recorded("orders", format);
        let told = events(format, &document);
        let orders = serve(format, document).await;
        let customer = customer_svc(&folder, Some(&format!("{}/feeds/orders", orders.uri()))).await;
        for (who, status) in [
            ("c-completed", "ACTIVATED"),
            ("c-rejected", "REJECTED"),
            ("c-cancelled", "RELEASED"),
            ("c-expired", "RELEASED"),
        ] {
            let id = order_id(&find(&told, "OrderCreated", who));
            wait_for(
                &format!("{}/reservations/{id}", customer.url),
                "status",
                status,
            )
            .await;
        }
        let books = get(format!("{}/geos/springfield", customer.url))
            .await
            .unwrap();
        let books: serde_json::Value = books.json().await.unwrap();
        assert_eq!(
            (&books["in_use_mbps"], &books["reserved_mbps"]),
            (&700.into(), &0.into()),
            "{books}"
        );
        customer.stop().await;
    }
}
