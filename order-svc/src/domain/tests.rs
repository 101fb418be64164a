use chrono::TimeDelta;
use feed_core::domain_event;
use feed_core::testing::Given;

use super::*;

fn order_id() -> OrderId {
    OrderId::try_from("7f3a".to_owned()).unwrap()
}

fn customer_id() -> CustomerId {
    CustomerId::try_from("c-1001".to_owned()).unwrap()
}

fn mbps() -> RequestedMbps {
    RequestedMbps::try_from(500).unwrap()
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

fn create() -> OrderCommand {
    OrderCommand::Create {
        order_id: order_id(),
        customer_id: customer_id(),
        requested_mbps: mbps(),
        created_at: at(100),
    }
}

fn created() -> OrderEvent {
    OrderEvent::Created {
        order_id: order_id(),
        customer_id: customer_id(),
        requested_mbps: mbps(),
        created_at: at(100),
    }
}

fn confirmed() -> OrderEvent {
    OrderEvent::Confirmed {
        order_id: order_id(),
        customer_id: customer_id(),
        geo: "berlin".into(),
        requested_mbps: mbps(),
    }
}

fn rejected() -> OrderEvent {
    OrderEvent::Rejected {
        order_id: order_id(),
        customer_id: customer_id(),
        geo: Some("berlin".into()),
        requested_mbps: mbps(),
        reason: "capacity-exhausted".into(),
    }
}

fn cancelled() -> OrderEvent {
    OrderEvent::Cancelled {
        order_id: order_id(),
        customer_id: customer_id(),
        requested_mbps: mbps(),
    }
}

fn expired() -> OrderEvent {
    OrderEvent::Expired {
        order_id: order_id(),
        customer_id: customer_id(),
        requested_mbps: mbps(),
    }
}

fn completed() -> OrderEvent {
    OrderEvent::Completed {
        order_id: order_id(),
        customer_id: customer_id(),
        geo: "berlin".into(),
        requested_mbps: mbps(),
    }
}

fn confirm() -> OrderCommand {
    OrderCommand::Confirm {
        geo: "berlin".into(),
    }
}

fn reject() -> OrderCommand {
    OrderCommand::Reject {
        geo: Some("berlin".into()),
        reason: "capacity-exhausted".into(),
    }
}

fn complete() -> OrderCommand {
    OrderCommand::Complete {
        geo: "berlin".into(),
    }
}

/// The past that leads to each status.
fn pasts() -> [(Status, Vec<OrderEvent>); 6] {
    [
        (Status::Update, vec![created()]),
        (Status::Confirmed, vec![created(), confirmed()]),
        (Status::Rejected, vec![created(), rejected()]),
        (Status::Cancelled, vec![created(), cancelled()]),
        (Status::Expired, vec![created(), expired()]),
        (Status::Completed, vec![created(), confirmed(), completed()]),
    ]
}

fn order(past: &[OrderEvent]) -> Order {
    let mut order = Order::default();
    past.iter().for_each(|event| order.evolve(event));
    order
}

#[test]
fn an_order_is_placed_once() {
    Given::<Order>::nothing().when(&create()).then(&[created()]);
    for (_, past) in pasts() {
        Given::<Order>::events(&past)
            .when(&create())
            .then_refused(&OrderError::Exists(order_id()));
    }
}

#[test]
fn nothing_can_be_asked_of_an_order_that_was_not_placed() {
    for command in [
        confirm(),
        reject(),
        complete(),
        OrderCommand::Cancel,
        OrderCommand::Expire,
    ] {
        Given::<Order>::nothing()
            .when(&command)
            .then_refused(&OrderError::Unknown);
    }
}

#[test]
fn each_past_leads_to_its_status() {
    for (status, past) in pasts() {
        let order = order(&past);
        let placed = order.placed().unwrap();
        assert_eq!(placed.status, status);
        let reason = (status == Status::Rejected).then_some("capacity-exhausted");
        assert_eq!(placed.reason.as_deref(), reason);
        assert_eq!(Status::parse(status.as_str()), Some(status));
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            serde_json::json!(status.as_str())
        );
    }
}

#[test]
fn an_answer_settles_an_order_that_waits_for_it_and_no_other() {
    for (status, past) in pasts() {
        let confirm = Given::<Order>::events(&past).when(&confirm());
        let reject = Given::<Order>::events(&past).when(&reject());
        if status == Status::Update {
            confirm.then(&[confirmed()]);
            reject.then(&[rejected()]);
        } else {
            confirm.then_nothing();
            reject.then_nothing();
        }
    }
}

#[test]
fn activation_completes_a_confirmed_order_and_no_other() {
    for (status, past) in pasts() {
        let complete = Given::<Order>::events(&past).when(&complete());
        if status == Status::Confirmed {
            complete.then(&[completed()]);
        } else {
            complete.then_nothing();
        }
    }
}

#[test]
fn only_an_order_in_update_can_be_cancelled_or_expire() {
    for (status, past) in pasts() {
        let cancel = Given::<Order>::events(&past).when(&OrderCommand::Cancel);
        let expire = Given::<Order>::events(&past).when(&OrderCommand::Expire);
        if status == Status::Update {
            cancel.then(&[cancelled()]);
            expire.then(&[expired()]);
        } else {
            let settled = OrderError::Settled {
                order_id: order_id(),
                status,
            };
            assert!(settled.to_string().contains(status.as_str()));
            cancel.then_refused(&settled);
            expire.then_refused(&settled);
        }
    }
}

#[test]
fn events_are_written_as_the_feed_promises() {
    let data = |event: &OrderEvent| {
        let text = serde_json::to_value(event).unwrap();
        let new = domain_event(event).unwrap();
        assert_eq!(
            domain_event(&serde_json::from_value::<OrderEvent>(text.clone()).unwrap()).unwrap(),
            new
        );
        text
    };
    assert_eq!(
        data(&created()),
        serde_json::json!({"OrderCreated": {
            "order_id": "7f3a", "customer_id": "c-1001", "requested_mbps": 500,
            "created_at": "1970-01-01T00:01:40Z"
        }})
    );
    assert_eq!(
        data(&rejected()),
        serde_json::json!({"OrderRejected": {
            "order_id": "7f3a", "customer_id": "c-1001", "geo": "berlin", "requested_mbps": 500,
            "reason": "capacity-exhausted"
        }})
    );
    for event in [confirmed(), cancelled(), expired(), completed()] {
        data(&event);
    }
}
