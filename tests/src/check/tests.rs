use chrono::DateTime;

use super::serving::KnownCustomer;
use super::*;
use crate::driver::Cancel;
use crate::facts::{Entry, OrderFact, ReservationFact};
use crate::sample::{SampleCustomer, SampleGeo};

/// One geo with 1000 Mbps, of which two customers use 100 each.
fn sample() -> Sample {
    let customer = |id: &str, geo: &str| SampleCustomer {
        customer_id: id.into(),
        geo: geo.into(),
        current_mbps: 100,
    };
    Sample {
        geos: vec![SampleGeo {
            geo: "berlin".into(),
            max_mbps: 1_000,
            capacity_mbps: 1_000,
        }],
        customers: vec![
            customer("a", "berlin"),
            customer("b", "berlin"),
            customer("c", "atlantis"),
        ],
        orders: vec![],
    }
}

fn log<F>(facts: Vec<(&str, F)>) -> Vec<Entry<F>> {
    facts
        .into_iter()
        .zip(1..)
        .map(|((order_id, fact), position)| Entry {
            position,
            order_id: order_id.to_owned(),
            time: DateTime::UNIX_EPOCH,
            fact,
        })
        .collect()
}

fn created(customer_id: &str, requested_mbps: i64) -> OrderFact {
    OrderFact::Created {
        customer_id: customer_id.into(),
        requested_mbps,
    }
}

fn rejected(reason: &str) -> OrderFact {
    OrderFact::Rejected {
        reason: reason.into(),
    }
}

fn refused(reason: &str) -> ReservationFact {
    ReservationFact::Rejected {
        reason: reason.into(),
    }
}

fn reserved(difference_mbps: i64, free_before_mbps: i64) -> ReservationFact {
    ReservationFact::Reserved {
        geo: "berlin".into(),
        current_mbps: 100,
        difference_mbps,
        free_before_mbps,
    }
}

/// a gets 500; b wants 1000, which does not fit any more; b cancels 200; strangers and others are refused.
fn orders_feed() -> Vec<Entry<OrderFact>> {
    log(vec![
        ("1", created("a", 500)),
        ("2", created("a", 600)),
        ("1", OrderFact::Confirmed),
        ("3", created("b", 1_000)),
        ("2", rejected("reservation-open")),
        ("4", created("b", 200)),
        ("1", OrderFact::Completed),
        ("4", OrderFact::Cancelled),
        ("3", rejected("capacity-exhausted")),
        ("5", created("stranger", 100)),
        ("6", created("c", 200)),
        ("7", created("a", 500)),
        ("8", created("a", 1_001)),
        ("5", rejected("unknown-customer")),
        ("6", rejected("geo-not-served")),
        ("7", rejected("not-an-upgrade")),
        ("8", rejected("speed-not-available")),
    ])
}

fn customers_feed() -> Vec<Entry<ReservationFact>> {
    log(vec![
        ("1", reserved(400, 800)),
        ("2", refused("reservation-open")),
        ("1", ReservationFact::Activated { current_mbps: 500 }),
        ("3", refused("capacity-exhausted")),
        ("4", reserved(100, 400)),
        (
            "4",
            ReservationFact::Released {
                difference_mbps: 100,
            },
        ),
        ("5", refused("unknown-customer")),
        ("6", refused("geo-not-served")),
        ("7", refused("not-an-upgrade")),
        ("8", refused("speed-not-available")),
    ])
}

fn served(
    id: &str,
    status: &str,
    reason: Option<&str>,
    customer: Option<(&str, i64)>,
) -> ServedOrder {
    ServedOrder {
        id: id.into(),
        status: status.into(),
        reason: reason.map(str::to_owned),
        customer: customer.map(|(geo, current_mbps)| KnownCustomer {
            geo: geo.into(),
            current_mbps,
        }),
    }
}

fn line(customer_id: &str, geo: &str, current_mbps: i64) -> ServedCustomer {
    ServedCustomer {
        customer_id: customer_id.into(),
        geo: geo.into(),
        current_mbps,
    }
}

fn observed() -> Observed {
    let a = Some(("berlin", 500));
    let b = Some(("berlin", 100));
    let c = Some(("atlantis", 100));
    Observed {
        order_facts: orders_feed(),
        reservation_facts: customers_feed(),
        orders: vec![
            served("1", "COMPLETED", None, a),
            served("2", "REJECTED", Some("reservation-open"), a),
            served("3", "REJECTED", Some("capacity-exhausted"), b),
            served("4", "CANCELLED", None, b),
            served("5", "REJECTED", Some("unknown-customer"), None),
            served("6", "REJECTED", Some("geo-not-served"), c),
            served("7", "REJECTED", Some("not-an-upgrade"), a),
            served("8", "REJECTED", Some("speed-not-available"), a),
        ],
        books: vec![ServedBook {
            geo: "berlin".into(),
            in_use_mbps: 600,
            reserved_mbps: 0,
            free_mbps: 400,
        }],
        customers: vec![
            line("a", "berlin", 500),
            line("b", "berlin", 100),
            line("c", "atlantis", 100),
        ],
    }
}

fn placed() -> Vec<PlacedOrder> {
    let order = |id: &str, customer_id: &str, requested_mbps, cancel| PlacedOrder {
        order_id: id.into(),
        customer_id: customer_id.into(),
        requested_mbps,
        cancel,
    };
    vec![
        order("1", "a", 500, Cancel::NotAsked),
        order("2", "a", 600, Cancel::Refused),
        order("3", "b", 1_000, Cancel::NotAsked),
        order("4", "b", 200, Cancel::Accepted),
        order("5", "stranger", 100, Cancel::NotAsked),
        order("6", "c", 200, Cancel::NotAsked),
        order("7", "a", 500, Cancel::NotAsked),
        order("8", "a", 1_001, Cancel::NotAsked),
    ]
}

fn verdict(plant: impl FnOnce(&mut Vec<PlacedOrder>, &mut Observed)) -> Verdict {
    let (mut placed, mut observed) = (placed(), observed());
    plant(&mut placed, &mut observed);
    compare(&sample(), &placed, &observed)
}

/// Something differs, and what is said about it contains `text`.
#[track_caller]
fn differs(about: &About, text: &str, plant: impl FnOnce(&mut Vec<PlacedOrder>, &mut Observed)) {
    let verdict = verdict(plant);
    assert!(!verdict.is_good());
    let found = verdict
        .differences
        .iter()
        .any(|difference| difference.about == *about && difference.what.contains(text));
    assert!(found, "{about}, {text:?}: {:#?}", verdict.differences);
}

fn order(id: &str) -> About {
    About::Order(id.into())
}

fn berlin() -> About {
    About::Geo("berlin".into())
}

#[test]
fn what_agrees_is_as_calculated() {
    let verdict = verdict(|_, _| {});
    assert_eq!(verdict.differences, vec![]);
    assert_eq!(verdict.to_string(), "8 of 8 as calculated");
}

#[test]
fn an_oversold_geo_is_found() {
    // The services sell b the 900 that are not there, and agree with each other about it.
    let oversold = |_: &mut Vec<PlacedOrder>, observed: &mut Observed| {
        observed.reservation_facts[3].fact = reserved(900, 400);
        observed.reservation_facts.extend(log(vec![(
            "3",
            ReservationFact::Activated {
                current_mbps: 1_000,
            },
        )]));
        observed.order_facts[8].fact = OrderFact::Confirmed;
        observed
            .order_facts
            .extend(log(vec![("3", OrderFact::Completed)]));
        observed.orders[2] = served("3", "COMPLETED", None, Some(("berlin", 1_000)));
        observed.orders[3] = served("4", "CANCELLED", None, Some(("berlin", 1_000)));
        observed.customers[1].current_mbps = 1_000;
        observed.books[0].in_use_mbps = 1_500;
        observed.books[0].free_mbps = -500;
    };
    differs(&order("3"), "without speed reserved", oversold);
    differs(&order("3"), "REJECTED (capacity-exhausted)", oversold);
    differs(&berlin(), "600 Mbps in use", oversold);
    differs(&About::Customer("b".into()), "current_mbps: 100", oversold);
}

#[test]
fn books_that_do_not_balance_are_found() {
    differs(&berlin(), "100 reserved", |_, observed| {
        observed.books[0].reserved_mbps = 100;
        observed.books[0].free_mbps = 300;
    });
    differs(&berlin(), "399 free", |_, observed| {
        observed.books[0].free_mbps = 399;
    });
    differs(&berlin(), "does not list", |_, observed| {
        observed.books.clear();
    });
    differs(&order("4"), "customers feed", |_, observed| {
        observed.reservation_facts.remove(5);
    });
    differs(&order("4"), "customers feed", |_, observed| {
        let twice = observed.reservation_facts[5].clone();
        observed.reservation_facts.push(twice);
    });
    differs(&order("1"), "customers feed", |_, observed| {
        observed.reservation_facts[0].fact = reserved(400, 801);
    });
}

#[test]
fn a_wrong_reason_is_found() {
    differs(&order("3"), "order-svc says", |_, observed| {
        observed.orders[2].reason = Some("speed-not-available".into());
    });
    differs(&order("3"), "orders feed says", |_, observed| {
        observed.order_facts[8].fact = rejected("speed-not-available");
    });
    differs(&order("3"), "customers feed says", |_, observed| {
        observed.reservation_facts[3].fact = refused("speed-not-available");
    });
    differs(&order("5"), "order-svc says", |_, observed| {
        observed.orders[4].reason = None;
    });
}

#[test]
fn a_cancelled_order_without_an_accepted_cancel_is_found() {
    differs(&order("4"), "not accepted", |placed, _| {
        placed[3].cancel = Cancel::Refused;
    });
    differs(&order("4"), "not accepted", |placed, _| {
        placed[3].cancel = Cancel::NotAsked;
    });
    differs(&order("1"), "the feed has none", |placed, _| {
        placed[0].cancel = Cancel::Accepted;
    });
}

#[test]
fn a_missing_order_is_found() {
    differs(&order("9"), "not in the orders feed", |placed, _| {
        let lost = PlacedOrder {
            order_id: "9".into(),
            ..placed[0].clone()
        };
        placed.push(lost);
    });
    differs(&order("8"), "does not list it", |_, observed| {
        observed.orders.pop();
    });
    differs(&order("8"), "nobody placed it", |placed, _| {
        placed.pop();
    });
    differs(&order("8"), "lists it twice", |_, observed| {
        let twice = observed.orders[7].clone();
        observed.orders.push(twice);
    });
    differs(&order("8"), "created a second time", |_, observed| {
        let twice = observed.order_facts[12].clone();
        observed.order_facts.push(twice);
    });
}

#[test]
fn an_order_confirmed_without_a_reservation_is_found() {
    differs(&order("7"), "without speed reserved", |_, observed| {
        observed.order_facts[15].fact = OrderFact::Confirmed;
    });
    differs(&order("4"), "without speed reserved", |_, observed| {
        let late = log(vec![("4", OrderFact::Confirmed)]);
        observed.order_facts.extend(late);
    });
    differs(&order("none"), "never created", |_, observed| {
        let stray = log(vec![("none", OrderFact::Confirmed)]);
        observed.order_facts.extend(stray);
    });
}

#[test]
fn an_order_that_is_not_settled_is_found() {
    differs(&order("1"), "orders feed says", |_, observed| {
        observed.order_facts.remove(6);
    });
    differs(&order("1"), "order-svc says CONFIRMED", |_, observed| {
        observed.orders[0].status = "CONFIRMED".into();
    });
}

#[test]
fn a_stale_read_model_is_found() {
    differs(&order("1"), "order-svc knows it as", |_, observed| {
        observed.orders[0] = served("1", "COMPLETED", None, Some(("berlin", 100)));
    });
}

#[test]
fn an_order_that_expired_releases_its_speed() {
    let (mut placed, mut observed) = (placed(), observed());
    placed[3].cancel = Cancel::NotAsked;
    observed.order_facts[7].fact = OrderFact::Expired;
    observed.orders[3].status = "EXPIRED".into();
    assert_eq!(compare(&sample(), &placed, &observed).differences, vec![]);
}
