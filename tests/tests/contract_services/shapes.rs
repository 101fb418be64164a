//! What the services publish today has the shape of what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use feed_core::{Event, Format, atom, json};
use serde_json::Value;

use crate::scenario;

/// The recording of a feed.
pub(crate) fn recorded(feed: &str, format: Format) -> String {
    std::fs::read_to_string(file(feed, format)).unwrap()
}

fn file(feed: &str, format: Format) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract_services/recorded");
    folder.join(format!("{feed}.{}", format.extension()))
}

pub(crate) fn events(format: Format, document: &str) -> Vec<Event> {
    match format {
        Format::Json => json::read_batch(document.as_bytes()).unwrap(),
        Format::Atom => atom::read_feed(document.as_bytes()).unwrap().events,
    }
}

/// For each type of event and each field of its data, the kinds of values that were seen.
type Shapes = BTreeMap<String, BTreeMap<String, BTreeSet<&'static str>>>;

fn shapes(events: &[Event]) -> Shapes {
    let mut shapes = Shapes::new();
    for event in events {
        let fields = shapes.entry(event.event_type.to_string()).or_default();
        let data: BTreeMap<String, Value> = event.decode().unwrap();
        for (name, value) in data {
            fields.entry(name).or_default().insert(kind(&value));
        }
    }
    shapes
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[tokio::test]
async fn what_the_services_publish_has_the_shape_of_what_was_recorded() {
    let published = scenario::run().await;
    for (feed, documents) in [
        ("orders", &published.orders_feed),
        ("customers", &published.customers_feed),
    ] {
        for (format, document) in documents {
            if std::env::var_os("FEEDWAY_RECORD").is_some() {
                std::fs::write(file(feed, *format), document).unwrap();
            }
            let (now, then) = (
                events(*format, document),
                events(*format, &recorded(feed, *format)),
            );
            assert_eq!(
                shapes(&now),
                shapes(&then),
                "{feed}: a change of what is published; record again if it is wanted"
            );
        }
        let [(json, json_text), (atom, atom_text)] = documents;
        assert_eq!(
            events(*json, json_text),
            events(*atom, atom_text),
            "{feed}: both representations say the same"
        );
    }
    let types = |documents: &[(Format, String); 2]| {
        shapes(&events(documents[0].0, &documents[0].1))
            .into_keys()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        types(&published.orders_feed),
        [
            "OrderCancelled",
            "OrderCompleted",
            "OrderConfirmed",
            "OrderCreated",
            "OrderExpired",
            "OrderRejected"
        ]
    );
    assert_eq!(
        types(&published.customers_feed),
        [
            "CustomerChanged",
            "CustomerMoved",
            "CustomerRegistered",
            "GeoChanged",
            "SpeedActivated",
            "SpeedRejected",
            "SpeedReleased",
            "SpeedReserved"
        ]
    );
}
