//! The event stream: events as they come, with cursors as ids.

use std::time::Duration;

use feed_core::server::RouterOptions;
use feed_core::{AppendError, Data, Event, Expected, NewEvent, Subject, Tx, json};
use tokio::time::timeout;

use super::lamps::{LAMPS, Scene, append, append_types};
use super::problems::assert_problem;
use super::served::Served;

const STREAM: (&str, &str) = ("accept", "text/event-stream");
/// Longer than anything takes that is there.
const SOON: Duration = Duration::from_secs(10);

/// A stream that is read block by block, as a browser does (WHATWG HTML, section 9.2.6).
struct Reader {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

/// What stands between two empty lines.
#[derive(Debug, Default, PartialEq)]
struct Block {
    id: Option<String>,
    retry: Option<String>,
    data: Vec<String>,
}

impl Reader {
    async fn open(served: &Served, query: &str, headers: &[(&str, &str)]) -> Self {
        let url = served.url(&format!("/feeds/{LAMPS}{query}"));
        let response = served.open(&url, headers).await;
        assert_eq!(response.status(), 200, "{response:?}");
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        Reader {
            response,
            buffer: Vec::new(),
        }
    }

    /// The next block; none at the end.
    async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let text: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(Block::parse(&String::from_utf8(text).unwrap()));
            }
            let chunk = timeout(SOON, self.response.chunk())
                .await
                .expect("something, soon");
            match chunk.unwrap() {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => {
                    assert!(self.buffer.is_empty(), "it ends between two events");
                    return None;
                }
            }
        }
    }

    /// The next event, whose cursor is its id.
    async fn event(&mut self) -> Event {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if !block.data.is_empty() {
                let event = json::read_event(block.data.join("\n").as_bytes()).unwrap();
                assert_eq!(block.id.unwrap(), event.cursor().to_string());
                return event;
            }
        }
    }

    async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(self.event().await);
        }
        events
    }
}

impl Block {
    fn parse(text: &str) -> Self {
        let mut block = Block::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap() {
                ("id", value) => block.id = Some(value.to_owned()),
                ("retry", value) => block.retry = Some(value.to_owned()),
                ("data", value) => block.data.push(value.to_owned()),
                other => panic!("{other:?}"),
            }
        }
        block
    }
}

#[tokio::test]
async fn i03_the_stream_has_every_event_and_then_those_that_come() {
    let scene = Scene::new(3, 250).await;
    let mut reader = Reader::open(&scene.served, "?after=start", &[STREAM]).await;
    let opening = reader.block().await.unwrap();
    assert!(
        opening.retry.is_some() && opening.data.is_empty(),
        "{opening:?}"
    );
    assert!(opening.id.unwrap().ends_with(".0.0"));
    assert_eq!(reader.events(250).await, scene.events().await);
    for _ in 0..5 {
        append(&scene.store, 1).await;
        assert_eq!(Some(&reader.event().await), scene.events().await.last());
    }
    append(&scene.store, 250).await;
    assert_eq!(reader.events(250).await, scene.events().await[255..]);
}

#[tokio::test]
async fn i04_the_last_id_goes_before_the_url_and_now_is_where_it_begins() {
    let scene = Scene::new(3, 8).await;
    let events = scene.events().await;
    let last = events[4].cursor().to_string();
    let by_header = [STREAM, ("last-event-id", last.as_str())];
    for query in ["?after=start", "", "?lastEventId=", "?since=2001-01-01"] {
        let mut reader = Reader::open(&scene.served, query, &by_header).await;
        assert_eq!(reader.events(3).await, events[5..], "{query}");
    }
    let id = events[6].id.to_string();
    let mut reader = Reader::open(&scene.served, "", &[STREAM, ("last-event-id", &id)]).await;
    assert_eq!(reader.event().await, events[7]);
    let mut live = Reader::open(&scene.served, "?format=sse", &[]).await;
    assert_eq!(
        live.block().await.unwrap().id.unwrap(),
        events[7].cursor().to_string()
    );
    append(&scene.store, 1).await;
    assert_eq!(live.event().await.position.get(), 9);
}

#[tokio::test]
async fn i08_silence_says_how_far_was_looked() {
    let scene = Scene::new(3, 0).await;
    append_types(&scene.store, &["Lit", "Broken"], 6).await;
    let mut options = RouterOptions::default();
    options.heartbeat = Duration::from_millis(50);
    let served = Served::start_with(&scene.store, &[LAMPS], &options).await;
    let mut reader = Reader::open(&served, "?after=start&type=Broken", &[STREAM]).await;
    let found: Vec<u64> = reader
        .events(3)
        .await
        .iter()
        .map(|event| event.position.get())
        .collect();
    assert_eq!(found, [2, 4, 6]);
    append_types(&scene.store, &["Lit"], 4).await;
    let head = scene.events().await[9].cursor().to_string();
    loop {
        let block = reader.block().await.unwrap();
        assert_eq!(block.data, [""; 0], "nothing matched");
        if block.id.unwrap() == head {
            break;
        }
    }
}

#[tokio::test]
async fn i11_a_wrong_cursor_is_refused_before_the_stream_begins() {
    let scene = Scene::new(3, 8).await;
    let url = scene.served.url(&format!("/feeds/{LAMPS}"));
    for (id, status, slug) in [
        ("nonsense", 400, "cursor-malformed"),
        ("0707070707070707.1.00aa11bb22cc", 409, "epoch-unknown"),
        ("9", 409, "cursor-beyond-head"),
    ] {
        let reply = scene
            .served
            .get(&url, &[STREAM, ("last-event-id", id)])
            .await;
        assert_problem(&reply, status, slug);
    }
}

#[tokio::test]
async fn the_stream_ends_when_the_service_stops() {
    let scene = Scene::new(3, 8).await;
    let mut reader = Reader::open(&scene.served, "?after=start", &[STREAM]).await;
    reader.events(8).await;
    scene.served.stop();
    while reader.block().await.is_some() {}
}

#[tokio::test]
async fn line_breaks_in_data_stay_line_breaks() {
    let scene = Scene::new(3, 0).await;
    let appended: Result<(), AppendError> = scene
        .store
        .write(async |tx: &mut Tx<'_>| {
            let text = b"{\n\"a\":\r\n1,\r\"b\": \"\\n\"}".to_vec();
            let data = Data::new("application/json", text).expect("JSON");
            let event = NewEvent::new("Lit", Some(data)).expect("an event");
            let subject = Subject::new("lamp-1").expect("a subject");
            tx.append(LAMPS, &subject, Expected::Any, &[event]).await?;
            Ok(())
        })
        .await;
    appended.unwrap();
    let mut reader = Reader::open(&scene.served, "?after=start", &[STREAM]).await;
    let event = reader.event().await;
    let text = event.data.as_ref().unwrap().json_text().map(str::to_owned);
    assert_eq!(text.unwrap(), "{\n\"a\":\n1,\n\"b\": \"\\n\"}");
}

#[tokio::test]
async fn head_requests_get_the_headers_of_the_stream() {
    let scene = Scene::new(3, 8).await;
    let url = scene.served.url(&format!("/feeds/{LAMPS}"));
    let head = timeout(SOON, scene.served.request("HEAD", &url, &[STREAM]))
        .await
        .unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), "text/event-stream");
}
