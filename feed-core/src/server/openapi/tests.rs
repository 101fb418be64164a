use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use regex::Regex;
use serde_json::value::RawValue;

use super::*;
use crate::arbitrary;
use crate::position::After;

fn document() -> Value {
    let document = ApiDocument::new("lamp-svc", "1.0.0", "Switches lamps.");
    document.feeds(&["lamps"]).guarded(true).finish()
}

/// Calls `see` with each object in `value` that has a member `name`, and that member.
fn each<'a>(value: &'a Value, name: &str, see: &mut impl FnMut(&'a Value)) {
    match value {
        Value::Object(members) => {
            if let Some(found) = members.get(name) {
                see(found);
            }
            members.values().for_each(|member| each(member, name, see));
        }
        Value::Array(items) => items.iter().for_each(|item| each(item, name, see)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = 0;
    each(&document, "$ref", &mut |reference| {
        let reference = reference.as_str().unwrap();
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
        references += 1;
    });
    assert!(references > 50, "{references}");
}

#[test]
fn problems_are_written_out_by_their_status() {
    let document = document();
    let responses = &document["paths"]["/feeds/{feed}"]["get"]["responses"];
    let types = |status: &str| -> BTreeSet<&str> {
        let schema = &responses[status]["content"]["application/problem+json"]["schema"];
        let uris = schema["allOf"][1]["properties"]["type"]["enum"]
            .as_array()
            .unwrap();
        uris.iter().map(|uri| uri.as_str().unwrap()).collect()
    };
    let conflicts = ["cursor-beyond-head", "cursor-diverged", "epoch-unknown"];
    assert_eq!(
        types("409"),
        conflicts
            .map(|slug| problem_types::ALL
                .iter()
                .find(|kind| kind.slug == slug)
                .unwrap()
                .uri())
            .iter()
            .map(String::as_str)
            .collect()
    );
    assert!(types("401").contains("/problems/token-missing"));
    assert!(types("503").contains("/problems/too-many-waiters"));
    // For a page, another status.
    let archive = &document["paths"]["/feeds/{feed}/archive/{epoch}/{file}"]["get"]["responses"];
    assert!(
        archive["404"]
            .to_string()
            .contains("/problems/epoch-unknown")
    );
    assert!(archive["409"].is_null());
    // What only the document is made from does not stand in it.
    each(&document, refusals::PROBLEMS, &mut |left| panic!("{left}"));
}

#[test]
fn tokens_are_asked_for_where_the_service_asks_for_them() {
    let document = document();
    assert!(document["paths"]["/feeds"]["get"]["security"].is_array());
    for open in [
        "/livez",
        "/readyz",
        "/version",
        "/openapi.json",
        "/problems",
    ] {
        let get = &document["paths"][open]["get"];
        assert!(get.is_object() && get["security"].is_null(), "{open}");
        assert!(get["responses"]["401"].is_null(), "{open}");
    }
    let open = ApiDocument::new("lamp-svc", "1.0.0", "")
        .feeds(&["lamps"])
        .finish();
    assert!(open["components"]["securitySchemes"].is_null());
    assert!(open["paths"]["/feeds"]["get"]["responses"]["401"].is_null());
}

fn pattern(schema: &Value) -> Regex {
    Regex::new(schema["pattern"].as_str().unwrap()).unwrap()
}

/// The schema of the parameter `after`.
fn after() -> Value {
    let document = document();
    let parameters = &document["paths"]["/feeds/{feed}"]["get"]["parameters"];
    let mut all = parameters.as_array().unwrap().iter();
    all.find(|parameter| parameter["name"] == "after").unwrap()["schema"].clone()
}

proptest! {
    /// But for positions of 13 digits, of which only those below 2^40 are any.
    #[test]
    fn what_the_description_takes_for_a_place_the_feed_does(
        text in "start|now|[0-9]{1,12}|[0-9a-f]{15,17}\\.[0-9]{1,3}\\.[0-9a-f]{0,13}|[0-9a-fA-F]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[ -~]{0,20}",
    ) {
        prop_assert_eq!(pattern(&after()).is_match(&text), text.parse::<After>().is_ok(), "{}", text);
    }

    #[test]
    fn events_are_as_they_are_described(event in arbitrary::events()) {
        // Data may be numbers that no program can hold, so it stays a text.
        let written = crate::json::write_event(&event);
        let written: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&written).unwrap();
        let schema = parts::schemas()["CloudEvent"].clone();
        let described = schema["properties"].as_object().unwrap();
        for required in schema["required"].as_array().unwrap() {
            prop_assert!(written.contains_key(required.as_str().unwrap()), "{}", required);
        }
        for (name, value) in &written {
            let Some(member) = described.get(name) else {
                let extension: crate::event::ExtensionName = name.parse().unwrap();
                prop_assert!(event.extensions.contains_key(&extension), "{}", name);
                continue;
            };
            let Some(kind) = member["type"].as_str() else {
                continue;
            };
            let value: Value = serde_json::from_str(value.get()).unwrap();
            prop_assert_eq!(kind == "integer", value.is_number(), "{}: {}", name, value);
            if member["pattern"].is_string() {
                prop_assert!(pattern(member).is_match(value.as_str().unwrap()), "{}: {}", name, value);
            }
        }
    }
}
