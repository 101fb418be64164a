//! The same over sockets, with less patience: that the kernel's buffers and queues play along.

use tokio_util::sync::DropGuard;

use super::*;

/// Long enough for any answer, and the end of a test that hangs.
const SECONDS_MAX: u64 = 20;

/// A service on a socket, with these bounds; it stops when the guard is dropped.
async fn served(bounds: Bounds) -> (SocketAddr, DropGuard) {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let routes = routes().route("/endless", get(endless));
    let app = Bounded::new(routes, Stopping::new(&stop));
    tokio::spawn(run(listener, app, stop.clone(), bounds));
    (address, stop.drop_guard())
}

async fn endless() -> Body {
    let bytes = Bytes::from(vec![b'x'; 64 << 10]);
    let chunks = futures_util::stream::repeat_with(move || Ok::<_, Infallible>(bytes.clone()));
    Body::from_stream(chunks)
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(SECONDS_MAX);
    tokio::time::timeout(limit, future).await.expect("in time")
}

#[tokio::test]
async fn i12_silent_half_sent_and_idle_sockets_are_closed() {
    let mut bounds = Bounds::default();
    bounds.patience.head = ms(200);
    bounds.patience.idle = ms(400);
    let (address, _stop) = served(bounds).await;
    for sent in [b"".as_slice(), b"GET / HTTP/1.1\r\nho"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(sent).await.unwrap();
        in_time(closed_after(&mut client)).await;
    }
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_eq!(in_time(ask(&mut client, ASK)).await.status, 200);
    let closed = in_time(closed_after(&mut client)).await;
    // Not by the time for a head, which is half as long.
    assert!(closed >= ms(300), "{closed:?}");
}

#[tokio::test]
async fn i12_a_socket_that_nobody_reads_is_cut_off() {
    // That it was closed can only be seen by what comes after it.
    let mut bounds = Bounds::of_connections(1);
    bounds.patience.stall = ms(300);
    let (address, _stop) = served(bounds).await;
    let mut stalled = TcpStream::connect(address).await.unwrap();
    let request = b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n";
    stalled.write_all(request).await.unwrap();
    let mut next = TcpStream::connect(address).await.unwrap();
    let since = Instant::now();
    assert_eq!(in_time(ask(&mut next, ASK)).await.status, 200);
    assert!(since.elapsed() >= ms(250), "{:?}", since.elapsed());
    // What the kernel had taken ends in the middle.
    let mut found = Vec::new();
    let _ = in_time(stalled.read_to_end(&mut found)).await;
    assert!(!found.ends_with(b"\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn accepted_sockets_send_at_once() {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let (stream, peer) = Accept::accept(&mut listener).await.unwrap();
    assert!(stream.nodelay().unwrap());
    assert_eq!(peer, client.local_addr().unwrap());
}
