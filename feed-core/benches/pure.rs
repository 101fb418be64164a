//! The parts without I/O: reading and writing a page, and the running check. `cargo bench -p feed-core --bench pure`

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a program that measures what cannot fail"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use feed_core::client::{Seen, verify};
use feed_core::{
    Check, Data, Document, DocumentKind, Epoch, Event, EventId, EventType, FeedIdentity, FeedName,
    Links, PageCapacity, Position, Subject, Version, Visibility, atom, json,
};

const EVENTS: u64 = 100;

/// 512 bytes of data, as `scripts/bench` has them: a number and a long text.
fn plain(number: u64) -> Data {
    let filler = "x".repeat(482);
    Data::json(&serde_json::json!({ "number": number, "filler": filler })).unwrap()
}

/// About as many bytes, of many short members.
fn structured(number: u64) -> Data {
    let line = |line: u64| serde_json::json!({ "sku": format!("sku-{line:04}"), "quantity": line, "price": 12.5, "gift": false });
    let lines: Vec<_> = (0..7).map(|index| line(index + number % 90)).collect();
    Data::json(&serde_json::json!({ "order_id": number, "customer": "Zoe", "lines": lines }))
        .unwrap()
}

fn page(data: fn(u64) -> Data) -> Vec<Event> {
    let mut check = Check::START;
    let event = |number: u64| {
        let id = EventId::now();
        check = check.next(id);
        Event {
            id,
            source: "/bench/bench".into(),
            event_type: EventType::new("Measured").unwrap(),
            subject: Subject::new(format!("subject-{number:08}")).unwrap(),
            version: Version::new(1).unwrap(),
            time: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
            recorded: "2026-01-02T03:04:05.100006Z".parse().unwrap(),
            position: Position::new(number).unwrap(),
            epoch: Epoch::from_bytes([7; 8]),
            check,
            dataschema: None,
            traceparent: None,
            causationid: None,
            correlationid: None,
            extensions: Default::default(),
            data: Some(data(number)),
        }
    };
    (1..=EVENTS).map(event).collect()
}

fn document(events: Vec<Event>) -> Document {
    Document {
        kind: DocumentKind::Archive,
        feed: FeedIdentity {
            name: FeedName::new("bench").unwrap(),
            id: "0190b6e2-1111-7000-8000-00000000feed".parse().unwrap(),
            author: "bench".to_owned(),
            title: "bench".to_owned(),
            source: "/bench/bench".into(),
            visibility: Visibility::Public,
            capacity: PageCapacity::DEFAULT,
            event_bytes_max: 65_536,
            created: Default::default(),
        }
        .into(),
        updated: events[0].recorded,
        links: Links {
            this: "../0707070707070707/2.r1.atom".to_owned(),
            current: "../../../bench".to_owned(),
            next: Some("../0707070707070707/3.r1.atom".to_owned()),
            prev_archive: Some("../0707070707070707/1.r1.atom".to_owned()),
            tail: None,
            events: "../../events/".to_owned(),
        },
        events,
        head: None,
        caught_up: None,
    }
}

fn representations(c: &mut Criterion) {
    let mut group = c.benchmark_group("page of 100 events, per event");
    group.throughput(Throughput::Elements(EVENTS));
    type Make = fn(u64) -> Data;
    let kinds: [(&str, Make); 2] = [("long text", plain), ("short members", structured)];
    for (name, data) in kinds {
        let events = page(data);
        let written = Bytes::from(json::write_batch(&events));
        let pretty = String::from_utf8(written.to_vec())
            .unwrap()
            .replacen("[\n", "[", 1);
        let pretty = Bytes::from(pretty);
        let document = document(events);
        let atom = atom::write_feed(&document);
        group.bench_function(format!("json read, {name}"), |b| {
            b.iter(|| json::read_batch_shared(black_box(&written)).unwrap());
        });
        group.bench_function(format!("json read of another server's, {name}"), |b| {
            b.iter(|| json::read_batch_shared(black_box(&pretty)).unwrap());
        });
        group.bench_function(format!("json write, {name}"), |b| {
            b.iter(|| json::write_batch(black_box(&document.events)));
        });
        group.bench_function(format!("atom read, {name}"), |b| {
            b.iter(|| atom::read_feed(black_box(&atom)).unwrap());
        });
        group.bench_function(format!("atom write, {name}"), |b| {
            b.iter(|| atom::write_feed(black_box(&document)));
        });
    }
    group.finish();
}

fn checks(c: &mut Criterion) {
    let events = page(plain);
    let mut group = c.benchmark_group("running check, per event");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("computed", |b| {
        b.iter(|| {
            let start = black_box(Check::START);
            events
                .iter()
                .fold(start, |check, event| check.next(event.id))
        });
    });
    group.bench_function("verified", |b| {
        let seen = Seen::Nothing;
        b.iter_batched(
            || events.clone(),
            |events| verify(seen, events).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(pure, representations, checks);
criterion_main!(pure);
