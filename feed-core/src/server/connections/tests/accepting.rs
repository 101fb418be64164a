//! Many connections, failures to accept them, and the end of the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;

/// Gives out what the test says, and counts what was given out.
struct Script {
    next: UnboundedReceiver<io::Result<DuplexStream>>,
    given: Arc<AtomicUsize>,
}

impl Accept for Script {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        let Some(next) = self.next.recv().await else {
            return std::future::pending().await;
        };
        self.given.fetch_add(1, Ordering::SeqCst);
        Ok((next?, peer()))
    }
}

/// A service that runs until it is told to stop.
struct Running {
    script: UnboundedSender<io::Result<DuplexStream>>,
    given: Arc<AtomicUsize>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Running {
    fn start(bounds: Bounds) -> Self {
        let (script, next) = unbounded_channel();
        let given = Arc::<AtomicUsize>::default();
        let acceptor = Script {
            next,
            given: Arc::clone(&given),
        };
        let stop = CancellationToken::new();
        let run = run(acceptor, app(&stop), stop.clone(), bounds);
        Running {
            script,
            given,
            ended: tokio::spawn(run),
            stop,
        }
    }

    fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(4_096);
        self.script.send(Ok(server)).unwrap();
        client
    }

    fn fail(&self, kind: io::ErrorKind) {
        self.script.send(Err(kind.into())).unwrap();
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    /// Stops it; how long it took.
    async fn stopped(self) -> Duration {
        let since = Instant::now();
        self.stop.cancel();
        self.ended.await.unwrap();
        since.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn i12_connections_above_the_bound_wait_until_one_closes() {
    let running = Running::start(Bounds::of_connections(2));
    let mut first = running.connect();
    let mut second = running.connect();
    let mut third = running.connect();
    third.write_all(ASK).await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&mut first, ASK).await.status, 200);
        assert_eq!(ask(&mut second, ASK).await.status, 200);
        sleep(ms(1_000)).await;
        assert_eq!(running.given(), 2);
    }
    drop(second);
    assert_eq!(reply(&mut third).await.status, 200);
    assert_eq!(running.given(), 3);
}

#[tokio::test(start_paused = true)]
async fn i12_silent_connections_do_not_keep_others_out() {
    let running = Running::start(Bounds::of_connections(2));
    let _silent: [DuplexStream; 4] = std::array::from_fn(|_| running.connect());
    let mut honest = running.connect();
    let since = Instant::now();
    assert_eq!(ask(&mut honest, ASK).await.status, 200);
    // Two at a time were closed.
    assert_about(since.elapsed(), 2 * REQUEST_HEAD_MS_MAX);
}

#[tokio::test(start_paused = true)]
async fn i12_a_failure_to_accept_is_tried_again_without_haste() {
    let running = Running::start(Bounds::default());
    let failures = 10;
    for _ in 0..failures {
        running.fail(io::ErrorKind::Other);
    }
    let mut client = running.connect();
    let since = Instant::now();
    assert_eq!(ask(&mut client, ASK).await.status, 200);
    assert_about(since.elapsed(), failures * ACCEPT_PAUSE_MS);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_given_up_is_not_waited_for() {
    let running = Running::start(Bounds::default());
    running.fail(io::ErrorKind::ConnectionAborted);
    running.fail(io::ErrorKind::ConnectionReset);
    let mut client = running.connect();
    let since = Instant::now();
    assert_eq!(ask(&mut client, ASK).await.status, 200);
    assert_about(since.elapsed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_accept_can_be_stopped() {
    let running = Running::start(Bounds::default());
    for _ in 0..100 {
        running.fail(io::ErrorKind::Other);
    }
    sleep(ms(100)).await;
    assert_eq!(running.given(), 1);
    assert_about(running.stopped().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_an_answer_is_streamed_ends_that_connection_alone() {
    let running = Running::start(Bounds::default());
    let mut other = running.connect();
    assert_eq!(ask(&mut other, ASK).await.status, 200);
    let mut client = running.connect();
    let request = b"GET /half-panic HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut found = Vec::new();
    client.read_to_end(&mut found).await.unwrap();
    let text = String::from_utf8(found).unwrap();
    assert!(!text.ends_with("\r\n0\r\n\r\n"), "{text}");
    assert_eq!(ask(&mut other, ASK).await.status, 200);
    assert_eq!(ask(&mut running.connect(), ASK).await.status, 200);
    assert_about(running.stopped().await, 0);
}

#[tokio::test(start_paused = true)]
async fn connections_without_a_request_are_closed_at_once_when_the_service_stops() {
    let running = Running::start(Bounds::default());
    let mut fresh = running.connect();
    let mut idle = running.connect();
    assert_eq!(ask(&mut idle, ASK).await.status, 200);
    sleep(ms(1_000)).await;
    assert_about(running.stopped().await, 0);
    assert_about(closed_after(&mut fresh).await, 0);
    assert_about(closed_after(&mut idle).await, 0);
}

#[tokio::test(start_paused = true)]
async fn open_requests_are_answered_when_the_service_stops() {
    let running = Running::start(Bounds::default());
    let mut client = running.connect();
    let request = b"GET /later HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    sleep(ms(1_000)).await;
    let (stopped, reply) = tokio::join!(running.stopped(), reply(&mut client));
    assert_eq!(reply.body, "later");
    let close = "\r\nconnection: close\r\n";
    assert!(reply.head.contains(close), "{reply:?}");
    assert_about(stopped, 4_000);
    assert_about(closed_after(&mut client).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_is_told_that_the_service_stops() {
    let running = Running::start(Bounds::default());
    let mut client = running.connect();
    let request = b"GET /stopping HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    sleep(ms(1_000)).await;
    let (stopped, reply) = tokio::join!(running.stopped(), reply(&mut client));
    assert_eq!(reply.body, "stopped");
    assert_about(stopped, 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_cut_off_when_the_service_stops() {
    let running = Running::start(Bounds::default());
    let mut endless = running.connect();
    let request = b"GET /silent HTTP/1.1\r\nhost: a\r\n\r\n";
    endless.write_all(request).await.unwrap();
    sleep(ms(1_000)).await;
    assert_about(running.stopped().await, DRAIN_MS_MAX);
    let mut found = Vec::new();
    endless.read_to_end(&mut found).await.unwrap();
    let text = String::from_utf8(found).unwrap();
    assert_eq!(text.matches("still here").count(), 1, "{text}");
    assert!(!text.ends_with("\r\n0\r\n\r\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn half_a_head_does_not_hold_a_service_that_stops() {
    let running = Running::start(Bounds::default());
    let mut half = running.connect();
    half.write_all(b"GET / HT").await.unwrap();
    let mut later = running.connect();
    assert_eq!(ask(&mut later, ASK).await.status, 200);
    later.write_all(b"GET / HT").await.unwrap();
    sleep(ms(1_000)).await;
    assert_about(running.stopped().await, 0);
    assert_about(closed_after(&mut half).await, 0);
    assert_about(closed_after(&mut later).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_being_read_is_finished_when_the_service_stops() {
    let running = Running::start(Bounds::default());
    let mut client = running.connect();
    let request = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    sleep(ms(1_000)).await;
    let (stopped, reply) = tokio::join!(running.stopped(), reply(&mut client));
    assert_eq!(reply.body.len(), LARGE);
    assert_about(stopped, 0);
}

#[tokio::test(start_paused = true)]
async fn connections_end_with_the_future_that_serves_them() {
    let running = Running::start(Bounds::default());
    let mut client = running.connect();
    assert_eq!(ask(&mut client, ASK).await.status, 200);
    running.ended.abort();
    assert_about(closed_after(&mut client).await, 0);
}
