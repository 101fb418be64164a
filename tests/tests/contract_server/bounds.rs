//! What a client may not do, as it is seen on the wire, and how the service stops. The times are tested where the clock
//! can be moved, in `feed-core/src/server/connections/tests/`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use feed_core::limits::{REQUEST_HEAD_BYTES_MAX, REQUEST_HEADERS_MAX, URL_BYTES_MAX};
use feed_core::server::{bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::lamps::Scene;
use super::problems::assert_problem;
use super::served::PREFIX;

/// The end of a test that hangs.
const SECONDS_MAX: u64 = 30;

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(SECONDS_MAX);
    tokio::time::timeout(limit, future).await.expect("in time")
}

/// All that comes until the connection is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut found = Vec::new();
    // The rest of a request that was refused may be answered by a reset.
    let _ = in_time(stream.read_to_end(&mut found)).await;
    String::from_utf8(found).unwrap()
}

/// What comes until the text ends like this.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut found = Vec::new();
    while !found.ends_with(end.as_bytes()) {
        found.push(in_time(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(found).unwrap()
}

async fn connected(scene: &Scene) -> TcpStream {
    let address = scene.served.url("/").socket_addrs(|| None).unwrap()[0];
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn i12_a_url_that_is_too_long_is_refused_by_a_problem() {
    let scene = Scene::new(3, 5).await;
    for start in ["/feeds/lamps?", "/feeds/lamps?after=", "/nothing/"] {
        let bytes = PREFIX.len() + start.len();
        let long = |bytes_url: usize| format!("{start}{}", "a".repeat(bytes_url - bytes));
        let url = scene.served.url(&long(URL_BYTES_MAX));
        let status = scene.served.get(&url, &[]).await.status;
        assert!([400, 404].contains(&status), "{status}");
        for bytes in [URL_BYTES_MAX + 1, 3 * URL_BYTES_MAX] {
            let url = scene.served.url(&long(bytes));
            let reply = scene.served.get(&url, &[]).await;
            assert_problem(&reply, 414, "uri-too-long");
        }
    }
}

#[tokio::test]
async fn i12_a_head_that_is_too_large_is_refused() {
    let scene = Scene::new(3, 5).await;
    let many = "a: b\r\n".repeat(REQUEST_HEADERS_MAX);
    let large = format!("a: {}\r\n", "b".repeat(REQUEST_HEAD_BYTES_MAX));
    for headers in [many, large] {
        let mut stream = connected(&scene).await;
        let head = format!("GET {PREFIX}/feeds HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn requests_ahead_of_their_time_are_answered_one_by_one() {
    let scene = Scene::new(3, 5).await;
    let mut stream = connected(&scene).await;
    let ask = |path: &str, more: &str| {
        format!("GET {PREFIX}/feeds{path} HTTP/1.1\r\nhost: a\r\n{more}\r\n")
    };
    let requests = [
        ask("/lamps", ""),
        ask("/switches", ""),
        ask("/lamps/nothing", "connection: close\r\n"),
    ];
    let requests = requests.concat();
    stream.write_all(requests.as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    let found = ["200 OK", "feed-unknown", "path-unknown"].map(|part| answers.find(part));
    assert!(found.iter().all(Option::is_some), "{answers}");
    assert!(found.is_sorted(), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 3, "{answers}");
}

/// A service with two handlers: one that panics, and one that answers when it is told to.
struct Doors {
    address: SocketAddr,
    reached: Arc<Notify>,
    open: Arc<Notify>,
    stop: CancellationToken,
    ended: JoinHandle<std::io::Result<()>>,
}

impl Doors {
    async fn start() -> Self {
        let (reached, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (here, opened) = (Arc::clone(&reached), Arc::clone(&open));
        let door = async move || {
            here.notify_one();
            opened.notified().await;
            "open"
        };
        let routes = Router::new()
            .route("/", get(async || "well"))
            .route("/door", get(door))
            .route("/panic", get(async || -> () { panic!("a secret") }));
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        Doors {
            address,
            reached,
            open,
            ended: tokio::spawn(serve(listener, routes, stop.clone())),
            stop,
        }
    }

    async fn asked(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }
}

#[tokio::test]
async fn a_service_that_stops_answers_open_requests_and_closes_the_others_at_once() {
    let doors = Doors::start().await;
    let mut open = doors.asked("/door").await;
    in_time(doors.reached.notified()).await;
    let mut idle = doors.asked("/").await;
    until(&mut idle, "well").await;
    doors.stop.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert!(!doors.ended.is_finished());
    doors.open.notify_one();
    let answer = rest(&mut open).await;
    assert!(answer.ends_with("\r\n\r\nopen"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    in_time(doors.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(doors.address).await.is_err());
}

#[tokio::test]
async fn i12_a_handler_that_panics_fails_its_own_request_alone() {
    let doors = Doors::start().await;
    let mut stream = doors.asked("/panic").await;
    let head = until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    assert!(head.contains("application/problem+json"), "{head}");
    until(&mut stream, "}").await;
    // On the same connection, and on another one.
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    until(&mut stream, "well").await;
    until(&mut doors.asked("/").await, "well").await;
}
