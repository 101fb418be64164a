use feed_core::testing::TempStore;
use feed_core::{
    Consumer, Event, Expected, FeedConfig, Migrations, NewEvent, StepOutcome, Store, StoreError,
    Subject, server,
};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::domain::{CustomerId, RequestedMbps, Status};
use crate::storage::{FEED, MIGRATIONS, OrderWithCustomer, feed_config};

/// This service's store, and a feed of customers that it follows.
pub(crate) struct World {
    pub(crate) store: TempStore,
    pub(crate) customers: TempStore,
    pub(crate) consumer: Consumer,
    /// The URL of the customers feed.
    pub(crate) url: String,
    _stop: DropGuard,
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = TempStore::new(MIGRATIONS).await;
        store.create_feed(feed_config().unwrap()).await.unwrap();
        let customers = TempStore::new(Migrations::NONE).await;
        let feed = FeedConfig::new("customers", "customer-svc").unwrap();
        customers.create_feed(feed).await.unwrap();
        let router = server::router(&customers, ["customers"]).unwrap();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}/feeds/customers", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, router, stop.clone()));
        let consumer = Consumer::new(&store, SUBSCRIPTION, &url)
            .unwrap()
            .handlers(handlers());
        World {
            store,
            customers,
            consumer,
            url,
            _stop: stop.drop_guard(),
        }
    }

    /// The customers feed tells of this, and this service reads it.
    pub(crate) async fn told(&mut self, event_type: &'static str, data: serde_json::Value) {
        tell(&self.customers, event_type, data).await;
        self.read_all().await;
    }

    /// This service reads all that the customers feed has told.
    pub(crate) async fn read_all(&mut self) {
        while self.consumer.step().await.unwrap() != StepOutcome::CaughtUp {}
    }

    pub(crate) async fn place(&self, customer_id: &str) -> OrderId {
        let order_id = OrderId::now();
        let id = order_id.clone();
        let customer_id = CustomerId::try_from(customer_id.to_owned()).unwrap();
        let placed = self.store.write(async move |tx: &mut Tx<'_>| {
            let create = OrderCommand::Create {
                order_id: id.clone(),
                customer_id: customer_id.clone(),
                requested_mbps: RequestedMbps::try_from(500).unwrap(),
                created_at: tx.now(),
            };
            storage::carry_out(tx, &id, &create).await
        });
        placed.await.unwrap();
        order_id
    }

    async fn cancel(&self, order_id: &OrderId) {
        let id = order_id.clone();
        let cancelled = self.store.write(async move |tx: &mut Tx<'_>| {
            storage::carry_out(tx, &id, &OrderCommand::Cancel).await
        });
        cancelled.await.unwrap();
    }

    pub(crate) async fn order(&self, order_id: &OrderId) -> OrderWithCustomer {
        let id = order_id.clone();
        let order: Result<_, StoreError> = self
            .store
            .read(async move |tx: &mut Tx<'_>| storage::order(tx, &id).await)
            .await;
        order.unwrap().unwrap()
    }

    async fn events(&self, order_id: &OrderId) -> Vec<Event> {
        let subject = order_id.subject().unwrap();
        let events: Result<_, StoreError> = self
            .store
            .read(async move |tx: &mut Tx<'_>| tx.events_of(&subject).await)
            .await;
        events.unwrap()
    }
}

/// The customers feed tells of this.
pub(crate) async fn tell(customers: &Store, event_type: &'static str, data: serde_json::Value) {
    let event = NewEvent::json(event_type, &data).unwrap();
    let subject = Subject::new("anything").unwrap();
    let written = customers.write(async move |tx: &mut Tx<'_>| {
        let event = std::slice::from_ref(&event);
        tx.append("customers", &subject, Expected::Any, event).await
    });
    written.await.unwrap();
}

fn reserved(order_id: &OrderId) -> serde_json::Value {
    json!({ "order_id": order_id, "customer_id": "c-1", "geo": "berlin", "requested_mbps": 500,
            "current_mbps": 100, "difference_mbps": 400, "free_before_mbps": 1000 })
}

fn activated(order_id: &OrderId) -> serde_json::Value {
    json!({ "order_id": order_id, "customer_id": "c-1", "geo": "berlin", "current_mbps": 500,
            "previous_mbps": 100, "reserved_geo": "berlin", "difference_mbps": 400 })
}

fn rejected(order_id: &OrderId) -> serde_json::Value {
    json!({ "order_id": order_id, "customer_id": "c-1", "geo": null, "requested_mbps": 500,
            "current_mbps": null, "difference_mbps": null, "free_before_mbps": null,
            "reason": "unknown-customer" })
}

#[tokio::test]
async fn an_order_is_confirmed_and_completed_and_its_customer_known() {
    let mut world = World::new().await;
    let customer =
        json!({ "customer_id": "c-1", "name": "Ada", "geo": "berlin", "current_mbps": 100 });
    world.told("CustomerRegistered", customer).await;
    let order_id = world.place("c-1").await;
    let before = world.order(&order_id).await;
    assert_eq!(before.customer.unwrap().current_mbps, 100);

    world.told("SpeedReserved", reserved(&order_id)).await;
    assert_eq!(world.order(&order_id).await.order.status, Status::Confirmed);
    world.told("SpeedActivated", activated(&order_id)).await;
    let after = world.order(&order_id).await;
    assert_eq!(after.order.status, Status::Completed);
    assert_eq!(after.order.version, 3);
    assert_eq!(after.customer.unwrap().current_mbps, 500);

    let events = world.events(&order_id).await;
    let types: Vec<_> = events
        .iter()
        .map(|event| event.event_type.as_str())
        .collect();
    assert_eq!(types, ["OrderCreated", "OrderConfirmed", "OrderCompleted"]);
    assert!(events[1].causationid.is_some());
    assert_eq!(after.order.last_event_id, events[2].id);
}

#[tokio::test]
async fn an_order_is_rejected_with_its_reason() {
    let mut world = World::new().await;
    let order_id = world.place("c-1").await;
    world.told("SpeedRejected", rejected(&order_id)).await;
    let order = world.order(&order_id).await.order;
    assert_eq!(order.status, Status::Rejected);
    assert_eq!(order.reason.as_deref(), Some("unknown-customer"));
}

#[tokio::test]
async fn a_cancelled_order_stays_so_whatever_the_answer() {
    let mut world = World::new().await;
    for (answer, data) in [
        (
            "SpeedReserved",
            reserved as fn(&OrderId) -> serde_json::Value,
        ),
        ("SpeedRejected", rejected),
    ] {
        let order_id = world.place("c-1").await;
        world.cancel(&order_id).await;
        world.told(answer, data(&order_id)).await;
        assert_eq!(world.order(&order_id).await.order.status, Status::Cancelled);
        assert_eq!(world.events(&order_id).await.len(), 2);
    }
}

#[tokio::test]
async fn the_read_model_follows_the_customer() {
    let mut world = World::new().await;
    let order_id = world.place("c-1").await;
    assert_eq!(world.order(&order_id).await.customer, None);
    for (event_type, name, geo, current_mbps) in [
        ("CustomerRegistered", "Ada", "berlin", 100),
        ("CustomerChanged", "Ada L.", "berlin", 200),
        ("CustomerMoved", "Ada L.", "paris", 200),
    ] {
        let data = json!({ "customer_id": "c-1", "name": name, "geo": geo, "from_geo": "x",
                           "current_mbps": current_mbps });
        world.told(event_type, data).await;
        let customer = CustomerRow {
            name: name.into(),
            geo: geo.into(),
            current_mbps,
        };
        assert_eq!(world.order(&order_id).await.customer, Some(customer));
    }
}

#[tokio::test]
async fn orders_of_others_and_unknown_events_are_passed_over() {
    let mut world = World::new().await;
    world.told("SpeedReserved", reserved(&OrderId::now())).await;
    world.told("SpeedRejected", rejected(&OrderId::now())).await;
    world
        .told("SpeedActivated", activated(&OrderId::now()))
        .await;
    world.told("GeoChanged", json!({ "geo": "berlin" })).await;
    let log = world.store.log(FEED).unwrap();
    assert_eq!(log.stats().await.unwrap().events, 0);
}
