//! A feed of valid events, and a server that answers each URL with what the script says.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use feed_core::{
    Check, Cursor, Data, Document, DocumentKind, Epoch, Event, EventId, EventType, FeedIdentity,
    FeedName, Format, Links, PageCapacity, Position, Subject, Version, Visibility, atom, json,
};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Path of the feed that all scripts play.
pub(crate) const FEED: &str = "/feeds/lamps";

/// Both representations.
pub(crate) const FORMATS: [Format; 2] = [Format::Json, Format::Atom];

/// Type of the events.
pub(crate) const LIT: &str = "Lit";

/// A feed of events that follow on from one another, with right positions, versions and checks.
pub(crate) struct ScriptedFeed {
    /// The epoch of all events.
    pub(crate) epoch: Epoch,
    events: Vec<Event>,
}

impl ScriptedFeed {
    /// `length` events. Two feeds of different `history` have the same numbers and different events.
    pub(crate) fn new(history: u8, length: u64) -> Self {
        let numbers: Vec<u64> = (1..=length).collect();
        Self::with_ids(history, &numbers)
    }

    /// Events whose ids derive from these numbers: a number that comes twice is an id that comes twice.
    pub(crate) fn with_ids(history: u8, numbers: &[u64]) -> Self {
        let epoch = Epoch::from_bytes([history; 8]);
        let mut check = Check::START;
        let events = (1..)
            .zip(numbers)
            .map(|(position, number)| {
                let mut id = (0x0190_b6e2_0000_7000_8000_0000_0000_0000_u128 | u128::from(*number))
                    .to_be_bytes();
                id[9] = history;
                let id = EventId::from_bytes(id);
                check = check.next(id);
                event(epoch, position, *number, id, check)
            })
            .collect();
        ScriptedFeed { epoch, events }
    }

    pub(crate) fn len(&self) -> u64 {
        self.events.len() as u64
    }

    /// The events at these positions.
    pub(crate) fn events(&self, positions: RangeInclusive<u64>) -> Vec<Event> {
        positions.map(|position| self.event(position)).collect()
    }

    pub(crate) fn event(&self, position: u64) -> Event {
        self.events[position as usize - 1].clone()
    }

    /// The cursor of a reader who has seen `position`.
    pub(crate) fn cursor(&self, position: u64) -> Cursor {
        match position {
            0 => Cursor::start(self.epoch),
            _ => self.event(position).cursor(),
        }
    }

    /// Path and query of the tail after `position`, as a consumer with that cursor asks for it.
    pub(crate) fn after(&self, position: u64) -> String {
        format!("{FEED}?after={}", self.cursor(position))
    }

    /// Path of a sealed page.
    pub(crate) fn sealed_path(&self, page: u64, format: Format) -> String {
        format!(
            "{FEED}/archive/{}/{page}.r1.{}",
            self.epoch,
            format.extension()
        )
    }

    /// A tail document with these events, as the feed would answer it.
    pub(crate) fn tail(&self, format: Format, positions: RangeInclusive<u64>) -> ResponseTemplate {
        let last = *positions.end();
        self.tail_of(format, self.events(positions), last)
    }

    /// A tail document without events, for a reader who stands at `position`, as long as the feed has no more.
    pub(crate) fn nothing_after(&self, format: Format, position: u64) -> ResponseTemplate {
        let cursor = self.cursor(position);
        respond(
            format,
            Vec::new(),
            Said {
                next: Some(format!("lamps?after={cursor}")),
                head: Some(cursor),
                caught_up: Some(true),
            },
        )
    }

    /// A tail document with any events, whose `next` goes on behind `last`.
    pub(crate) fn tail_of(
        &self,
        format: Format,
        events: Vec<Event>,
        last: u64,
    ) -> ResponseTemplate {
        respond(
            format,
            events,
            Said {
                next: Some(format!("lamps?after={}", self.cursor(last))),
                head: Some(self.cursor(self.len())),
                caught_up: Some(last >= self.len()),
            },
        )
    }

    /// A sealed page with these events.
    pub(crate) fn sealed(
        &self,
        format: Format,
        page: u64,
        positions: RangeInclusive<u64>,
    ) -> ResponseTemplate {
        let next = format!("../{}/{}.r1.{}", self.epoch, page + 1, format.extension());
        let said = Said {
            next: Some(next),
            ..Said::default()
        };
        respond(format, self.events(positions), said)
    }
}

/// What a document says beside its events.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) next: Option<String>,
    pub(crate) head: Option<Cursor>,
    pub(crate) caught_up: Option<bool>,
}

/// A document as the representation has it: in the body of Atom, in the headers of JSON.
pub(crate) fn respond(format: Format, events: Vec<Event>, said: Said) -> ResponseTemplate {
    let answer = ResponseTemplate::new(200);
    match format {
        Format::Json => {
            let mut answer =
                answer.set_body_raw(json::write_batch(&events), Format::Json.media_type());
            if let Some(next) = said.next {
                answer = answer.insert_header(
                    "link",
                    format!("<lamps>; rel=\"current\", <{next}>; rel=\"next\""),
                );
            }
            if let Some(head) = said.head {
                answer = answer.insert_header("feed-head", head.to_string());
            }
            if let Some(caught_up) = said.caught_up {
                answer = answer.insert_header("feed-caught-up", caught_up.to_string());
            }
            answer
        }
        Format::Atom => {
            let body = atom::write_feed(&Document {
                kind: DocumentKind::Tail,
                feed: Arc::new(identity()),
                updated: moment(0),
                events,
                links: Links {
                    this: "lamps".into(),
                    current: "lamps".into(),
                    next: said.next,
                    prev_archive: None,
                    tail: None,
                    events: "lamps/events/".into(),
                },
                head: said.head,
                caught_up: said.caught_up,
            });
            answer.set_body_raw(body, Format::Atom.media_type())
        }
    }
}

/// 307 to `location`.
pub(crate) fn redirect(location: &str) -> ResponseTemplate {
    ResponseTemplate::new(307).insert_header("location", location)
}

/// A problem document.
pub(crate) fn problem(status: u16, slug: &str) -> ResponseTemplate {
    let body = serde_json::json!({
        "type": format!("/problems/{slug}"),
        "title": "No",
        "status": status,
        "detail": format!("the script says {slug}"),
    });
    ResponseTemplate::new(status)
        .set_body_raw(body.to_string(), "application/problem+json")
        .insert_header("cache-control", "no-store")
}

/// A server that answers as the script says, and keeps every request.
pub(crate) struct ScriptedServer {
    server: MockServer,
    script: Script,
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<HashMap<String, VecDeque<ResponseTemplate>>>>);

impl Respond for Script {
    /// The answers of a URL one after another; the last one for ever.
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut script = self.0.lock().unwrap();
        let unscripted = || ResponseTemplate::new(404).set_body_string("not in the script");
        match script.get_mut(&target(request)) {
            Some(answers) if answers.len() > 1 => answers.pop_front().unwrap_or_else(unscripted),
            Some(answers) => answers.front().cloned().unwrap_or_else(unscripted),
            None => unscripted(),
        }
    }
}

/// Path and query of a request.
pub(crate) fn target(request: &Request) -> String {
    request.url[url::Position::BeforePath..].to_owned()
}

/// The value of a request's header.
pub(crate) fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.headers.get(name)?.to_str().ok()
}

impl ScriptedServer {
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let script = Script::default();
        Mock::given(any())
            .respond_with(script.clone())
            .mount(&server)
            .await;
        ScriptedServer { server, script }
    }

    /// From now on, `target` is answered so: one after another, the last one for ever.
    pub(crate) fn on(&self, target: &str, answers: impl IntoIterator<Item = ResponseTemplate>) {
        let answers = answers.into_iter().collect();
        self.script
            .0
            .lock()
            .unwrap()
            .insert(target.to_owned(), answers);
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn origin(&self) -> String {
        self.server.uri()
    }

    /// URL of the feed.
    pub(crate) fn feed_url(&self) -> String {
        format!("{}{FEED}", self.server.uri())
    }

    /// All requests until now, in order.
    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }

    /// What was asked for until now, in order.
    pub(crate) async fn targets(&self) -> Vec<String> {
        self.requests().await.iter().map(target).collect()
    }
}

fn event(epoch: Epoch, position: u64, number: u64, id: EventId, check: Check) -> Event {
    Event {
        id,
        source: "/lamp-svc/lamps".into(),
        event_type: EventType::new(LIT).unwrap(),
        subject: Subject::new(format!("lamp-{number}")).unwrap(),
        version: Version::new(1).unwrap(),
        time: moment(position),
        recorded: moment(position),
        position: Position::new(position).unwrap(),
        epoch,
        check,
        dataschema: None,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        causationid: None,
        correlationid: None,
        extensions: Default::default(),
        data: Some(Data::json(&serde_json::json!({ "lamp_id": number })).unwrap()),
    }
}

fn identity() -> FeedIdentity {
    FeedIdentity {
        name: FeedName::new("lamps").unwrap(),
        id: uuid::Uuid::from_u128(7),
        author: "lamp-svc".into(),
        title: "Lamps".into(),
        source: "/lamp-svc/lamps".into(),
        visibility: Visibility::Public,
        capacity: PageCapacity::DEFAULT,
        event_bytes_max: 65_536,
        created: moment(0),
    }
}

fn moment(seconds: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_770_000_000 + seconds as i64)
}
