use feed_core::testing::Given;
use feed_core::{Aggregate, domain_event};
use serde_json::json;

use super::reservation::Reason;
use super::*;

fn order_id() -> OrderId {
    OrderId::try_from("7f3a".to_owned()).unwrap()
}

fn customer_id() -> CustomerId {
    CustomerId::try_from("c-1001".to_owned()).unwrap()
}

fn geo(slug: &str) -> GeoSlug {
    GeoSlug::try_from(slug.to_owned()).unwrap()
}

fn name(name: &str) -> Name {
    Name::try_from(name.to_owned()).unwrap()
}

/// An order for 500 of a customer in Berlin who has 100, where 400 are free.
fn request() -> Request {
    Request {
        order_id: order_id(),
        customer_id: customer_id(),
        requested_mbps: 500,
        line: Some(line()),
        offer: Some(Offer {
            max_mbps: 1000,
            free_mbps: 400,
        }),
        reservation_open: false,
    }
}

fn line() -> Line {
    Line {
        geo: geo("berlin"),
        current_mbps: 100,
    }
}

fn reserved() -> ReservationEvent {
    ReservationEvent::Reserved {
        order_id: order_id(),
        customer_id: customer_id(),
        geo: geo("berlin"),
        requested_mbps: 500,
        current_mbps: 100,
        difference_mbps: 400,
        free_before_mbps: 400,
    }
}

fn rejected(reason: Reason) -> ReservationEvent {
    ReservationEvent::Rejected {
        reason,
        decision: Decision {
            order_id: order_id(),
            customer_id: customer_id(),
            geo: Some(geo("berlin")),
            requested_mbps: 500,
            current_mbps: Some(100),
            difference_mbps: Some(400),
            free_before_mbps: Some(400),
        },
    }
}

fn activated() -> ReservationEvent {
    ReservationEvent::Activated {
        order_id: order_id(),
        customer_id: customer_id(),
        geo: geo("berlin"),
        current_mbps: 500,
        previous_mbps: 100,
        reserved_geo: geo("berlin"),
        difference_mbps: 400,
    }
}

fn released() -> ReservationEvent {
    ReservationEvent::Released {
        order_id: order_id(),
        customer_id: customer_id(),
        geo: geo("berlin"),
        difference_mbps: 400,
    }
}

/// What an order is rejected for, or none if it gets its speed.
fn reason(request: Request) -> Option<Reason> {
    let events = Reservation::default()
        .decide(&ReservationCommand::Answer(request))
        .unwrap();
    match &events[..] {
        [ReservationEvent::Reserved { .. }] => None,
        [ReservationEvent::Rejected { reason, .. }] => Some(*reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_that_fits_gets_the_difference() {
    Given::<Reservation>::nothing()
        .when(&ReservationCommand::Answer(request()))
        .then(&[reserved()]);
}

#[test]
fn each_rule_rejects_for_its_reason() {
    let free = |free_mbps| {
        Some(Offer {
            max_mbps: 1000,
            free_mbps,
        })
    };
    let unknown_customer = Request {
        line: None,
        offer: None,
        ..request()
    };
    assert_eq!(reason(unknown_customer), Some(Reason::UnknownCustomer));
    let not_served = Request {
        offer: None,
        ..request()
    };
    assert_eq!(reason(not_served), Some(Reason::GeoNotServed));
    for requested_mbps in [100, 99, 1] {
        let no_upgrade = Request {
            requested_mbps,
            ..request()
        };
        assert_eq!(reason(no_upgrade), Some(Reason::NotAnUpgrade));
    }
    let open = Request {
        reservation_open: true,
        ..request()
    };
    assert_eq!(reason(open), Some(Reason::ReservationOpen));
    let too_fast = Request {
        requested_mbps: 1001,
        offer: free(100_000),
        ..request()
    };
    assert_eq!(reason(too_fast), Some(Reason::SpeedNotAvailable));
    let fastest = Request {
        requested_mbps: 1000,
        offer: free(100_000),
        ..request()
    };
    assert_eq!(reason(fastest), None);
    for free_mbps in [399, 0, -1, i64::MIN] {
        let exhausted = Request {
            offer: free(free_mbps),
            ..request()
        };
        assert_eq!(reason(exhausted), Some(Reason::CapacityExhausted));
    }
}

/// The rules are taken away one by one: each time the next one is what counts.
#[test]
fn rules_are_checked_in_order() {
    let mut request = Request {
        requested_mbps: 50,
        line: None,
        offer: None,
        reservation_open: true,
        ..request()
    };
    assert_eq!(reason(request.clone()), Some(Reason::UnknownCustomer));
    request.line = Some(line());
    assert_eq!(reason(request.clone()), Some(Reason::GeoNotServed));
    request.offer = Some(Offer {
        max_mbps: 10,
        free_mbps: 0,
    });
    assert_eq!(reason(request.clone()), Some(Reason::NotAnUpgrade));
    request.requested_mbps = 500;
    assert_eq!(reason(request.clone()), Some(Reason::ReservationOpen));
    request.reservation_open = false;
    assert_eq!(reason(request.clone()), Some(Reason::SpeedNotAvailable));
    request.offer = Some(Offer {
        max_mbps: 500,
        free_mbps: 0,
    });
    assert_eq!(reason(request.clone()), Some(Reason::CapacityExhausted));
    request.offer = Some(Offer {
        max_mbps: 500,
        free_mbps: 400,
    });
    assert_eq!(reason(request), None);
}

#[test]
fn an_order_is_answered_once() {
    for past in [
        vec![reserved()],
        vec![rejected(Reason::CapacityExhausted)],
        vec![reserved(), activated()],
        vec![reserved(), released()],
    ] {
        Given::<Reservation>::events(&past)
            .when(&ReservationCommand::Answer(request()))
            .then_nothing();
    }
}

#[test]
fn an_open_reservation_is_activated_or_released() {
    Given::<Reservation>::events(&[reserved()])
        .when(&ReservationCommand::Activate(line()))
        .then(&[activated()]);
    Given::<Reservation>::events(&[reserved()])
        .when(&ReservationCommand::Release)
        .then(&[released()]);
}

#[test]
fn activation_takes_the_line_as_it_is_now() {
    let moved = Line {
        geo: geo("paris"),
        current_mbps: 250,
    };
    Given::<Reservation>::events(&[reserved()])
        .when(&ReservationCommand::Activate(moved))
        .then(&[ReservationEvent::Activated {
            order_id: order_id(),
            customer_id: customer_id(),
            geo: geo("paris"),
            current_mbps: 500,
            previous_mbps: 250,
            reserved_geo: geo("berlin"),
            difference_mbps: 400,
        }]);
}

#[test]
fn what_is_not_open_is_neither_activated_nor_released() {
    for past in [
        vec![rejected(Reason::CapacityExhausted)],
        vec![reserved(), activated()],
        vec![reserved(), released()],
    ] {
        for command in [
            ReservationCommand::Activate(line()),
            ReservationCommand::Release,
        ] {
            Given::<Reservation>::events(&past)
                .when(&command)
                .then_nothing();
        }
    }
    for command in [
        ReservationCommand::Activate(line()),
        ReservationCommand::Release,
    ] {
        Given::<Reservation>::nothing()
            .when(&command)
            .then_refused(&ReservationError);
    }
}

#[test]
fn a_rejection_says_what_is_known_and_no_more() {
    let unknown_customer = Request {
        line: None,
        offer: None,
        ..request()
    };
    let events = Reservation::default()
        .decide(&ReservationCommand::Answer(unknown_customer))
        .unwrap();
    assert_eq!(
        serde_json::to_value(&events[0]).unwrap(),
        json!({ "SpeedRejected": {
            "reason": "unknown-customer", "order_id": "7f3a", "customer_id": "c-1001", "geo": null,
            "requested_mbps": 500, "current_mbps": null, "difference_mbps": null, "free_before_mbps": null
        }})
    );
    let downgrade = Request {
        requested_mbps: 16,
        ..request()
    };
    let events = Reservation::default()
        .decide(&ReservationCommand::Answer(downgrade))
        .unwrap();
    let data = &serde_json::to_value(&events[0]).unwrap()["SpeedRejected"];
    assert_eq!(data["difference_mbps"], -84);
    assert_eq!(data["free_before_mbps"], 400);
}

#[test]
fn events_come_back_as_they_were_written() {
    let reasons = [
        Reason::UnknownCustomer,
        Reason::GeoNotServed,
        Reason::NotAnUpgrade,
        Reason::ReservationOpen,
        Reason::SpeedNotAvailable,
        Reason::CapacityExhausted,
    ];
    let events = reasons
        .map(rejected)
        .into_iter()
        .chain([reserved(), activated(), released()]);
    for event in events {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            serde_json::from_str::<ReservationEvent>(&text).unwrap(),
            event
        );
        domain_event(&event).unwrap();
    }
    for reason in reasons {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

fn customer(customer_name: &str, slug: &str, current_mbps: i64) -> Customer {
    Customer {
        customer_id: customer_id(),
        name: name(customer_name),
        geo: geo(slug),
        current_mbps: CurrentMbps::try_from(current_mbps).unwrap(),
    }
}

#[test]
fn stating_a_customer_tells_what_is_new() {
    let ada = customer("Ada", "berlin", 100);
    let event_type = |before: Option<&Customer>, stated: &Customer| {
        stated
            .stated(before)
            .map(|event| domain_event(&event).unwrap())
    };
    let is = |event: CustomerEvent| Some(domain_event(&event).unwrap());
    assert_eq!(
        event_type(None, &ada),
        is(CustomerEvent::Registered {
            customer_id: customer_id(),
            name: name("Ada"),
            geo: geo("berlin"),
            current_mbps: ada.current_mbps,
        })
    );
    assert_eq!(event_type(Some(&ada), &ada), None);
    let renamed = customer("Ada L.", "berlin", 100);
    assert_eq!(
        event_type(Some(&ada), &renamed),
        is(CustomerEvent::Changed {
            customer_id: customer_id(),
            name: name("Ada L."),
            geo: geo("berlin"),
            current_mbps: ada.current_mbps,
        })
    );
    let moved = customer("Ada L.", "paris", 250);
    assert_eq!(
        event_type(Some(&renamed), &moved),
        is(CustomerEvent::Moved {
            customer_id: customer_id(),
            name: name("Ada L."),
            geo: geo("paris"),
            from_geo: geo("berlin"),
            current_mbps: moved.current_mbps,
        })
    );
}

#[test]
fn stating_a_geo_tells_when_something_is_new() {
    let berlin = |max_mbps| Geo {
        geo: geo("berlin"),
        name: name("Berlin"),
        max_mbps: MaxMbps::try_from(max_mbps).unwrap(),
        capacity_mbps: CapacityMbps::try_from(50_000).unwrap(),
    };
    assert!(berlin(1000).stated(None).is_some());
    assert!(berlin(1000).stated(Some(&berlin(500))).is_some());
    assert_eq!(berlin(1000).stated(Some(&berlin(1000))), None);
}
